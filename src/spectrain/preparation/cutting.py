"""Patches of one scene, one window after the other: image, labels, and why some are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.scene import Pixels
from ..data.window_grid import Places, grid
from .labels import IGNORED, SceneLabels, valid_labels
from .prepared import PreparedScene, Window
from .resampling import Valid
from .terrain import disk_sums, disk_widths

NO_DATA, NO_POSITIVE, NO_LABEL, SOME_MISSING, FEW_LABELS = (
    "nothing was measured",
    "no positive label",
    "no label",
    "some value is missing",
    "too little is labelled",
)


@dataclass(frozen=True)
class CutOptions:
    """Which patches are taken.

    Attributes:
        size: side in px.
        overlap: px that neighbours share.
        no_positive: leave out patches without a positive label.
        some_missing: leave out patches in which a band misses a value.
        erosion: px that what was observed shrinks by, before labels outside it are ignored.
        labelled: least share of labelled pixels.
    """

    size: int
    overlap: int = 0
    no_positive: bool = False
    some_missing: bool = False
    erosion: int = 0
    labelled: float = 0.1


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch as it is stored.

    Attributes:
        place: row and column in its scene.
        image: [C,h,w].
        mask: bool [1,h,w], or None.
        labels: [h,w], or None.
        positive: share of its labelled pixels that are positive; of values that there are any.
        labelled: share of its pixels that are labelled.
        valid: share of its values that were measured.
        padded: it is larger than its scene.
    """

    place: tuple[int, int]
    image: NDArray[Any]
    mask: Valid | None
    labels: NDArray[Any] | None
    positive: float
    labelled: float
    valid: float
    padded: bool


def windows(size: tuple[int, int], options: CutOptions) -> Places:
    """Return the windows [N,3] of a scene; the last ones are moved in, one of a small scene begins at its corner."""
    sides = [max(side, options.size) for side in size]
    return grid(0, (0, sides[0]), (0, sides[1]), (options.size, options.size), options.size - options.overlap)


def cut(
    scene: PreparedScene, labels: SceneLabels | None, options: CutOptions, dropped: Counter[str]
) -> Iterator[Patch]:
    """Yield the patches of a scene; why others were left out is counted in ``dropped``.

    Raises:
        DataError: a file is gone or damaged.
    """
    for _, row, column in windows(scene.grid.size, options).tolist():
        patch = _patch(scene, labels, options, row, column)
        if isinstance(patch, str):
            dropped[patch] += 1
        else:
            yield patch


def _patch(scene: PreparedScene, labels: SceneLabels | None, options: CutOptions, row: int, column: int) -> Patch | str:
    """Return a patch, or the reason why it is left out."""
    height, width = (min(options.size, side) for side in scene.grid.size)
    held, observed = _observed(scene, row, column, height, width, options.erosion if labels is not None else 0)
    pixels = held.pixels
    valid = held.complete if pixels.mask is None else held.complete & pixels.mask[0]
    if not held.observed.any():
        return NO_DATA
    found = None
    if labels is not None:
        found = labels.read(row, column, height, width)
        found = np.where(observed, found, np.nan if labels.values else IGNORED).astype(found.dtype)
        said = valid_labels(found)
        positive = said if labels.values else said & (found != 0)
        if options.no_positive and not positive.any():
            return NO_LABEL if labels.values else NO_POSITIVE
    if options.some_missing and not held.complete.all():
        return SOME_MISSING
    area = options.size**2
    if found is None:
        shares = (0.0, 0.0)
    else:
        count = int(said.sum())
        if count < options.labelled * height * width:  # what is beyond a small scene does not count against it
            return NO_LABEL if labels is not None and labels.values and not count else FEW_LABELS
        shares = (float(positive.sum()) / max(count, 1), count / area)
    image, mask, found = _padded(scene, pixels.image, pixels.mask, found, options.size)
    share = _share(scene, pixels, valid) * height * width / area
    return Patch((row, column), image, mask, found, *shares, share, padded=(height, width) != (options.size,) * 2)


def _observed(
    scene: PreparedScene, row: int, column: int, height: int, width: int, erosion: int
) -> tuple[Window, Valid]:
    """Return a window, and what of it is observed and not near what is not; nothing is known beyond the scene."""
    if not erosion:
        held = scene.window(row, column, height, width)
        return held, held.observed
    top, left = min(row, erosion), min(column, erosion)
    bottom = min(erosion, scene.grid.size[0] - row - height)
    right = min(erosion, scene.grid.size[1] - column - width)
    wide = scene.window(row - top, column - left, height + top + bottom, width + left + right)
    here = (slice(top, top + height), slice(left, left + width))
    mask = None if wide.pixels.mask is None else wide.pixels.mask[:, *here]
    pixels = Pixels(wide.pixels.image[:, *here], mask)
    lost = np.pad(~wide.observed, ((erosion - top, erosion - bottom), (erosion - left, erosion - right)))
    kept = disk_sums(lost.astype(np.int64), (erosion, erosion), disk_widths(erosion, 0, (1, 1)), (height, width)) == 0
    return Window(pixels, wide.observed[here], wide.complete[here]), kept


def _share(scene: PreparedScene, pixels: Pixels, whole: Valid) -> float:
    """Return the share of values that were measured; ``whole`` is where no band misses one."""
    if whole.all():
        return 1.0
    seen = np.ones(whole.shape, dtype=bool) if pixels.mask is None else pixels.mask[0]
    shares = [
        float((seen & (~np.isnan(channel) if scene.dtype.kind == "f" else channel != band.nodata)).mean())
        for channel, band in zip(pixels.image, scene.bands, strict=True)
    ]
    return sum(shares) / len(shares)


def _padded(
    scene: PreparedScene, image: NDArray[Any], mask: Valid | None, labels: NDArray[Any] | None, size: int
) -> tuple[NDArray[Any], Valid | None, NDArray[Any] | None]:
    """Return a patch of full size; what is beyond its scene is missing."""
    height, width = image.shape[1:]
    if (height, width) == (size, size):
        return image, mask, labels
    out = np.empty((len(image), size, size), dtype=image.dtype)
    unsaid = False
    for channel, band in zip(out, scene.bands, strict=True):
        unsaid |= band.nodata is None and out.dtype.kind != "f"
        channel[:] = np.nan if out.dtype.kind == "f" else band.nodata or 0
    out[:, :height, :width] = image
    if mask is not None or unsaid:
        wide = np.zeros((1, size, size), dtype=bool)
        wide[:, :height, :width] = True if mask is None else mask
        mask = wide
    if labels is not None:
        beyond = np.full((size, size), np.nan if labels.dtype.kind == "f" else IGNORED, dtype=labels.dtype)
        beyond[:height, :width] = labels
        labels = beyond
    return out, mask, labels
