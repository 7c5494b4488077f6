"""Images in .npy files, one each, of which only the pixels of the windows are touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ...core.errors import DataError
from ..stored.loose_files import files_of
from ..stored.mapped_images import MappedImages
from ..stored.rows import StoredValues
from ..window_grid import Places
from .header import NpyFile

Axes = Literal["chw", "hwc"]


class ChannelsLast:
    """Images [H,W,C], mapped as images [1,H,W·C].

    Args:
        lines: the images so.
        channels: C.
    """

    def __init__(self, lines: MappedImages, channels: int) -> None:
        self.dtype = lines.dtype
        self.shapes = np.stack(
            [np.full(len(lines.shapes), channels), lines.shapes[:, 1], lines.shapes[:, 2] // channels], axis=1
        )
        self._lines, self._channels = lines, channels

    @property
    def files(self) -> Sequence[Path]:
        """The files."""
        return self._lines.files

    def take(self, places: Places, size: tuple[int, int]) -> StoredValues:
        """Return the windows at ``places`` [B,3] as [B,C,h,w].

        Raises:
            DataError: a file is gone, or shorter than it was.
        """
        wide = self._lines.take(places * np.array([1, 1, self._channels]), (size[0], size[1] * self._channels))
        whole = wide.reshape(len(places), *size, self._channels)
        return np.ascontiguousarray(whole.transpose(0, 3, 1, 2))

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        self._lines.check()


def npy_images(files: Sequence[NpyFile], axes: Axes) -> MappedImages | ChannelsLast:
    """Return images [C,H,W], of any H and W.

    Args:
        files: each [C,H,W] or [H,W,C], as ``axes`` says, or [H,W].
        axes: where the channels are.

    Raises:
        DataError: a file has another number of channels or another type than the first.
    """
    shapes = np.array([three(one.shape, axes) for one in files], dtype=np.int64)
    for one, shape in zip(files, shapes.tolist(), strict=True):
        if shape[0] != shapes[0, 0] or one.dtype != files[0].dtype:
            raise DataError(
                f"the file holds {shape[0]} channels of {one.dtype}, the first one, {files[0].path.name}, "
                f"{shapes[0, 0]} of {files[0].dtype}",
                where=str(one.path),
                fix="write all files alike, or say where the channels are with dataset.npy_axes",
            )
    channels = int(shapes[0, 0])
    last = axes == "hwc" and channels > 1
    if last:
        shapes = np.stack([np.ones(len(shapes), np.int64), shapes[:, 1], shapes[:, 2] * channels], axis=1)
    mapped = files_of([one.path for one in files], [one.size for one in files])
    offset = np.array([one.offset for one in files], dtype=np.int64)
    images = MappedImages(mapped, files[0].dtype, shapes, offset)
    return ChannelsLast(images, channels) if last else images


def three(shape: tuple[int, ...], axes: Axes) -> tuple[int, int, int]:
    """Return channels, height and width."""
    if len(shape) == 2:
        return 1, *shape
    a, b, c = shape
    return (a, b, c) if axes == "chw" else (c, a, b)


def channel_axis(files: Sequence[NpyFile], labels: Sequence[NpyFile]) -> Axes:
    """Return where the channels of images are: the labels tell by their sides, else the smallest axis is it.

    Where labels of other images tell, the smallest axis counts for none: labels of a wrong size are no vote.

    Raises:
        DataError: neither tells, or files disagree.
    """
    by_labels: dict[Axes, Path] = {}
    by_size: dict[Axes, Path] = {}
    for number, one in enumerate(files):
        if len(one.shape) != 3:
            continue
        sides = _sides(labels[number].shape) if labels else None
        for votes, found in (
            (by_labels, [axes for axes in _AXES if three(one.shape, axes)[1:] == sides]),
            (by_size, [axes for axes in _AXES if three(one.shape, axes)[0] == min(one.shape)]),
        ):
            if len(found) == 1:
                votes.setdefault(found[0], one.path)
    votes = by_labels or by_size
    if len(votes) > 1:
        raise DataError(
            f"the channels seem to be first in {votes['chw'].name} and last in {votes['hwc'].name}",
            where=str(votes["chw"].parent),
            fix="set dataset.npy_axes=chw or hwc",
        )
    if not votes and any(len(one.shape) == 3 for one in files):
        raise DataError(
            f"it cannot be told where the channels of an image of shape {files[0].shape} are",
            where=str(files[0].path),
            fix="set dataset.npy_axes=chw (channels first) or hwc (channels last)",
        )
    return next(iter(votes), "chw")


_AXES: tuple[Axes, ...] = ("chw", "hwc")


def _sides(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return height and width of a map of labels; None of anything else."""
    if len(shape) == 2:
        return shape
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        return shape[1:] if shape[0] == 1 else shape[:2]
    return None
