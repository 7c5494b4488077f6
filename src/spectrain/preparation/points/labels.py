"""Points of a scene as labels of its pixels, by windows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...data.scene import SceneGrid
from .dealt import STORED, beside

_AT_ONCE = 1 << 22
"""Pixels around points that are looked at together."""

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


class PointLabels:
    """Values of the pixels that points lie in, and of those whose centre lies in a point's footprint; else NaN.

    Args:
        path: of the points of the scene, an array of `STORED`; None where there is none.
        grid: of the scene.
        merge: what several points in a pixel make: "mean", "median" or "max".
        diameter: of the footprints in metres, 0 for none.

    Raises:
        DataError: the file is gone or damaged.
    """

    values = True

    def __init__(self, path: Path | None, grid: SceneGrid, merge: str = "mean", diameter: float = 0.0) -> None:
        self._reach, self._merge = beside(grid, diameter), merge
        try:
            points = np.empty(0, STORED) if path is None else np.fromfile(path, STORED)
        except OSError as error:
            raise DataError(
                f"the points of a scene cannot be read: {error.strerror}",
                where=str(path),
                fix="give the same command again",
            ) from error
        self._points = points[np.argsort(points["y"], kind="stable")]
        inside = (points["x"] >= 0) & (points["x"] < grid.size[1]) & (points["y"] >= 0) & (points["y"] < grid.size[0])
        mine = points[inside]
        held = np.floor(mine["y"]).astype(np.int64) * grid.size[1] + np.floor(mine["x"]).astype(np.int64)
        self.count, self.pixels = len(mine), len(np.unique(held))

    def read(self, row: int, column: int, height: int, width: int) -> NDArray[Any]:
        """See `SceneLabels.read`; a pixel has the same value in any window."""
        down, across = self._reach
        y, x = self._points["y"], self._points["x"]
        first, last = np.searchsorted(y, [row - down, row + height + down])
        near = np.arange(first, last)
        near = near[(x[near] >= column - across) & (x[near] < column + width + across)]
        found = np.full((height, width), np.nan, dtype=np.float32)
        rows, columns, value = self._pixels(near)
        inside = (rows >= row) & (rows < row + height) & (columns >= column) & (columns < column + width)
        place = (rows[inside] - row) * width + columns[inside] - column
        if len(place):
            pixel, merged = merge(place, value[inside], self._merge)
            found.reshape(-1)[pixel] = merged
        return found

    def _pixels(self, near: NDArray[np.int64]) -> Pairs:
        """Return row, column and value of all pixels that points reach, pixel by pixel of each point."""
        points = self._points[near]
        rows, columns = (np.floor(points[name]).astype(np.int64) for name in ("y", "x"))
        down, across = self._reach
        if not down:
            return rows, columns, points["value"]
        sides = (2 * math.ceil(down) + 1, 2 * math.ceil(across) + 1)
        offset = np.indices(sides).reshape(2, -1) - np.array([[sides[0] // 2], [sides[1] // 2]])
        step = max(1, _AT_ONCE // offset.shape[1])
        made: list[Pairs] = []
        for start in range(0, len(points), step):
            some = points[start : start + step]
            r = rows[start : start + step, None] + offset[0]
            c = columns[start : start + step, None] + offset[1]
            off = ((r + 0.5 - some["y"][:, None]) / down) ** 2 + ((c + 0.5 - some["x"][:, None]) / across) ** 2
            reached = (off <= 1) | ~offset.any(0)  # the pixel that holds it always
            made.append((r[reached], c[reached], np.repeat(some["value"], reached.sum(1))))
        if not made:
            return rows, columns, points["value"]
        return tuple(np.concatenate(parts) for parts in zip(*made, strict=True))  # type: ignore[return-value]


def merge(place: NDArray[np.int64], value: NDArray[np.float32], how: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return each place once, in order, and what its values make.

    Args:
        place: [N] numbers of pixels.
        value: [N].
        how: "mean", "median" (of two in the middle the mean) or "max".
    """
    order = np.lexsort((value, place)) if how == "median" else np.argsort(place, kind="stable")
    place, sorted_value = place[order], value[order].astype(np.float64)
    pixel, start, count = np.unique(place, return_index=True, return_counts=True)
    if how == "max":
        return pixel, np.maximum.reduceat(sorted_value, start)
    if how == "median":
        return pixel, (sorted_value[start + (count - 1) // 2] + sorted_value[start + count // 2]) / 2
    return pixel, np.add.reduceat(sorted_value, start) / count
