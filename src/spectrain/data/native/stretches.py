"""Arrays of the native form from which stretches of any length are read: the measurements of a patch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ..sparse_labels import SparseLabels
from ..stored.mapped import MappedFiles
from ..stored.rows import MappedArray, native_order
from .format import INDEX, START, VALUE, Manifest, shard_name
from .shards import read_index


class StretchArray:
    """An array [M], one chunk a shard, of which stretches are read.

    Args:
        path: of the patch set.
        manifest: what it says of itself.
        name: of the array.

    Raises:
        DataError: a shard is gone, cut or damaged.
    """

    def __init__(self, path: Path, manifest: Manifest, name: str) -> None:
        stated = manifest.arrays[name]
        self.count, self._rows = stated.shape[0], stated.rows
        self._stored = np.dtype(stated.dtype).newbyteorder("<")
        names = [shard_name(name, number, 1) for number in range(-(-self.count // self._rows))]
        sizes = [manifest.files[one].bytes for one in names]
        self.files = MappedFiles([path / one for one in names], sizes)
        self._offsets = []
        for file, size in zip(self.files.paths, sizes, strict=True):
            offset, length = read_index(file, size, 1)[0].tolist()
            if length != self._rows * self._stored.itemsize or offset + length > size:
                raise DataError(
                    "the index of the shard does not fit its content",
                    where=str(file),
                    fix="copy or prepare the data again",
                )
            self._offsets.append(offset)

    def runs(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[Any]:
        """Return the stretches from ``start`` [B] to ``stop`` [B], one behind the other.

        Raises:
            DataError: a shard was cut since it was opened.
        """
        item, pieces = self._stored.itemsize, [np.empty(0, self._stored)]
        for low, high in zip(start.tolist(), stop.tolist(), strict=True):
            while low < high:
                file, within = divmod(low, self._rows)
                count = min(high - low, self._rows - within)
                raw = self.files.bytes_at(file, self._offsets[file] + within * item, count * item)
                pieces.append(np.frombuffer(raw, self._stored))
                low += count
        return np.concatenate(pieces).astype(native_order(self._stored), copy=False)

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        self.files.check()


class SparseArray:
    """Labels as index and value: ``y_start`` [n+1], ``y_index`` and ``y_value`` [M].

    Args:
        path: of the patch set.
        manifest: what it says of itself.
        start: where the measurements of each patch begin.
        size: height and width of a patch.

    Raises:
        DataError: a shard is gone, cut or damaged.
        ValueError: the arrays do not fit each other.
    """

    def __init__(self, path: Path, manifest: Manifest, start: MappedArray, size: tuple[int, int]) -> None:
        self._start, self._size = start, size
        self._index, self._value = (StretchArray(path, manifest, name) for name in (INDEX, VALUE))
        ends = start.take(np.array([0, start.shape[0] - 1], dtype=np.int64)).tolist()
        if [0, self._index.count] != ends or self._value.count != self._index.count:
            raise ValueError(f"{START}, {INDEX} and {VALUE} do not fit each other")

    def take(self, index: NDArray[np.int64]) -> SparseLabels:
        """Return the labels of the patches at ``index`` [B], in that order."""
        start, stop = (self._start.take(one).astype(np.int64, copy=False) for one in (index, index + 1))
        row = np.repeat(np.arange(len(index), dtype=np.int64), stop - start)
        places = self._index.runs(start, stop).astype(np.int64)
        value: NDArray[np.float32] = self._value.runs(start, stop)
        return SparseLabels(places, value, row, (len(index), *self._size))

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        for array in (self._start, self._index, self._value):
            array.check()
