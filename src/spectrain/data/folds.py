"""Folds of cross-validation: those of a splits file, or drawn from the metadata, the same at each start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..config.schema import DatasetOptions
from ..core.errors import DataError
from .duplicates import image_hashes
from .ground import Polygons, SharedGroundError, footprints, joined_groups
from .patches import Patches
from .splits import RowNumbers, SplitPlan, block_of, make_splits, refuse_without_positives
from .splits_file import given_splits

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("spectrain")

FOLDS = 5
PATCHES_A_BLOCK = 8
"""Side of a square of ``fold_method=block`` in sides of a patch, where it is not given."""
CHOOSE = (
    "draw them: dataset.fold_method=group (whole scenes, or dataset.group), block (squares on the ground), random, "
    "or published (runs of patches, for comparison)"
)
_UNIT, _STRATUM = "fold_unit", "fold_stratum"


def drawn_folds(pool: Patches, options: DatasetOptions) -> dict[str, Any]:
    """Return the content of a splits file with folds of all patches of ``pool``, drawn as ``fold_method`` says.

    Whole units go to one side, and no two sides share ground where it is known: groups that share some are one, and
    with squares what shares ground with the held-out patches is left out of training. Where the metadata say how much
    there is to find in a patch, each fold gets its share of it. Without places, patches with the same pixels are on one
    side, of data that are not too large to compare. ``published`` is not drawn: runs of patches in their order, which
    may share ground.

    Raises:
        DataError: fewer units than folds, no column or place to make units of, patches that share ground.
    """
    table = pool.metadata()
    ids = [str(one) for one in table["patch_id"]]
    count, method = options.folds or FOLDS, options.fold_method
    where = f"{pool.path}, dataset.fold_method={method}"
    if len(ids) < count:
        raise DataError(f"there are {len(ids)} patches for {count} folds", where=where, fix="set dataset.folds")
    if method == "published":
        return published_folds(ids, pool.split, count)
    places = footprints(table)
    try:
        made = folds_of_units(
            table,
            _units(table, places, options, where),
            pool.split,
            count,
            method="random" if method == "random" else "group",
            seed=options.split_seed,
            buffer_m=options.buffer_m,
            drop_shared=method == "block",
            content=None if places is not None else image_hashes(pool),
        )
    except SharedGroundError as error:
        fix = "set dataset.fold_method=group or block, whose sides never do"
        raise DataError(error.what, where=where, fix=fix) from error
    except DataError as error:
        raise DataError(error.what, where=error.where or where, fix=error.fix) from error
    return {**made, "method": method}


def folds_of_units(
    table: pd.DataFrame,
    units: Sequence[str],
    split: str,
    folds: int,
    *,
    content: Sequence[str] | None = None,
    **plan: Any,
) -> dict[str, Any]:
    """Return the content of a splits file with one split, its folds of whole units.

    Where the metadata say how much there is to find in a patch, each fold gets its share of it.

    Args:
        table: metadata, one row a patch.
        units: of each patch, what must not be torn apart.
        split: name of the split.
        folds: their number.
        content: a text a patch, the same for those of the same pixels.
        plan: more of `SplitPlan`.

    Raises:
        DataError: see `make_splits`.
    """
    marked = table.assign(**{_UNIT: list(units)})
    if (share := positive_share(table.get)) is not None:
        marked[_STRATUM] = strata(units, share, folds)
    stratify = None if share is None else _STRATUM
    chosen = {"method": "group", **plan}
    made = SplitPlan(group=_UNIT, fractions={split: 1.0}, folds=folds, stratify=stratify, **chosen)
    return make_splits(marked, made, content)


def published_folds(ids: Sequence[str], split: str, folds: int) -> dict[str, Any]:
    """Return the content of a splits file with one split, its folds runs of patches in their order (`unshuffled`)."""
    rows = unshuffled(len(ids), folds)
    made = [{side: [ids[row] for row in some] for side, some in fold.items()} for fold in rows]
    return {**given_splits({split: ids}), "method": "published", "folds": made}


def unshuffled(count: int, folds: int) -> list[dict[str, RowNumbers]]:
    """Return the rows of each fold as scikit-learn's `KFold` has them: runs, the first ones longer by one."""
    rows = np.arange(count, dtype=np.int64)
    return [{"train": np.setdiff1d(rows, run), "valid": run} for run in np.array_split(rows, folds)]


def positive_share(column: Callable[[str], Any]) -> NDArray[np.float64] | None:
    """Return the share of each patch that is to be found, or 0 and 1 where only that much is known; else None.

    Args:
        column: returns a column of the metadata by name, None where there is none.
    """
    if (share := column("positive_share")) is not None:
        return np.asarray(share, dtype=np.float64)
    empty = column("empty")
    return None if empty is None else 1.0 - np.asarray(empty, dtype=np.float64)


def strata(units: Sequence[str], share: NDArray[np.float64], folds: int) -> list[str]:
    """Return strata of as many units as there are folds, by their positive shares, so that each fold gets one of each.

    Units that are left over belong to the last stratum.

    Args:
        units: of each patch.
        share: positive share of each patch.
        folds: their number.
    """
    names, of = np.unique(np.asarray(units, dtype=str), return_inverse=True)
    mean = np.bincount(of, weights=share) / np.bincount(of)
    place = np.empty(len(names), dtype=np.int64)
    place[np.lexsort((names, -mean))] = np.arange(len(names))
    last = max(len(names) // folds - 1, 0)
    return [f"{min(one // folds, last):06d}" for one in place[of].tolist()]


def expect_positives(pool: Patches, content: Mapping[str, Any], options: DatasetOptions) -> None:
    """Raise a `DataError` where a side of a fold holds nothing to find, as far as classes and metadata tell.

    Of drawn folds all are looked at; of folds that are given, or published, the one that is used.
    """
    labels = (pool.preparation or {}).get("labels") or {}
    if not pool.has_labels or labels.get("kind") == "values":
        return
    if (share := positive_share(pool.column)) is None:
        return
    row = {one: number for number, one in enumerate(pool.ids())}
    if options.fold == "all":
        return  # nothing is held out
    used = options.fold or 0
    drawn = options.fold_method not in ("given", "published")
    folds = content["folds"] if drawn else content["folds"][used : used + 1]
    rows = [
        {side: np.array([row[one] for one in fold[side] if one in row], dtype=np.int64) for side in ("train", "valid")}
        for fold in folds
    ]
    refuse_without_positives(rows, share > 0, first=0 if drawn else used)


def expect_count(content: Mapping[str, Any], options: DatasetOptions, file: Path) -> None:
    """Raise a `DataError` where a file has no folds, or another number than is asked for."""
    there = len(content["folds"])
    if not there:
        raise DataError("no folds are given in the splits file", where=str(file), fix=CHOOSE)
    if options.folds is not None and options.folds != there:
        raise DataError(
            f"{there} folds are given, dataset.folds asks for {options.folds}",
            where=str(file),
            fix=f"leave dataset.folds away, or {CHOOSE}",
        )


def warn_of_published(options: DatasetOptions) -> None:
    """Say that published folds may share ground."""
    if options.fold_method == "published":
        log.warning(
            "published folds are runs of patches in their order: training and validation may share ground, and the "
            "scores may be too good; for comparison only"
        )


def undrawn(options: DatasetOptions) -> DatasetOptions:
    """Return the options without what they say of splits, folds and labels of their own data."""
    return replace(options, splits=None, fold=None, folds=None, fold_method="given", labels_path=None)


def _units(table: pd.DataFrame, places: Polygons | None, options: DatasetOptions, where: str) -> list[str]:
    """Return the unit of each patch: what must not be torn apart."""
    if options.fold_method == "random":
        return [str(row) for row in range(len(table))]
    if options.fold_method == "block":
        if places is None:
            raise DataError(
                "squares need places on the ground, and the metadata have none",
                where=where,
                fix="add lon_w lat_s lon_e lat_n or a geometry, or set dataset.fold_method=group",
            )
        import shapely

        side = options.block_m or PATCHES_A_BLOCK * float(np.sqrt(shapely.area(places)).mean())
        return block_of(places, side)
    column = options.group or "scene"
    if column not in table:
        raise DataError(
            f"the metadata have no column {column!r} that says what belongs together",
            where=where,
            fix=f"set dataset.group to one of {', '.join(map(str, table.columns))}",
        )
    groups = [str(one) for one in table[column]]
    return groups if places is None else joined_groups(groups, places)
