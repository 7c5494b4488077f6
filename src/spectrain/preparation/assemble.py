"""From the parts of all scenes to the patch sets of the splits."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_write, disk_errors
from ..core.bands import Bands
from ..core.errors import DataError
from ..data.ground import footprints, sharing
from ..data.native.convert import with_sparse
from ..data.native.writer import SHARD_BYTES, NativeWriter
from ..data.patches import Rows, physical_values
from ..data.sparse_labels import SPARSE
from ..data.splits import SplitPlan, make_splits
from ..data.splits_file import given_splits
from .assign import CROSS, SPLITS, TEST, VAL, Assignment
from .folds import TOUCHING_M, FoldPlan, with_folds
from .options import PrepareOptions
from .parts import OF_SCENES, Part

if TYPE_CHECKING:
    import pandas as pd

SHARED = "shares ground with another split"
AT_ONCE = 64 << 20
"""Bytes of images that are handed over at once."""


@dataclass(frozen=True)
class Rowset:
    """Patches of a split: of each part some, in order.

    Attributes:
        table: their metadata.
        picks: for each row the part and the row in it, [N,2].
    """

    table: pd.DataFrame
    picks: NDArray[np.int64]


def by_split(
    parts: Sequence[Part], assignment: Assignment, options: PrepareOptions, dropped: Counter[str]
) -> dict[str, Rowset]:
    """Return the patches of each split, none of which share ground.

    Where patches of two splits share ground, those for training (or for val-test beside test) are left out.

    Args:
        parts: of all scenes, in their order.
        assignment: of scenes to splits.
        options: how to split within scenes.
        dropped: counts what is left out.
    """
    import pandas as pd

    tables, picks = [], []
    for number, part in enumerate(parts):
        table = part.table()
        name = part.about["scene"]
        if not len(table) or name not in assignment.split_of:
            continue
        table.insert(2, "region", assignment.region.get(name, ""))
        table["split"] = assignment.split_of[name]
        tables.append(table)
        picks.append(np.stack([np.full(len(table), number), np.arange(len(table))], axis=1))
    if not tables:
        return {}
    whole, places = pd.concat(tables, ignore_index=True), np.concatenate(picks).astype(np.int64)
    if options.blocks is not None:
        whole["split"] = _blocked(whole, options)
    ground = footprints(whole)
    split = whole["split"].to_numpy(dtype=object)
    if ground is not None:
        for later in (TEST, VAL):
            earlier = np.isin(split, SPLITS[: SPLITS.index(later)])
            mine, theirs = np.flatnonzero(earlier), np.flatnonzero(split == later)
            split[mine[sharing(ground[mine], ground[theirs])]] = ""
    lost = int((split == "").sum())
    if lost:
        dropped[SHARED] += lost
    found = {}
    for name in SPLITS:
        rows = np.flatnonzero(split == name)
        if len(rows):
            table = whole.iloc[rows].drop(columns="split").reset_index(drop=True)
            found[name] = Rowset(table, places[rows])
    return found


def _blocked(whole: pd.DataFrame, options: PrepareOptions) -> NDArray[Any]:
    """Return the split of each patch by squares on the ground; those of test scenes stay; "" where it would share."""
    split = whole["split"].to_numpy(dtype=object).copy()
    rest = np.flatnonzero(split == CROSS)
    shares = {CROSS: 1 - options.test_val_split - options.test_split, VAL: options.test_val_split}
    shares = {name: share for name, share in {**shares, TEST: options.test_split}.items() if share > 0}
    table = whole.iloc[rest].reset_index(drop=True)
    plan = SplitPlan(method="block", fractions=shares, seed=options.seed, block_m=options.blocks, buffer_m=TOUCHING_M)
    try:
        made = make_splits(table, plan)["splits"]
    except DataError as error:
        raise DataError(
            f"{error.what}: there are {len(table)} patches to deal out by squares of {options.blocks:g} m",
            where="blocks",
            fix="give smaller blocks, a larger test_val_split (or test_split), or 0 to it",
        ) from error
    of = {one: name for name, ids in made.items() for one in ids}
    split[rest] = [of.get(str(one), "") for one in table["patch_id"]]
    return split


def rows_of(rowset: Rowset, parts: Sequence[Part], *, masked: bool) -> Iterator[tuple[Rows, pd.DataFrame]]:
    """Yield the patches of a split with their metadata, a few at a time, in order."""
    for number in dict.fromkeys(rowset.picks[:, 0].tolist()):
        at = np.flatnonzero(rowset.picks[:, 0] == number)
        part = parts[number]
        shape = part.about["arrays"]["x"]["shape"][1:]
        each = int(np.prod(shape)) * np.dtype(part.about["arrays"]["x"]["dtype"]).itemsize
        step = max(1, AT_ONCE // each)
        for start in range(0, len(at), step):
            some = at[start : start + step]
            yield part.rows(rowset.picks[some, 1], masked=masked), rowset.table.iloc[some]


def splits_of(name: str, table: pd.DataFrame, options: PrepareOptions) -> tuple[dict[str, Any], list[str]]:
    """Return the content of a split's splits.json."""
    if name != CROSS:
        return given_splits({name: [str(one) for one in table["patch_id"]]}), []
    return with_folds(table, FoldPlan(options.folds, options.fold_method, options.seed, options.blocks))


def write_zarr(
    folder: Path,
    rowsets: Mapping[str, Rowset],
    parts: Sequence[Part],
    bands: Bands,
    preparation: Mapping[str, Any],
    options: PrepareOptions,
) -> list[str]:
    """Write a native patch set a split, and return what the user should know. Those that are there already stay."""
    masked = any("mask" in part.about["arrays"] for part in parts)
    values = ((preparation.get("labels") or {}).get("kind")) == "values"
    sparse = values and np.mean(np.concatenate([one.table["labelled_share"] for one in rowsets.values()])) <= SPARSE
    lines: list[str] = []
    for name, rowset in rowsets.items():
        splits, said = splits_of(name, rowset.table, options)
        lines += said
        path = folder / f"{name}.zarr"
        if path.exists():
            continue
        with NativeWriter(path, bands, shard_bytes=1 if options.no_shards else SHARD_BYTES) as writer:
            for rows, table in rows_of(rowset, parts, masked=masked):
                writer.append(with_sparse(rows) if sparse else rows, table)
            writer.commit(splits=splits, preparation=preparation)
    return lines


NPY = {CROSS: "train", VAL: "val", TEST: "test"}


def write_npy(
    folder: Path,
    rowsets: Mapping[str, Rowset],
    parts: Sequence[Part],
    bands: Bands,
    preparation: Mapping[str, Any],
    options: PrepareOptions,
) -> list[str]:
    """Write ``images/train/ID.npy`` (float32 [C,h,w], physical, NaN is missing) and ``labels/train/ID.npy`` beside.

    ``patches.parquet`` has a row each, ``splits.json`` the folds, ``bands.json`` and ``preparation.json`` the bands.
    """
    import json

    import pandas as pd

    from ..data.patch_table import write_patch_table

    made = folder / ".npy-partial"
    shutil.rmtree(made, ignore_errors=True)
    tables: list[pd.DataFrame] = []
    lines: list[str] = []
    with disk_errors(folder, OF_SCENES):
        for name, rowset in rowsets.items():
            for kind in ("images", "labels"):
                (made / kind / NPY[name]).mkdir(parents=True, exist_ok=True)
            for rows, table in rows_of(rowset, parts, masked=False):
                images = physical_values(rows, bands)
                labels = None if rows.labels is None else np.asarray(rows.labels)
                for place, one in enumerate(table["patch_id"]):
                    np.save(made / "images" / NPY[name] / f"{one}.npy", images[place])
                    if labels is not None:
                        np.save(made / "labels" / NPY[name] / f"{one}.npy", labels[place])
            tables.append(rowset.table.assign(split=NPY[name]))
            if name == CROSS:
                splits, lines = splits_of(name, rowset.table, options)
                atomic_write(made / "splits.json", json.dumps(splits, indent=1) + "\n", OF_SCENES)
        write_patch_table(pd.concat(tables, ignore_index=True), made / "patches.parquet", None)
        atomic_write(made / "bands.json", json.dumps(bands.to_json(), indent=1) + "\n", OF_SCENES)
        atomic_write(made / "preparation.json", json.dumps(preparation, indent=1) + "\n", OF_SCENES)
        for one in sorted(made.iterdir()):
            target = folder / one.name
            if target.is_dir():
                shutil.rmtree(target)
            one.replace(target)
        made.rmdir()
    return lines
