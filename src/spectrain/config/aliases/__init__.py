"""The names that users of other systems know: one table per recipe, one for all, and one of other commands' keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import contrastive
from .contrastive import CONTRASTIVE
from .convert import AliasError, Converter, Settings, as_is
from .elsewhere import ELSEWHERE
from .everywhere import EVERYWHERE

if TYPE_CHECKING:
    from ..schema import Config

RECIPES: dict[str, dict[str, tuple[str | None, Converter]]] = {"contrastive": CONTRASTIVE}
"""Recipe -> {their key: (native key, converter)}; a native key of None means "accepted and left alone"."""

__all__ = [
    "EVERYWHERE",
    "RECIPES",
    "AliasError",
    "Converter",
    "Settings",
    "as_is",
    "derived_names",
    "known_elsewhere",
    "table_of",
]


def table_of(recipe: str) -> dict[str, tuple[str | None, Converter]]:
    """Return the aliases of a recipe together with those known everywhere."""
    return {**EVERYWHERE, **RECIPES.get(recipe, {})}


def known_elsewhere(key: str) -> str | None:
    """Return the recipe or command that knows ``key``, or None."""
    for recipe, table in RECIPES.items():
        if key in table:
            return recipe
    return next((command for command, keys in ELSEWHERE.items() if key in keys), None)


def derived_names(cfg: Config) -> dict[str, str]:
    """Return the names by which users of another system know such a run, for `run.json`; none for most recipes."""
    if cfg.recipe != "contrastive":
        return {}
    try:
        return contrastive.derived_names(cfg)
    except AttributeError:  # a plugin's part without the options that the names are made of
        return {}
