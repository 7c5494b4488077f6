"""What an elevation model says of the ground at each pixel, from the pixels around it; holes stay holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .resampling import Float, Valid

STEP = 1 / 1024
"""Metres in which elevations are added up: whole numbers, whose sum is the same in whatever order and window."""


def disk_widths(outer: float, inner: float, size: tuple[float, float]) -> list[tuple[int, int, int]]:
    """Return the runs of an annulus: (row, column of the first pixel, of the last one), from the centre.

    Args:
        outer: pixels whose centres are at most so far away, in metres.
        inner: and further than this; 0 takes the centre too.
        size: height and width of a pixel in metres.
    """
    runs = []
    reach = int(outer / size[0] + 1e-9)
    for row in range(-reach, reach + 1):
        wide = _half(outer, row * size[0], size[1])
        if wide < 0:
            continue
        hole = _half(inner, row * size[0], size[1]) if inner > 0 else -1
        runs += [(row, -wide, wide)] if hole < 0 else [(row, -wide, -hole - 1), (row, hole + 1, wide)]
    return [run for run in runs if run[1] <= run[2]]


def _half(radius: float, away: float, size: float) -> int:
    """Return how many pixels a circle reaches to each side of a row; -1 where it does not reach the row."""
    rest = radius**2 - away**2
    return int(rest**0.5 / size + 1e-9) if rest >= 0 else -1


def relative_elevation(
    dem: Float, valid: Valid, halo: tuple[int, int], runs: list[tuple[int, int, int]]
) -> tuple[Float, Valid]:
    """Return the elevation less its mean over an annulus around each pixel (topographic position; Weiss 2001).

    The mean is over what is valid there; where that is nothing, or the pixel itself is missing, it is missing.

    Args:
        dem: [h+2·rows, w+2·columns] in metres.
        valid: bool, alike.
        halo: rows and columns around what is asked for, at least what the runs reach.
        runs: of `disk_widths`.

    Returns:
        float32 [h,w] in metres, and where it is valid.
    """
    height, width = dem.shape[0] - 2 * halo[0], dem.shape[1] - 2 * halo[1]
    whole = valid.all()
    units = np.rint(np.where(valid, dem, 0).astype(np.float64) / STEP).astype(np.int64)
    total = disk_sums(units, halo, runs, (height, width))
    members = sum(last - first + 1 for _, first, last in runs)
    count = np.int64(members) if whole else disk_sums(valid.astype(np.int64), halo, runs, (height, width))
    centre = (slice(halo[0], halo[0] + height), slice(halo[1], halo[1] + width))
    mean = total * STEP / np.maximum(count, 1)
    found = (units[centre] * STEP - mean).astype(np.float32)
    return found, valid[centre] & np.asarray(count > 0)


def disk_sums(
    units: NDArray[np.int64], halo: tuple[int, int], runs: list[tuple[int, int, int]], size: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the sum over the runs around each pixel, from sums along rows."""
    height, width = size
    along = np.zeros((units.shape[0], units.shape[1] + 1), dtype=np.int64)
    np.cumsum(units, axis=1, out=along[:, 1:])
    total = np.zeros(size, dtype=np.int64)
    for row, first, last in runs:
        rows = slice(halo[0] + row, halo[0] + row + height)
        right, left = halo[1] + last + 1, halo[1] + first
        total += along[rows, right : right + width]
        total -= along[rows, left : left + width]
    return total


def slope(dem: Float, valid: Valid, size: tuple[float, float]) -> tuple[Float, Valid]:
    """Return the slope in degrees, by the third-order differences of Horn (1981).

    A neighbour that is missing is put where the opposite one says a plane would be, else at the centre's height.

    Args:
        dem: [h+2,w+2] in metres.
        valid: bool, alike.
        size: height and width of a pixel in metres.

    Returns:
        float32 [h,w], and where it is valid: where the centre is.
    """
    z = dem.astype(np.float64)
    centre, here = z[1:-1, 1:-1], valid[1:-1, 1:-1]
    height, width = here.shape

    def neighbour(down: int, across: int) -> NDArray[np.float64]:
        at = (slice(1 + down, 1 + down + height), slice(1 + across, 1 + across + width))
        opposite = (slice(1 - down, 1 - down + height), slice(1 - across, 1 - across + width))
        mirrored = np.where(valid[opposite], 2 * centre - z[opposite], centre)
        return np.where(valid[at], z[at], mirrored)

    up, down = [neighbour(-1, c) for c in (-1, 0, 1)], [neighbour(1, c) for c in (-1, 0, 1)]
    left, right = neighbour(0, -1), neighbour(0, 1)
    across = (up[2] + 2 * right + down[2] - up[0] - 2 * left - down[0]) / (8 * size[1])
    along = (down[0] + 2 * down[1] + down[2] - up[0] - 2 * up[1] - up[2]) / (8 * size[0])
    return np.degrees(np.arctan(np.hypot(across, along))).astype(np.float32), here.copy()
