"""The table of a patch set: Parquet, and GeoParquet where its rows have a geometry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.damage import reading
from ..core.errors import DataError

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
    what = "the table of the patches cannot be read"
    with reading(path, fix="copy or prepare the data again", what=what):
        table: pd.DataFrame = pq.read_table(path).to_pandas()
    return table
