"""Rasters as they look on another grid, read by windows that may reach beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..data.ground import packages
from ..data.raster.rasters import Raster, RasterImages, Transform, rasterio_package
from ..data.scene import SceneGrid
from .affine import apply, chained, inverse
from .resampling import (
    COARSER,
    MOST_SAMPLES,
    Method,
    Taps,
    Valid,
    at_points,
    axis_taps,
    point_taps,
    separable,
)

ALIGNED = 1e-3
"""Pixels by which two grids may be off each other and yet be one."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Some channels of a window.

    Attributes:
        values: [C,h,w]; any finite number where not valid.
        valid: bool [C,h,w].
    """

    values: NDArray[Any]
    valid: Valid


class Source(Protocol):
    """What gives a window of some channels on the scene's grid."""

    def read(self, row: int, column: int, height: int, width: int) -> Plane:
        """Return a window; outside the source nothing is valid."""
        ...


class RasterSource:
    """Some bands of a raster on a grid. Aligned grids keep the raster's type, others give float32.

    Args:
        raster: the file.
        grid: of the windows.
        numbers: bands to read, from 1.
        method: "nearest" for masks and classes, "bilinear" for what is measured (averaged when it comes down), "cubic".
        nodata: what means missing where the file does not say.
    """

    def __init__(
        self, raster: Raster, grid: SceneGrid, numbers: Sequence[int], method: Method, nodata: float | None = None
    ) -> None:
        self.raster, self.grid, self.numbers, self.method = raster, grid, tuple(numbers), method
        said = [raster.bands[number - 1].nodata for number in numbers]
        self.nodata = tuple(nodata if one is None else one for one in said)
        self._images = _ChosenBands(raster, self.numbers)
        self._mask = RasterImages([raster], masks=True) if raster.masked else None
        if (raster.crs is None) != (grid.crs is None):
            raise DataError(
                "the file has no coordinate system", where=str(raster.path), fix="write it into the file, or give crs"
            )

    @cached_property
    def _affine(self) -> Transform | None:
        """From (column, row) of the grid to those of the raster; None where they are of two coordinate systems."""
        if self.raster.crs is not None and not _same_crs(self.raster.crs, self.grid.crs or ""):
            return None
        return chained(inverse(self.raster.transform), self.grid.transform)

    @cached_property
    def _project(self) -> Any:
        _, pyproj = packages()
        return pyproj.Transformer.from_crs(self.grid.crs, self.raster.crs, always_xy=True)

    @cached_property
    def _shift(self) -> tuple[int, int] | None:
        """Rows and columns by which the raster's pixels are off the grid's; None where they are other pixels."""
        affine = self._affine
        if affine is None:
            return None
        a, b, c, d, e, f = affine
        side = max(*self.grid.size, 1)
        if max(abs(a - 1), abs(b), abs(d), abs(e - 1)) * side > ALIGNED:
            return None
        return (round(f), round(c)) if max(abs(c - round(c)), abs(f - round(f))) <= ALIGNED else None

    @property
    def covers(self) -> bool:
        """Every pixel of the grid has one of the raster under it, so without nodata and mask nothing is missing."""
        if self._shift is None:
            return False
        (down, across), (height, width) = self._shift, self.grid.size
        return 0 <= down <= self._size[0] - height and 0 <= across <= self._size[1] - width

    @property
    def _size(self) -> tuple[int, int]:
        return self.raster.shape[1:]

    def read(self, row: int, column: int, height: int, width: int) -> Plane:
        """See `Source.read`.

        Raises:
            DataError: the file is gone or damaged.
        """
        if self._shift is not None:
            return self._shifted(row + self._shift[0], column + self._shift[1], height, width)
        affine = self._affine
        if affine is not None and max(abs(affine[1]), abs(affine[3])) * max(self.grid.size) < ALIGNED:
            rows = axis_taps(row, height, affine[4], affine[5], self._size[0], self.method)
            columns = axis_taps(column, width, affine[0], affine[2], self._size[1], self.method)
            return self._taken(rows, columns, along=True)
        return self._scattered(row, column, height, width)

    def _shifted(self, row: int, column: int, height: int, width: int) -> Plane:
        """Return a window of the raster's own pixels."""
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + height, self._size[0]), min(column + width, self._size[1])
        shape = (len(self.numbers), height, width)
        if bottom <= top or right <= left:
            return Plane(np.zeros(shape, self.raster.dtype), np.zeros(shape, dtype=bool))
        found = self._own(top, left, bottom - top, right - left)
        if found.values.shape == shape:
            return found
        here = (slice(None), slice(top - row, bottom - row), slice(left - column, right - column))
        values, valid = np.zeros(shape, found.values.dtype), np.zeros(shape, dtype=bool)
        values[here], valid[here] = found.values, found.valid
        return Plane(values, valid)

    def _scattered(self, row: int, column: int, height: int, width: int) -> Plane:
        """Return a window of pixels that each have a place of their own in the raster."""
        samples = 1 if self.method == "nearest" else self._samples()
        offsets = (np.arange(samples) + 0.5) / samples
        if samples == 1:
            y, x = self.places(row + 0.5 + np.arange(height), column + 0.5 + np.arange(width))
            return self._taken(
                point_taps(y, self._size[0], self.method), point_taps(x, self._size[1], self.method), along=False
            )
        total = np.zeros((len(self.numbers), height, width), dtype=np.float32)
        count = np.zeros(total.shape, dtype=np.float32)
        for down in offsets:
            for across in offsets:
                y, x = self.places(row + down + np.arange(height), column + across + np.arange(width))
                part = self._taken(
                    point_taps(y, self._size[0], "nearest"), point_taps(x, self._size[1], "nearest"), along=False
                )
                total += np.where(part.valid, part.values, 0).astype(np.float32)
                count += part.valid
        valid = count >= 0.5 * samples**2
        return Plane((total / np.maximum(count, 1)).astype(np.float32), valid)

    def places(self, rows: NDArray[np.floating[Any]], columns: NDArray[np.floating[Any]]) -> tuple[Any, Any]:
        """Return rows and columns [h,w] in the raster of places in the grid; -1 where there are none."""
        column, row = np.meshgrid(columns, rows)
        x, y = apply(self.grid.transform, column, row)
        if self._affine is None:
            x, y = self._project.transform(x, y)
        across, down = apply(inverse(self.raster.transform), x, y)
        sound = np.isfinite(across) & np.isfinite(down)
        return np.where(sound, down, -1.0), np.where(sound, across, -1.0)

    def _samples(self) -> int:
        """Return how many places a side of a pixel are looked at: the raster's pixels in one, at the grid's centre."""
        height, width = self.grid.size
        y, x = self.places(height / 2 + np.arange(2.0), width / 2 + np.arange(2.0))
        sides = [np.hypot(y[1, 0] - y[0, 0], x[1, 0] - x[0, 0]), np.hypot(y[0, 1] - y[0, 0], x[0, 1] - x[0, 0])]
        longest = float(max(sides))
        return 1 if longest <= COARSER else min(MOST_SAMPLES, int(np.ceil(longest)))

    def _taken(self, rows: Taps, columns: Taps, *, along: bool) -> Plane:
        """Read what the taps need and weigh it."""
        shape = (rows.inside.shape[0], columns.inside.shape[-1])
        if not (rows.inside.any() and columns.inside.any()):
            empty = (len(self.numbers), *shape)
            return Plane(np.zeros(empty, dtype=np.float32), np.zeros(empty, dtype=bool))
        use_rows, use_columns = rows.index[:, rows.inside], columns.index[:, columns.inside]
        top, left = int(use_rows.min()), int(use_columns.min())
        bottom, right = int(use_rows.max()) + 1, int(use_columns.max()) + 1
        own = self._own(top, left, bottom - top, right - left)
        rows = Taps(np.clip(rows.index - top, 0, bottom - top - 1), rows.weight, rows.inside)
        columns = Taps(np.clip(columns.index - left, 0, right - left - 1), columns.weight, columns.inside)
        if self.method != "nearest" or len(rows.index) > 1:
            return Plane(*(separable if along else at_points)(own.values, own.valid, rows, columns))
        row, column = (rows.index[0][:, None], columns.index[0]) if along else (rows.index[0], columns.index[0])
        inside = (rows.inside[:, None] if along else rows.inside) & columns.inside
        return Plane(own.values[:, row, column], own.valid[:, row, column] & inside)

    def _own(self, row: int, column: int, height: int, width: int) -> Plane:
        """Return a window of the raster in its own pixels."""
        place = np.array([[0, row, column]], dtype=np.int64)
        values = self._images.take(place, (height, width))[0]
        valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
        for number, nodata in enumerate(self.nodata):
            if nodata is not None:
                valid[number] &= values[number] != values.dtype.type(nodata) if _holds(values.dtype, nodata) else True
        if self._mask is not None:
            valid &= self._mask.take(place, (height, width))[0] != 0
        return Plane(values, valid)


class Mosaic:
    """Several rasters of the same bands, those named first on top.

    Args:
        sources: of as many channels each.
    """

    def __init__(self, sources: Sequence[RasterSource]) -> None:
        self.sources = tuple(sources)

    def read(self, row: int, column: int, height: int, width: int) -> Plane:
        """See `Source.read`."""
        shape = (len(self.sources[0].numbers), height, width)
        values, valid = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=bool)
        for source in self.sources:
            found = source.read(row, column, height, width)
            new = found.valid & ~valid
            values[new], valid = found.values[new], valid | found.valid
            if valid.all():
                break
        return Plane(values, valid)


class _ChosenBands(RasterImages):
    """Some bands of one raster, in the order asked for."""

    def __init__(self, raster: Raster, numbers: Sequence[int]) -> None:
        super().__init__([raster])
        self.shapes = self.shapes.copy()
        self.shapes[:, 0] = len(numbers)
        self._numbers = list(numbers)

    def _read(self, handle: Any, window: Any) -> Any:
        return handle.read(self._numbers, window=window)


def _same_crs(one: str, other: str) -> bool:
    if one == other:
        return True
    parse = rasterio_package().crs.CRS.from_wkt
    return bool(parse(one) == parse(other))


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Say whether a type can hold a number, so that comparing with it means something."""
    if dtype.kind == "f":
        return value == value
    limits = np.iinfo(dtype)
    return value == int(value) and limits.min <= value <= limits.max
