"""Values of a raster at the pixels of another grid; each is a function of that pixel alone, whatever window it is in.

Along axes that run alike the weights are products of a row's and a column's; else each pixel has its own place. Holes
are filled before the arithmetic, and a pixel is valid where at least half of its weight is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["nearest", "bilinear", "cubic"]
Float = NDArray[np.float32]
Valid = NDArray[np.bool_]

SNAP = 1e-6
"""Source pixels; places nearer than this to a pixel's edge or centre are on it, whatever the last bits say."""
COARSER = 1.01
"""From so many source pixels a pixel on, the mean over all of them is taken."""
MOST_SAMPLES = 16
"""A side; of the places within a pixel whose mean is taken where axes do not run alike."""


@dataclass(frozen=True, slots=True)
class Taps:
    """Source pixels of each of n target pixels along one axis.

    Attributes:
        index: int64 [k,n], within the source.
        weight: float32 [k,n], 0 where a tap is not needed.
        inside: bool [n], the target pixel's centre lies in the source.
    """

    index: NDArray[np.int64]
    weight: Float
    inside: Valid


def axis_taps(start: int, count: int, scale: float, shift: float, size: int, method: Method) -> Taps:
    """Return the taps of the target pixels ``start ... start + count - 1`` along one axis.

    Args:
        start: first target pixel.
        count: how many.
        scale: source pixels a target pixel; may be negative where the axes run against each other.
        shift: place of the edge of target pixel 0, in source pixels.
        size: source pixels there are.
        method: how to interpolate; what comes down is averaged, except under "nearest".
    """
    number = np.arange(start, start + count, dtype=np.float64)
    if method != "nearest" and abs(scale) > COARSER:
        return _mean_taps(number, scale, shift, size)
    return point_taps((number + 0.5) * scale + shift, size, method)


def point_taps(place: NDArray[np.float64], size: int, method: Method) -> Taps:
    """Return the taps of places [...] in source pixels, 0.5 being the first centre; the edge goes on beyond itself."""
    inside = (place > -SNAP) & (place < size + SNAP)
    place = np.where(inside, place, 0.0)
    if method == "nearest":
        index = np.floor(place + SNAP)[None]
        weight = np.ones(index.shape, dtype=np.float32)
    else:
        first = np.floor(place - 0.5 + SNAP)
        part = np.maximum(place - 0.5 - first, 0.0)
        part[part < SNAP] = 0.0
        weights = (1 - part, part) if method == "bilinear" else _cubic(part)
        low = 0 if method == "bilinear" else -1
        index = np.stack([first + low + step for step in range(len(weights))])
        weight = np.stack(weights).astype(np.float32)
    return Taps(np.clip(index, 0, size - 1).astype(np.int64), weight, inside)


def _mean_taps(number: NDArray[np.float64], scale: float, shift: float, size: int) -> Taps:
    """Return the taps of means: each source pixel by the share of it that the target pixel covers."""
    edges = np.sort(np.stack([number * scale + shift, (number + 1) * scale + shift]), axis=0)
    rounded = np.round(edges)
    edges = np.where(np.abs(edges - rounded) < SNAP, rounded, edges)
    first = np.floor(edges[0])
    steps = np.arange(int(np.ceil(abs(scale))) + 2)[:, None]
    index = first + steps
    covered = np.clip(np.minimum(index + 1, edges[1]) - np.maximum(index, edges[0]), 0, None)
    outside = (index < 0) | (index >= size)
    covered[outside] = 0
    share = covered.sum(axis=0) / (edges[1] - edges[0])
    weight = covered / np.maximum(covered.sum(axis=0), SNAP)
    return Taps(np.clip(index, 0, size - 1).astype(np.int64), weight.astype(np.float32), share >= 0.5)


def _cubic(part: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return the four weights of cubic convolution with a = -0.5 (Keys 1981)."""
    far = [part + 1, part, 1 - part, 2 - part]
    return tuple(
        np.where(d <= 1, (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2)  # Keys, equation 15
        for d in far
    )


def separable(values: NDArray[Any], valid: Valid, rows: Taps, columns: Taps) -> tuple[Float, Valid]:
    """Return the resampled image.

    Args:
        values: [C,H,W], the source as far as the taps' indices reach.
        valid: bool [C,H,W].
        rows: [k,h].
        columns: [k,w].

    Returns:
        float32 [C,h,w], 0 in holes, and where it is valid.
    """
    filled = np.where(valid, values, 0).astype(np.float32)
    found = _along(_along(filled, rows, 1), columns, 2)
    inside = rows.inside[:, None] & columns.inside
    if valid.all():
        lost = np.zeros(1, dtype=np.float32)
    else:
        lost = _along(_along((~valid).astype(np.float32), rows, 1), columns, 2)
    return _mended(found, lost, inside)


def _along(image: Float, taps: Taps, axis: int) -> Float:
    """Return the weighted sum of the taps along an axis, added up tap by tap: in one order whatever the window."""
    shape = [1, 1, 1]
    shape[axis] = taps.weight.shape[1]
    out: Float | None = None
    for index, weight in zip(taps.index, taps.weight, strict=True):
        if weight.any():
            part = np.take(image, index, axis=axis) * weight.reshape(shape)
            out = part if out is None else np.add(out, part, out=out)
    return np.take(image, taps.index[0], axis=axis) * np.float32(0) if out is None else out


def at_points(values: NDArray[Any], valid: Valid, rows: Taps, columns: Taps) -> tuple[Float, Valid]:
    """Return values at points that each have a place of their own.

    Args:
        values: [C,H,W].
        valid: bool [C,H,W].
        rows: taps [k,h,w].
        columns: taps [k,h,w].

    Returns:
        float32 [C,h,w], 0 in holes, and where it is valid.
    """
    filled = np.where(valid, values, 0).astype(np.float32)
    holes = None if valid.all() else (~valid).astype(np.float32)
    shape = (len(values), *rows.inside.shape)
    found, lost = np.zeros(shape, np.float32), np.zeros(1 if holes is None else shape, np.float32)
    for row, down in zip(rows.index, rows.weight, strict=True):
        for column, across in zip(columns.index, columns.weight, strict=True):
            weight = down * across
            found += filled[:, row, column] * weight
            if holes is not None:
                lost += holes[:, row, column] * weight
    return _mended(found, lost, rows.inside & columns.inside)


def _mended(found: Float, lost: Float, inside: Valid) -> tuple[Float, Valid]:
    """Divide by the weight that is left where some is lost."""
    valid = (lost <= 0.5) & inside & np.ones(found.shape, dtype=bool)
    if lost.any():
        found = np.where(lost > 0, found / np.where(valid, 1 - lost, 1), found).astype(np.float32)
    return np.where(valid, found, np.float32(0)), valid
