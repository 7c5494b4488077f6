"""Points in tables: CSV, Parquet, GeoParquet, and vector files of points."""

from __future__ import annotations

import contextlib
import csv
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.damage import said
from ...core.errors import DataError
from ...data.csv_table import LONGEST_HEADER
from ...data.ground import packages
from ...data.raster.vector_drivers import expect_own_features
from .columns import BLOCK, LON_LAT, Block, Wanted, columns_in, numbers, place_columns

POINT, POINTS = 0, 4
"""Shapely's numbers of a point and of several."""


class CsvPoints:
    """Points in text with a header; columns are parted by commas, semicolons or tabs.

    Args:
        path: the file.
        wanted: columns and place.

    Raises:
        DataError: it is missing, empty or no text, or a column is not there.
    """

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.path, self._wanted = path, wanted
        try:
            with path.open(encoding="utf-8-sig") as file:
                first = file.readline(LONGEST_HEADER + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from error
        if len(first) > LONGEST_HEADER:
            raise _unreadable(path, ValueError("the first line is no header: it is longer than 1 MiB"))
        self._delimiter = max(",;\t", key=first.count)
        try:
            there = [name.strip() for name in next(csv.reader([first], delimiter=self._delimiter), [])]
        except csv.Error as error:
            raise _unreadable(path, error) from error
        _expect_rows(path)
        columns_in(there, wanted.columns, path)
        self._places, self.crs = place_columns(there, wanted, path)
        self._there = there

    def blocks(self) -> Iterator[Block]:
        """See `PointFile.blocks`."""
        import pandas as pd

        needed = dict.fromkeys((*self._places, *self._wanted.columns))
        x, y = self._places
        try:
            # all columns, since rows of too many cells are only noticed so
            with pd.read_csv(
                self.path,
                sep=self._delimiter,
                names=self._there,
                header=0,
                index_col=False,
                chunksize=BLOCK,
                encoding="utf-8-sig",
                skipinitialspace=True,
                low_memory=False,
            ) as reader:
                for table in _strictly(reader):
                    columns = {name: table[name].to_numpy() for name in needed}
                    yield Block(
                        numbers(columns[x], x, self.path),
                        numbers(columns[y], y, self.path),
                        {name: columns[name] for name in self._wanted.columns},
                    )
        except (OSError, ValueError) as error:  # what pandas cannot parse is a ValueError
            raise _unreadable(self.path, error) from error


def _expect_rows(path: Path) -> None:
    """Raise where a row is longer than any table's: pandas would make millions of columns of it.

    A piece without a line break is looked for, which costs little beside reading the numbers.
    """
    with path.open("rb") as file:
        while len(piece := file.read(LONGEST_HEADER)) == LONGEST_HEADER:
            if b"\n" not in piece and b"\r" not in piece:
                raise _unreadable(path, ValueError("a line is longer than 1 MiB, which no row of points is"))


def _strictly(reader: Iterator[Any]) -> Iterator[Any]:
    """Yield tables; that cells were left away is an error and not a warning."""
    import pandas as pd

    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            try:
                table = next(reader, None)
            except pd.errors.ParserWarning as error:
                raise ValueError("a row has more cells than the header") from error
        if table is None:
            return
        yield table


class ParquetPoints:
    """Points in Parquet: of the geometry where it is GeoParquet and no columns are named, else of columns.

    Args:
        path: the file.
        wanted: columns and place.

    Raises:
        DataError: it is damaged, a column is not there, or the geometry is in another encoding than WKB.
    """

    def __init__(self, path: Path, wanted: Wanted) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path, self._wanted = path, wanted
        try:
            schema = pq.read_schema(path)
            geo = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise _unreadable(path, error) from error
        columns_in(schema.names, wanted.columns, path)
        self._geometry = None if wanted.xy else geo.get("primary_column")
        self._places = ("", "")
        if self._geometry is None:
            self._places, self.crs = place_columns(schema.names, wanted, path)
            return
        about = geo.get("columns", {}).get(self._geometry, {})
        if about.get("encoding", "WKB") != "WKB":
            raise DataError(
                f"the geometry is written as {about['encoding']}", where=str(path), fix="write it as WKB, the default"
            )
        own = about.get("crs", LON_LAT)
        self.crs = _said(json.dumps(own) if isinstance(own, dict) else own, wanted, path)

    def blocks(self) -> Iterator[Block]:
        """See `PointFile.blocks`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        places = [self._geometry] if self._geometry else list(self._places)
        try:
            with pq.ParquetFile(self.path) as file:
                names = list(dict.fromkeys((*places, *self._wanted.columns)))
                for batch in file.iter_batches(BLOCK, columns=names):
                    yield _block(batch, self._geometry, self._places, self._wanted, self.path)
        except (OSError, pa.ArrowInvalid) as error:
            raise _unreadable(self.path, error) from error


class VectorPoints:
    """Points in a vector file of another kind that holds its own features, read as a stream.

    Args:
        path: the file.
        wanted: columns and place.

    Raises:
        DataError: it is damaged, leads elsewhere, or a column is not there.
    """

    def __init__(self, path: Path, wanted: Wanted) -> None:
        packages()
        import pyogrio

        self.path, self._wanted = path, wanted
        self._opened = expect_own_features(path)
        try:
            info = pyogrio.read_info(path, **self._opened)
        except (OSError, ValueError, RuntimeError) as error:
            raise _unreadable(path, error) from error
        there = [str(name) for name in info["fields"]]
        columns_in(there, wanted.columns, path)
        self._places = ("", "")
        if wanted.xy or info["geometry_type"] is None:
            self._places, self.crs = place_columns(there, wanted, path)
        else:
            self.crs = _said(info["crs"], wanted, path)
        self._count = int(info["features"])

    def blocks(self) -> Iterator[Block]:
        """See `PointFile.blocks`."""
        import pyogrio

        if not self._count:
            return
        names = list(dict.fromkeys((*filter(None, self._places), *self._wanted.columns)))
        spatial = not self._places[0]
        with contextlib.ExitStack() as stack:
            try:
                about, reader = stack.enter_context(
                    pyogrio.open_arrow(
                        self.path,
                        columns=names,
                        read_geometry=spatial,
                        batch_size=BLOCK,
                        use_pyarrow=True,
                        **self._opened,
                    )
                )
                geometry = (about["geometry_name"] or "wkb_geometry") if spatial else None
                for batch in reader:
                    yield _block(batch, geometry, self._places, self._wanted, self.path)
            except (OSError, ValueError, RuntimeError) as error:
                raise _unreadable(self.path, error) from error


def _block(batch: Any, geometry: str | None, places: tuple[str, str], wanted: Wanted, path: Path) -> Block:
    """Return a record batch of Arrow as a block."""
    columns = {name: _column(batch.column(name)) for name in wanted.columns}
    if geometry is None:
        x, y = (numbers(_column(batch.column(name)), name, path) for name in places)
        return Block(x, y, columns)
    shapely, _ = packages()
    shapes = shapely.from_wkb(batch.column(geometry).to_numpy(zero_copy_only=False))
    kinds = shapely.get_type_id(shapes)
    if (kinds == POINTS).any():
        one = (kinds == POINTS) & (shapely.get_num_geometries(shapes) == 1)
        shapes[one] = shapely.get_geometry(shapes[one], 0)
        kinds = shapely.get_type_id(shapes)
    wrong = ~shapely.is_missing(shapes) & (kinds != POINT)
    if wrong.any():
        first = shapes[int(np.argmax(wrong))]
        raise DataError(
            f"{int(wrong.sum())} of {len(shapes)} geometries are no points, the first is a {first.geom_type}",
            where=str(path),
            fix="write a point a row; areas are labels by labels=FILE",
        )
    return Block(shapely.get_x(shapes), shapely.get_y(shapes), columns)


def _column(column: Any) -> NDArray[Any]:
    """Return a column of Arrow; missing numbers are NaN, missing texts None."""
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found


def _said(own: Any, wanted: Wanted, path: Path) -> Any:
    """Return the coordinate system of a file, else what the user says."""
    if own or wanted.crs:
        return own or wanted.crs
    raise DataError("the file has no coordinate system", where=str(path), fix="write it, or give points-crs=EPSG:...")


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"the points cannot be read: {getattr(error, 'strerror', None) or said(error)}",
        where=str(path),
        fix="see that the file is whole: a CSV table, GeoParquet, another vector file, or HDF5",
    )
