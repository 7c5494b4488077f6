"""Vector files: polygons of labels, of what was labelled, and of regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.damage import said
from ..core.errors import DataError, needs, perhaps
from ..data.ground import packages
from ..data.raster.vector_drivers import expect_own_features

SUFFIXES = (".shp", ".gpkg", ".geojson", ".json", ".fgb", ".parquet", ".zip", ".kml", ".gml")
UNNAMED = ("background", "object")


@dataclass(frozen=True)
class Polygons:
    """Polygons with a class each.

    Attributes:
        geometry: shapely polygons [P].
        classes: uint8 [P], 1 and more.
        crs: their coordinate system, as pyproj has it.
        names: of the classes, the background first.
        rows: which row of the file each was, to tell them apart.
        mended: how many were not valid and were mended.
        source: the file.
    """

    geometry: NDArray[np.object_]
    classes: NDArray[np.uint8]
    crs: Any
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    mended: int
    source: Path

    def chosen(self, which: NDArray[Any]) -> Polygons:
        """Return some of them."""
        return Polygons(
            self.geometry[which], self.classes[which], self.crs, self.names, self.rows[which], self.mended, self.source
        )


class EmptyVectorError(DataError):
    """A vector file that holds nothing."""


def no_polygons(path: Path, names: Sequence[str] = ()) -> Polygons:
    """Return the polygons of a file that holds none.

    Args:
        path: the vector file.
        names: of the classes, the background first.
    """
    nothing = np.empty(0, np.int64)
    return Polygons(
        np.empty(0, object), nothing.astype(np.uint8), 4326, tuple(names) or UNNAMED, nothing, mended=0, source=path
    )


def is_vector(path: Path) -> bool:
    """Say whether a file is a vector file by its ending."""
    return path.suffix.lower() in SUFFIXES


def read_table(path: Path) -> Any:
    """Return a vector file as a GeoDataFrame.

    Raises:
        DataError: it is missing, damaged, empty, has no coordinate system, or leads elsewhere.
    """
    stat = _stat(path)
    return _read(path, stat.st_size, stat.st_mtime_ns)


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), fix="correct the path") from error


@lru_cache(maxsize=64)
def _read(path: Path, size: int, modified: int) -> Any:
    with needs("geo", "to read vector files"):
        import geopandas
    opened = expect_own_features(path)
    try:
        table = (
            geopandas.read_parquet(path) if path.suffix.lower() == ".parquet" else geopandas.read_file(path, **opened)
        )
    except Exception as error:
        raise DataError(
            f"cannot be read as a vector file: {said(error)}",
            where=str(path),
            fix="see that it is whole, and of GeoPackage, Shapefile, GeoJSON or GeoParquet",
        ) from error
    if not hasattr(table, "geometry") or len(table) == 0:
        raise EmptyVectorError(
            "the vector file holds nothing", where=str(path), fix="write its polygons, or name another"
        )
    if table.crs is None:
        raise DataError(
            "the vector file has no coordinate system", where=str(path), fix="write it (a .prj beside a shapefile)"
        )
    return table


def read_polygons(path: Path, column: str | None = None, names: Sequence[str] = ()) -> Polygons:
    """Return the polygons of a file with their classes; those that are not valid are mended.

    Args:
        path: the vector file.
        column: of the classes: whole numbers from 1, or words; None is one class.
        names: of the classes, the background first; words not among them are an error.

    Raises:
        DataError: see `read_table`; there is no such column, no polygon, or a class that is none.
    """
    stat = _stat(path)
    return _polygons(path, column, tuple(names), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)
def _polygons(path: Path, column: str | None, names: tuple[str, ...], size: int, modified: int) -> Polygons:
    shapely, _ = packages()
    table = read_table(path)
    shapes = np.array(table.geometry.to_numpy(), dtype=object)
    rows = np.arange(len(shapes), dtype=np.int64)
    shapes = np.array([_areas(shape) for shape in shapes], dtype=object)
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    there &= np.isin(shapely.get_type_id(shapes), (3, 6))  # polygons, and several in one
    if not there.any():
        raise DataError(
            "the vector file holds no polygon",
            where=str(path),
            fix="labels are areas: write polygons, or a raster; points are given by labels=points",
        )
    shapes, rows = shapes[there], rows[there]
    broken = ~shapely.is_valid(shapes)
    # areas only: what mending may leave of lines would be burnt as pixels
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    classes, found = _classes(table.iloc[rows], column, names, path)
    return Polygons(shapes, classes, table.crs, found, rows, int(broken.sum()), path)


def _areas(shape: Any) -> Any:
    """Return the polygons of a collection as one; anything else as it is."""
    shapely, _ = packages()
    if shape is None or shapely.get_type_id(shape) != 7:
        return shape
    return shapely.multipolygons([part for part in shapely.get_parts(shape) if shapely.get_type_id(part) == 3])


def _classes(
    table: Any, column: str | None, names: Sequence[str], path: Path
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    if column is None:
        return np.ones(len(table), dtype=np.uint8), tuple(names) or UNNAMED
    values = [_whole(value) for value in column_of(table, column, path)]
    if lacking := [place for place, value in enumerate(values) if value is None]:
        raise DataError(
            f"{len(lacking)} of {len(values)} polygons have no class in {column!r}, the first in row "
            f"{table.index[lacking[0]]}",
            where=str(path),
            fix="fill in their class, or take these polygons out",
        )
    if all(isinstance(value, int | np.integer) for value in values):
        numbers = np.array(values, dtype=np.int64)
        if numbers.min() < 0 or numbers.max() > 254:
            raise DataError(
                f"the classes in {column!r} go from {numbers.min()} to {numbers.max()}",
                where=str(path),
                fix="number them 1 to 254, 0 is the background",
            )
        return numbers.astype(np.uint8), tuple(names) or tuple(str(one) for one in range(int(numbers.max()) + 1))
    words = [str(value) for value in values]
    known = tuple(names) or ("background", *sorted(set(words)))
    if unknown := sorted(set(words) - set(known)):
        raise DataError(
            f"the class {unknown[0]!r} in {column!r} is not among label-names",
            where=str(path),
            fix=f"they are {', '.join(known)}",
        )
    if len(known) > 255:
        raise DataError(f"{column!r} has {len(known) - 1} classes", where=str(path), fix="there may be 254")
    return np.array([known.index(word) for word in words], dtype=np.uint8), known


def _whole(value: Any) -> Any:
    """Return a class as it is meant: whole numbers that are stored as decimals, None where there is none."""
    import pandas as pd

    if pd.isna(value):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def column_of(table: Any, column: str, path: Path) -> list[Any]:
    """Return the values of a column.

    Raises:
        DataError: there is none of this name; the nearest is named.
    """
    if column not in table.columns:
        columns = [str(one) for one in table.columns if one != table.geometry.name]
        raise DataError(
            f"there is no column {column!r}" + perhaps(column, columns),
            where=str(path),
            fix=f"the columns are {', '.join(columns)}",
        )
    return list(table[column].tolist())
