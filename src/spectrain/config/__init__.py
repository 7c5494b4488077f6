"""From recipe, files, flags and overrides to one typed, checked configuration that knows where each value came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .schema import Config, DatasetOptions, Part

if TYPE_CHECKING:
    from .resolver import load_config

__all__ = ["Config", "DatasetOptions", "Part", "load_config"]


def __getattr__(name: str) -> Any:
    """Import the resolver when it is asked for: the schema alone is light."""
    if name == "load_config":
        from .resolver import load_config

        return load_config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
