"""The names that users of other systems know: one table per recipe, one for all, and one of other commands' keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import contrastive
from .contrastive import CONTRASTIVE
from .convert import AliasError, Converter, Settings, as_is
from .elsewhere import ELSEWHERE
from .everywhere import EVERYWHERE
from .mae import MAE
from .regression import REGRESSION
from .segmentation import SEGMENTATION

if TYPE_CHECKING:
    from ..schema import Config

RECIPES: dict[str, dict[str, tuple[str | None, Converter]]] = {
    "contrastive": CONTRASTIVE,
    "mae": MAE,
    "regression": REGRESSION,
    "segmentation": SEGMENTATION,
}
"""Recipe -> {their key: (native key, converter)}; a native key of None means "accepted and left alone".

A key may be one choice of a group (``scheduler=cosine_annealing``), as may the native key; or a group of theirs and all
below it (``accuracy.*``), which then is ours (``metric.*``) in front of the same words.
"""

__all__ = [
    "EVERYWHERE",
    "RECIPES",
    "AliasError",
    "Converter",
    "Settings",
    "as_is",
    "derived_names",
    "known_elsewhere",
    "known_to_command",
    "table_of",
]


def table_of(recipe: str) -> dict[str, tuple[str | None, Converter]]:
    """Return the aliases of a recipe together with those known everywhere."""
    return {**EVERYWHERE, **RECIPES.get(recipe, {})}


def known_elsewhere(key: str) -> str | None:
    """Return the recipe or command that knows ``key``, or None."""
    for recipe, table in RECIPES.items():
        if key in table and "." not in key:  # with a section it is meant for this recipe, so it is a mistake
            return recipe
    return known_to_command(key)


def known_to_command(key: str) -> str | None:
    """Return the command other than a training that knows ``key``, or None."""
    return next((command for command, keys in ELSEWHERE.items() if key in keys), None)


def derived_names(cfg: Config) -> dict[str, str]:
    """Return the names by which users of another system know such a run, for `run.json`; none for most recipes."""
    if cfg.recipe != "contrastive":
        return {}
    try:
        return contrastive.derived_names(cfg)
    except AttributeError:  # a plugin's part without the options that the names are made of
        return {}
