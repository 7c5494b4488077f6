"""Images that lie in one piece in their files, of which only the pixels of the windows are touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..window_grid import Places
from .mapped import MappedFiles
from .rows import StoredValues, native_order

LONGEST = 2**30
"""Bytes that are copied as one piece at most; numpy's items are not longer than 2 GiB."""


class MappedImages:
    """One contiguous image [C,H,W] a file.

    A window is gathered as its lines, or as whole channels or the whole image where it is as wide and as high.

    Args:
        files: one an image.
        dtype: stored type, with its byte order.
        shapes: [M,3] channels, height and width of each; channels are equal.
        offset: [M], where each begins in its file.
    """

    def __init__(
        self, files: MappedFiles, dtype: np.dtype[Any], shapes: NDArray[np.int64], offset: NDArray[np.int64]
    ) -> None:
        self.shapes = shapes
        self.dtype = native_order(dtype)
        self._files, self._stored, self._offset = files, dtype, offset

    def take(self, places: Places, size: tuple[int, int]) -> StoredValues:
        """Return the windows at ``places`` [B,3] as [B,C,h,w].

        Raises:
            DataError: a file is gone, or shorter than it was.
        """
        image, row, column = (part[:, None, None] for part in places.T)
        channels, (high, wide), item = int(self.shapes[0, 0]), size, self._stored.itemsize
        height, width = self.shapes[:, 1][image], self.shapes[:, 2][image]
        lines, planes, length = high, channels, wide * item
        if (width == wide).all() and high * length <= LONGEST:
            lines, length = 1, high * length
            if (height == high).all() and channels * length <= LONGEST:
                planes, length = 1, channels * length
        plane, line = np.arange(planes)[:, None], np.arange(lines)
        offset = self._offset[image] + ((plane * height + row + line) * width + column) * item
        one = len(self._offset) == 1
        file = np.zeros(1, np.int64) if one else np.ascontiguousarray(np.broadcast_to(image, offset.shape)).ravel()
        pieces = self._files.gather(file, offset.ravel(), length)
        values: StoredValues = pieces.view(self._stored).reshape(len(places), channels, high, wide)
        return values.astype(self.dtype, copy=False)

    @property
    def files(self) -> Sequence[Path]:
        """The files, one an image."""
        return self._files.paths

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        self._files.check()
