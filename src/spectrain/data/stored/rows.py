"""An array on disk, whatever its layout: rows are taken by index, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .mapped import MOST, MappedFiles, expect_within

StoredValues = NDArray[np.generic]


class StoredArray(Protocol):
    """What a reader builds its `Patches` from.

    Attributes:
        shape: first axis the rows.
        dtype: of what :meth:`take` returns, in the machine's byte order.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """In the machine's byte order."""
        ...

    def take(self, index: NDArray[np.int64]) -> StoredValues:
        """Return the rows at ``index`` [B] in that order, in memory of their own; every index must be in range."""
        ...

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        ...


def checked_index(index: Any, count: int) -> NDArray[np.int64]:
    """Return an index [B] as int64.

    Args:
        index: whole numbers; may be empty, unordered and doubled.
        count: number of rows.

    Raises:
        IndexError: not one axis of whole numbers in [0, count).
    """
    array = np.asarray(index)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise IndexError(f"an index must be one axis of whole numbers, got {array.dtype} {array.shape}")
    array = array.astype(np.int64, copy=False)
    # as unsigned a negative number is huge: one comparison for both ends
    if (outside := array.view(np.uint64) >= count).any():
        raise IndexError(f"there is no patch {array[outside][0]}: there are {count}, counted from 0")
    return array


def native_order(dtype: np.dtype[Any]) -> np.dtype[np.generic]:
    """Return the type in the machine's byte order."""
    return dtype.newbyteorder("=")


class MappedArray:
    """An array whose rows each lie in one piece, uncompressed, somewhere in a set of files.

    Rows come in runs of equal length (all rows of a contiguous array, those of one chunk, of one shard), rows of a run
    one behind the other. The last run may be longer than what is left.

    Args:
        files: where the bytes are.
        dtype: stored type, with its byte order.
        shape: first axis the rows.
        run: rows a run, at least 1.
        file: [runs], which file each run lies in.
        offset: [runs], where it begins; -1 where it was never stored, and holds ``fill``.
        fill: the value of what was never stored.

    Raises:
        DataError: a run ends beyond its file.
    """

    def __init__(
        self,
        files: MappedFiles,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        *,
        run: int,
        file: NDArray[np.int64],
        offset: NDArray[np.int64],
        fill: Any = 0,
    ) -> None:
        self.shape = shape
        self.dtype = native_order(dtype)
        self._files, self._stored, self._run, self._file, self._offset = files, dtype, run, file, offset
        self._row_bytes = dtype.itemsize * math.prod(shape[1:])
        self._fill = fill
        self._holes = bool((offset < 0).any())
        rows = np.minimum(run, shape[0] - run * np.arange(len(offset)))
        most = MOST // max(1, int(rows.max(initial=0)))  # a header may say so much that the product overflows
        row_bytes = min(self._row_bytes, most)
        expect_within(files, file, offset, rows * row_bytes)

    @property
    def files(self) -> Sequence[Path]:
        """The files."""
        return self._files.paths

    def take(self, index: NDArray[np.int64]) -> StoredValues:
        """Return the rows at ``index`` [B] in that order, in memory of their own."""
        if not self._holes:
            return self._gather(index).astype(self.dtype, copy=False)
        rows = np.full((len(index), *self.shape[1:]), self._fill, dtype=self.dtype)
        stored = self._offset[index // self._run] >= 0
        rows[stored] = self._gather(index[stored])
        return rows

    def _gather(self, index: NDArray[np.int64]) -> StoredValues:
        """Return rows that are stored, as they are stored."""
        if len(self._offset) == 1:
            file, offset = self._file, self._offset + index * self._row_bytes
        else:
            number, within = np.divmod(index, self._run)
            file = self._file[:1] if len(self._files.paths) == 1 else self._file[number]
            offset = self._offset[number] + within * self._row_bytes
        return self._files.gather(file, offset, self._row_bytes).view(self._stored).reshape(len(index), *self.shape[1:])

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        self._files.check()
