"""What every file of points has: columns by name, a place a row, and a coordinate system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError, perhaps

BLOCK = 1 << 17
"""Rows that are read at once."""
DEGREES = (("lon", "lat"), ("longitude", "latitude"), ("lon_lowestmode", "lat_lowestmode"))
PLANE = (("x", "y"),)
"""Names that places have where nobody says them, in capitals or not; the first are degrees."""
LON_LAT = "EPSG:4326"
_LISTED = 20


@dataclass(frozen=True)
class Block:
    """Some rows of a file, in order.

    Attributes:
        x: float64 [N], of the file's coordinate system; NaN where a row has no place.
        y: float64 [N].
        columns: [N] each, by the names that were asked for.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    columns: dict[str, NDArray[Any]]


class PointFile(Protocol):
    """A file of points that was opened; only its header was read."""

    path: Path
    crs: Any
    """As pyproj takes it."""

    def blocks(self) -> Iterator[Block]:
        """Yield all rows, `BLOCK` at most at a time.

        Raises:
            DataError: the file is damaged.
        """
        ...


@dataclass(frozen=True)
class Wanted:
    """What is to be read of each file.

    Attributes:
        columns: names of columns.
        xy: columns of the place; none guesses, or takes the geometry.
        crs: coordinate system of files that do not say theirs, or None.
    """

    columns: tuple[str, ...]
    xy: tuple[str, ...] = ()
    crs: str | None = None


def no_column(name: str, there: Sequence[str], path: Path, option: str = "") -> DataError:
    """Return the error that a file has no such column; the nearest is named."""
    listed = ", ".join(there[:_LISTED]) + (", ..." if len(there) > _LISTED else "")
    return DataError(
        f"there is no column {name!r}" + perhaps(name, there),
        where=f"{path}{option and f', {option}'}",
        fix=f"the columns are {listed or 'none'}",
    )


def columns_in(there: Sequence[str], wanted: Sequence[str], path: Path) -> None:
    """Raise a `DataError` unless all columns are there."""
    for name in wanted:
        if name not in there:
            raise no_column(name, there, path)


def place_columns(there: Sequence[str], wanted: Wanted, path: Path) -> tuple[tuple[str, str], str]:
    """Return the two columns of the place, and their coordinate system.

    Args:
        there: names of the file's columns.
        wanted: what was asked for.
        path: for messages.

    Raises:
        DataError: there are none, or nobody says in which coordinate system.
    """
    if wanted.xy:
        columns_in(there, wanted.xy, path)
        pair = (wanted.xy[0], wanted.xy[1])
    else:
        lower = {name.lower(): name for name in reversed(there)}
        found = [(lower[x], lower[y]) for x, y in (*DEGREES, *PLANE) if x in lower and y in lower]
        if not found:
            raise DataError(
                "no columns are called like a place, as lon and lat",
                where=str(path),
                fix=f"name them with points-xy=[X,Y]; the columns are {', '.join(there[:_LISTED])}",
            )
        pair = found[0]
    if wanted.crs is not None:
        return pair, wanted.crs
    last = tuple(name.rpartition("/")[2].lower() for name in pair)
    if last in DEGREES:
        return pair, LON_LAT
    raise DataError(
        f"nobody says in which coordinate system {pair[0]!r} and {pair[1]!r} are",
        where=str(path),
        fix="give points-crs=EPSG:...",
    )


def numbers(values: NDArray[Any], name: str, path: Path) -> NDArray[np.float64]:
    """Return a column as decimals.

    Raises:
        DataError: it holds a text.
    """
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the column {name!r} is no number: {str(error)[:200]}",
            where=str(path),
            fix="correct it, or name another column",
        ) from error
