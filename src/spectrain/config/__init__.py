"""From recipe, files, flags and overrides to one typed, checked configuration that knows where each value came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .resolver import load_config
    from .schema import Config, DatasetOptions, Part

__all__ = ["Config", "DatasetOptions", "Part", "load_config"]


def __getattr__(name: str) -> Any:
    """Import the resolver or the schema when it is asked for: a command's help needs neither."""
    if name == "load_config":
        from .resolver import load_config

        return load_config
    if name in __all__:
        from . import schema

        return getattr(schema, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
