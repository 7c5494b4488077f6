"""From scenes and labels to patches on disk: `spectrain prepare`, and the scene that `spectrain predict` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .opening import open_scene as open_scene
    from .run import prepare as prepare

__all__ = ["open_scene", "prepare"]

_PLACES = {"open_scene": "opening", "prepare": "run"}


def __getattr__(name: str) -> Any:
    """Import a name on first use: the page of options needs neither rasters nor tables."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
