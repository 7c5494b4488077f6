"""The later layout of DARTS: one Zarr group of all patches, and a table that says where each is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...config.schema import DatasetOptions
from ...core.errors import DataError
from ..group_splits import drawn_splits, rows_of
from ..native.format import MANIFEST
from ..native.prepared import CROSS, PUBLISHED_IGNORED
from ..patches import Patches
from ..raster.ground import joined_by_ground
from ..reader import ALL
from ..splits import RowNumbers
from ..subset import Subset
from .darts_config import darts_bands
from .group import group_patches
from .metadata import is_group

if TYPE_CHECKING:
    import pandas as pd

IMAGES, TABLE, NUMBER = "data.zarr", "metadata.parquet", "z_idx"
SCENE = ("sample_id", "planet_id", "scene")
"""Columns that say which scene a patch is of."""


class DartsTableReader:
    """Opens folders with ``data.zarr`` (``x``, ``y``) and ``metadata.parquet``, a row a patch, its place in ``z_idx``.

    Whole scenes are drawn for ``train``, ``valid`` and ``test``, those that share ground together; ``cross-val`` is
    everything but ``test``, and ``all`` is everything. Labels 2 and 255 do not count.
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "folder of DARTS patches with their table (data.zarr, metadata.parquet)"
    pool: str | None = ALL
    folded: str | None = CROSS

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the folder holds the Zarr group and the table."""
        group = path / IMAGES
        return (path / TABLE).is_file() and is_group(group) and not (group / MANIFEST).is_file()

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the splits; `ALL` where there are too few scenes to draw any."""
        options = DatasetOptions()
        patches = _everything(path, options)
        try:
            return list(_splits(path, patches, options))
        except DataError:
            return [ALL]

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the patches of one split.

        Raises:
            DataError: no such split, too few scenes, a table that does not fit, or damaged data.
        """
        patches = _everything(path, options)
        if split_key == ALL:
            return patches
        if split_key == CROSS and not options.test_fraction:
            return Subset(patches, CROSS, np.arange(len(patches), dtype=np.int64))
        splits = _splits(path, patches, options)
        if split_key == CROSS:
            kept = [rows for name, rows in splits.items() if name != "test"]
            return Subset(patches, CROSS, np.sort(np.concatenate(kept)))
        return Subset(patches, split_key, rows_of(splits, split_key, len(patches), str(path)))


def metadata_rows(folder: Path, count: int) -> pd.DataFrame:
    """Return the table's rows in the order of the patches, with ``scene`` where it only knows a sample.

    Args:
        folder: with the table in it.
        count: number of patches.

    Raises:
        DataError: the table is damaged, or does not have just one row a patch.
    """
    from ..patch_table import read_patch_table  # pandas and pyarrow take a while

    file = folder / TABLE
    table = read_patch_table(file)
    if NUMBER in table:
        table = table.sort_values(NUMBER, kind="stable")
    numbers = table[NUMBER].to_numpy() if NUMBER in table else np.arange(len(table))
    if not np.array_equal(numbers, np.arange(count)):
        raise DataError(
            f"the table has {len(table)} rows for {count} patches, or {NUMBER} does not count them from 0",
            where=str(file),
            fix="write one row a patch, or prepare the data again",
        )
    table = table.reset_index(drop=True)
    if "patch_id" not in table or table["patch_id"].astype(str).duplicated().any():
        table["patch_id"] = [str(number) for number in range(len(table))]
    table["patch_id"] = table["patch_id"].astype(str)
    scene = next((name for name in SCENE if name in table), None)
    return table if scene is None or "scene" in table else table.assign(scene=table[scene].astype(str))


def _everything(path: Path, options: DatasetOptions) -> Patches:
    """Return all patches of a folder."""
    return group_patches(
        path / IMAGES,
        ALL,
        options,
        bands=darts_bands(path),
        preparation={"labels": {"kind": "classes", "ignored": PUBLISHED_IGNORED}},
        table=partial(metadata_rows, path),
    )


def _splits(path: Path, patches: Patches, options: DatasetOptions) -> Mapping[str, RowNumbers]:
    """Return the rows of each split: whole scenes, drawn."""
    table, where = patches.metadata(), str(path / TABLE)
    column = options.group or next((name for name in SCENE if name in table), None)
    if column is None or column not in table:
        raise DataError(
            "the table does not say of which scene a patch is" if column is None else f"there is no column {column!r}",
            where=where,
            fix=f"name the column with dataset.group; there are {', '.join(map(str, table.columns))}",
        )
    groups = [str(one) for one in table[column]]
    geometry = list(table["geometry"]) if "geometry" in table else None
    if geometry is not None:
        groups = joined_by_ground(groups, geometry)
    return drawn_splits(groups, options, where, geometry)
