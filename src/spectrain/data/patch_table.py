"""The table of a patch set: Parquet, and GeoParquet where its rows have a geometry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..core.damage import reading
from ..core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd  # a third of a second, which reading a column does without

GEOMETRY = "geometry"


def write_patch_table(table: pd.DataFrame, path: Path, crs: Mapping[str, Any] | None = None) -> None:
    """Write one row a patch.

    A column ``geometry`` of WKB bytes makes it GeoParquet 1.1.0 (https://geoparquet.org/releases/v1.1.0/).

    Args:
        table: with a column ``patch_id``.
        path: the file.
        crs: of the geometry, as PROJJSON; None is longitude and latitude (OGC:CRS84), which is what the format
            takes where nothing is said.

    Raises:
        DataError: a column that Parquet cannot hold, or a geometry that is not WKB.
    """
    try:
        columns = pa.Table.from_pandas(table, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"the metadata cannot be written as Parquet: {error}", where=str(path), fix="give each column one type"
        ) from error
    if GEOMETRY in table:
        if not pa.types.is_binary(columns.schema.field(GEOMETRY).type):
            raise DataError("the column 'geometry' is not WKB", where=str(path), fix="write it with shapely.to_wkb")
        column: dict[str, Any] = {"encoding": "WKB", "geometry_types": []}
        if crs is not None:
            column["crs"] = dict(crs)
        geo = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
        columns = columns.replace_schema_metadata({**(columns.schema.metadata or {}), b"geo": json.dumps(geo).encode()})
    with path.open("wb") as file:
        pq.write_table(columns, file)


def read_patch_table(path: Path) -> pd.DataFrame:
    """Return the table; a geometry stays WKB bytes.

    Raises:
        DataError: the file is missing or damaged.
    """
    with _reading(path):
        table: pd.DataFrame = pq.read_table(path).to_pandas()
    return table


def read_patch_column(path: Path, name: str) -> tuple[int, list[str], NDArray[Any] | None]:
    """Return the number of rows, the names of all columns, and one of them, None where there is none; without pandas.

    Missing numbers are NaN; what is neither a number nor a truth value is a Python object, None where it is missing.

    Raises:
        DataError: the file is missing or damaged.
    """
    with _reading(path), pq.ParquetFile(path) as file:
        names = list(file.schema_arrow.names)
        found = _array(file.read(columns=[name])[name]) if name in names else None
        return file.metadata.num_rows, names, found


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return an array by way of Python's values: pyarrow's own ways, of the type too, import pandas."""
    kind, whole = column.type, column.null_count == 0
    dtype: Any = object
    if pa.types.is_floating(kind):
        dtype = f"f{kind.bit_width // 8}"
    elif pa.types.is_integer(kind):
        dtype = str(kind) if whole else np.float64
    elif pa.types.is_boolean(kind) and whole:
        dtype = np.bool_
    return np.array(column.to_pylist(), dtype=dtype)  # None becomes NaN in numbers


def _reading(path: Path) -> AbstractContextManager[None]:
    return reading(path, fix="copy or prepare the data again", what="the table of the patches cannot be read")
