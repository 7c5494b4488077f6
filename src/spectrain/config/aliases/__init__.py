"""The names that users of other systems know: one table per recipe, one for all, and one of other commands' keys."""

from __future__ import annotations

from .contrastive import CONTRASTIVE
from .convert import AliasError, Converter, Settings, as_is
from .elsewhere import ELSEWHERE
from .everywhere import EVERYWHERE

RECIPES: dict[str, dict[str, tuple[str | None, Converter]]] = {"contrastive": CONTRASTIVE}
"""Recipe -> {their key: (native key, converter)}; a native key of None means "accepted and left alone"."""

__all__ = ["EVERYWHERE", "RECIPES", "AliasError", "Converter", "Settings", "as_is", "known_elsewhere", "table_of"]


def table_of(recipe: str) -> dict[str, tuple[str | None, Converter]]:
    """Return the aliases of a recipe together with those known everywhere."""
    return {**EVERYWHERE, **RECIPES.get(recipe, {})}


def known_elsewhere(key: str) -> str | None:
    """Return the recipe or command that knows ``key``, or None."""
    for recipe, table in RECIPES.items():
        if key in table:
            return recipe
    return next((command for command, keys in ELSEWHERE.items() if key in keys), None)
