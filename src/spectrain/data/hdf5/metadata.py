"""The rows of metadata that belong to the patches of an HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ...core.damage import said
from ...core.errors import DataError
from .layout import expect_own, opened_hdf5

if TYPE_CHECKING:
    import pandas as pd


def metadata_rows(path: Path, split: str, count: int) -> pd.DataFrame:
    """Return one row a patch, in the order of the patches.

    Looked for, in this order: the table ``<file's stem>_meta.parquet`` or ``.csv`` beside the file, with columns
    ``split`` and ``index_in_split`` (or none of them, where it has just these rows); the dataset or group
    ``<split>_metadata`` in it. Where there is no column ``patch_id``, it becomes ``<split>/<number>``.

    Raises:
        DataError: the table is damaged, or does not have just one row a patch.
    """
    import pandas as pd

    beside = [path.with_name(f"{path.stem}_meta{suffix}") for suffix in (".parquet", ".csv")]
    table = next((file for file in beside if file.is_file()), None)
    if table is not None:
        where = str(table)
        rows = _rows_of_table(_read_table(table), split, count, where)
    else:
        where = f"{path}: {split}_metadata"
        inside = _rows_inside(path, split)
        rows = pd.DataFrame(index=range(count)) if inside is None else inside
    if len(rows) != count:
        raise DataError(
            f"the metadata have {len(rows)} rows for the split {split!r}, which has {count} patches",
            where=where,
            fix="write one row a patch, or move the table away",
        )
    if "patch_id" not in rows:
        rows.insert(0, "patch_id", [f"{split}/{number}" for number in range(count)])
    rows["patch_id"] = rows["patch_id"].astype(str)
    if (doubled := rows["patch_id"].duplicated()).any():
        raise DataError(
            f"the patch_id {rows['patch_id'][doubled].iloc[0]!r} occurs twice", where=where, fix="make them unique"
        )
    return rows.reset_index(drop=True)


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:  # pyarrow's and pandas' errors are ValueErrors
        raise DataError(
            f"the metadata table cannot be read: {said(error)}", where=str(path), fix="write it again"
        ) from error


def _rows_of_table(table: pd.DataFrame, split: str, count: int, where: str) -> pd.DataFrame:
    """Return the rows of one split, in the order of its patches."""
    if "split" in table:
        splits = table["split"].astype(str)
        rows = table[splits == split].copy()
        if rows.empty:
            raise DataError(
                f"the metadata table has no rows for the split {split!r}",
                where=where,
                fix=f"its splits are {', '.join(splits.unique())}: add the rows, or move the table away",
            )
    else:
        rows = table.copy()
    if "index_in_split" in rows and len(rows) == count:
        rows = rows.sort_values("index_in_split", kind="stable")
        if not np.array_equal(rows["index_in_split"], np.arange(count)):
            raise DataError(
                f"index_in_split does not count the patches of {split!r} from 0 to {count - 1}, each once",
                where=where,
                fix="write one row a patch, or move the table away",
            )
    return rows


def _rows_inside(path: Path, split: str) -> pd.DataFrame | None:
    """Return the rows that ``<split>_metadata`` holds; None where there is none."""
    import pandas as pd

    with opened_hdf5(path) as file:
        held = file.get(f"{split}_metadata")
        if held is None:
            return None
        if isinstance(held, h5py.Group):
            for values in held.values():
                expect_own(values, path)
            return pd.DataFrame({name: _column(values[()]) for name, values in held.items()})
        expect_own(held, path)
        values = held[()]
        if values.dtype.names:
            return pd.DataFrame({name: _column(values[name]) for name in values.dtype.names})
        columns = values.reshape(len(values), -1)
        names = held.attrs.get("columns", [f"metadata_{number}" for number in range(columns.shape[1])])
        return pd.DataFrame({str(_plain(name)): _column(columns[:, i]) for i, name in enumerate(names)})


def _column(values: Any) -> Any:
    """Return a column with its bytes as text."""
    return [_plain(value) for value in values] if values.dtype.kind in "OS" else values


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
