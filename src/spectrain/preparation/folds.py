"""Folds of cross-validation: by scene, stratified by how much there is to find; by squares where scenes are too few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DataError
from ..data.folds import PATCHES_A_BLOCK, folds_of_units, published_folds
from ..data.ground import Polygons, footprints, joined_groups
from ..data.splits import block_of
from ..data.splits_file import given_splits
from .assign import CROSS

if TYPE_CHECKING:
    import pandas as pd

TOUCHING_M = 0.01
"""Patches nearer than this share pixels: outlines are drawn in by more."""


@dataclass(frozen=True)
class FoldPlan:
    """How folds are made.

    Attributes:
        count: folds; 0 makes none.
        method: "auto", "scene", "block" or "published".
        seed: of the draw.
        block_m: side of a square in metres, or None.
    """

    count: int
    method: str = "auto"
    seed: int = 42
    block_m: float | None = None


def with_folds(table: pd.DataFrame, plan: FoldPlan) -> tuple[dict[str, Any], list[str]]:
    """Return the content of splits.json of the cross-validation patches, and what the user should know.

    Args:
        table: their metadata.
        plan: how to make folds.
    """
    ids = [str(one) for one in table["patch_id"]]
    plain = given_splits({CROSS: ids})
    if plan.count == 0 or not ids:
        return plain, []
    if plan.method == "published":
        found = published_folds(ids, CROSS, min(plan.count, len(ids)))
        return found, ["published folds are runs of patches: those beside each other may share pixels"]
    places = footprints(table)
    units = None
    if places is not None and plan.method in ("auto", "scene"):
        units = _scenes(table, places, plan)
    method = "group"
    if units is None and places is not None and plan.method in ("auto", "block"):
        units, method = _blocks(places, plan), "block"
    if units is None:
        return plain, [f"no folds: {_why(table, places, plan)}"]
    try:
        found = folds_of_units(table, units, CROSS, plan.count, seed=plan.seed, buffer_m=TOUCHING_M)
    except DataError as error:
        return plain, [f"no folds: {error.what}"]
    lines = _lines(table, found["folds"], method)
    return {**found, "method": method, "buffer_m": None}, lines


def _scenes(table: pd.DataFrame, places: Polygons, plan: FoldPlan) -> list[str] | None:
    """Return the scene of each patch, those that share ground as one; None where there are fewer than folds."""
    units = joined_groups([str(scene) for scene in table["scene"]], places)
    return units if len(set(units)) >= plan.count else None


def _blocks(places: Polygons, plan: FoldPlan) -> list[str] | None:
    """Return the square that each patch's centre lies in; None where there cannot be as many as folds."""
    import shapely

    least = float(np.sqrt(shapely.area(places)).mean())
    side = plan.block_m or PATCHES_A_BLOCK * least
    while True:
        units = block_of(places, side)
        enough = len(set(units)) >= (1 if plan.block_m else 3) * plan.count
        if enough or plan.block_m or side < 2 * least:
            return units if len(set(units)) >= plan.count else None
        side /= 2


def _why(table: pd.DataFrame, places: Polygons | None, plan: FoldPlan) -> str:
    if places is None:
        return "the patches have no place on the ground"
    what = "scenes" if plan.method == "scene" else "scenes or squares"
    return f"there are fewer {what} than {plan.count} folds for {len(table)} patches; make fewer, or smaller blocks"


def _lines(table: pd.DataFrame, folds: Sequence[dict[str, list[str]]], method: str) -> list[str]:
    """Return what the user should know of folds: what they are of, what they leave out, and which have no positives."""
    lines = []
    if method == "block":
        lines.append(f"{len(folds)} folds by squares on the ground, as there are fewer scenes than folds")
    positive = dict(zip(table["patch_id"].astype(str), table["positive_share"] > 0, strict=True))
    if any(positive.values()):
        for number, fold in enumerate(folds):
            for side, ids in fold.items():
                if not any(positive[one] for one in ids):
                    lines.append(f"fold {number} has no positive label in {side}")
    lost = max((len(table) - len(fold["train"]) - len(fold["valid"]) for fold in folds), default=0)
    if lost:
        lines.append(
            f"up to {lost} patches of a fold are left out of training, as they share pixels with those held out"
        )
    return lines
