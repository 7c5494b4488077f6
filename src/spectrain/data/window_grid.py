"""Which windows of large images there are: grids that cover an image, and parts of it that share no pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config.schema import DatasetOptions
from ..core.errors import DataError

SIDES = (64, 32, 16)
FITTING = 4
SMALLEST = 8

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cut:
    """Windows of one size, cut from numbered images.

    Attributes:
        places: int64 [N,3]: number of the image, row and column of the window's upper left pixel.
        size: (height, width) of every window.
    """

    places: Places
    size: tuple[int, int]


def starts(low: int, high: int, size: int, stride: int) -> NDArray[np.int64]:
    """Return where windows of ``size`` begin that lie in [low, high), ``stride`` apart.

    Where they do not end at ``high``, one more does: it is moved in and overlaps its neighbour. None fit where
    ``high - low < size``.
    """
    if high - low < size:
        return np.empty(0, dtype=np.int64)
    found = np.arange(low, high - size + 1, stride, dtype=np.int64)
    return found if found[-1] == high - size else np.append(found, high - size)


def grid(image: int, rows: tuple[int, int], columns: tuple[int, int], size: tuple[int, int], stride: int) -> Places:
    """Return the windows [N,3] of an image within a range of rows and of columns, row by row."""
    down, across = starts(*rows, size[0], stride), starts(*columns, size[1], stride)
    row, column = np.meshgrid(down, across, indexing="ij")
    return np.stack([np.full(row.size, image, dtype=np.int64), row.ravel(), column.ravel()], axis=1)


def cut_images(sides: NDArray[np.int64], names: list[str], options: DatasetOptions, images: NDArray[np.int64]) -> Cut:
    """Return the windows of some images, whole images where no window is set.

    Args:
        sides: [M,2] height and width of every image.
        names: of every image, for error messages.
        options: ``window`` and ``stride``.
        images: numbers of those to cut, in order.

    Raises:
        DataError: no window is set and the images have several sizes, or one is smaller than the window.
    """
    if options.window is None:
        if (other := (sides != sides[0]).any(axis=1)).any():
            number = int(np.flatnonzero(other)[0])
            raise DataError(
                f"the images have several sizes: this one is {_size(sides[number])}, the first one, {names[0]}, is "
                f"{_size(sides[0])}",
                where=names[number],
                fix="cut them into windows of one size with dataset.window",
            )
        whole = np.zeros((len(images), 3), dtype=np.int64)
        whole[:, 0] = images
        return Cut(whole, (int(sides[0, 0]), int(sides[0, 1])))
    side, stride = options.window, options.stride or options.window
    if (small := (sides < side).any(axis=1)).any():
        number = int(np.flatnonzero(small)[0])
        raise DataError(
            f"an image of {_size(sides[number])} is smaller than the window of {side} × {side}",
            where=names[number],
            fix=f"set dataset.window to {int(sides.min())} or less, or take this image out",
        )
    parts = [grid(one, (0, int(sides[one, 0])), (0, int(sides[one, 1])), (side, side), stride) for one in images]
    return Cut(np.concatenate([np.empty((0, 3), dtype=np.int64), *parts]), (side, side))


def default_window(height: int, width: int) -> int | None:
    """Return a side of windows that gives a cube several of them; None where it is too small for any."""
    short = min(height, width)
    return next((side for side in SIDES if FITTING * side <= short), SMALLEST if short >= SMALLEST else None)


def column_parts(width: int, window: int, options: DatasetOptions) -> Mapping[str, tuple[int, int]] | None:
    """Return the columns [from, to) of each split of one image: validation at its right, then test, then training.

    They do not overlap, and each is at least one window wide; None where the image is too narrow for that.
    """
    parts, right = {}, width
    for name, share in (("valid", options.valid_fraction), ("test", options.test_fraction)):
        if share > 0:
            left = right - max(window, round(share * width))
            parts[name] = (left, right)
            right = left
    return {"train": (0, right), **parts} if right >= window else None


def _size(side: NDArray[np.int64]) -> str:
    return f"{side[0]} × {side[1]}"
