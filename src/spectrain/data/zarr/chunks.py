"""Zarr arrays whose chunks are packed, or many files: bytes are taken where they lie and unpacked on all cores.

The Zarr library costs eleven to twenty times as much a patch as its bytes do, and cannot be used after a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ..stored.chunk_grid import ChunkSlices, Stretches, chunk_windows, rows_by_block
from ..stored.mapped import MappedFiles, cut_short, expect_within
from ..stored.rows import StoredValues, native_order
from ..stored.unpacking import array_numbers, cache, in_threads
from .codecs import Unpacker
from .metadata import ZarrArray


class Chunks(Protocol):
    """The packed chunks of an array, numbered in row-major order of their grid."""

    @property
    def files(self) -> Sequence[Path]:
        """Those that are there, in order."""
        ...

    def packed(self, chunk: int) -> bytes | bytearray | memoryview | None:
        """Return a chunk's bytes; None where it was never stored.

        Raises:
            DataError: a file is gone, or shorter than it was.
        """
        ...

    def place(self, chunk: int) -> Path:
        """Return the file that holds a chunk."""
        ...

    def check(self, chunk: int | None = None) -> None:
        """Raise a `DataError` where the file of a chunk, or any, is gone or shorter than it was."""
        ...


class ChunkFolder:
    """One file a chunk, opened at each read: there may be more of them than a process can hold open.

    Args:
        array: the array.
        grid: chunks along each axis.

    Attributes:
        sizes: int64 [chunks], bytes of each file; -1 where there is none.
    """

    def __init__(self, array: ZarrArray, grid: tuple[int, ...]) -> None:
        self._array, self._grid = array, grid
        self.sizes = np.full(int(np.prod(grid, dtype=np.int64)), -1, dtype=np.int64)
        for chunk in range(len(self.sizes)):
            try:
                self.sizes[chunk] = self.place(chunk).stat().st_size
            except FileNotFoundError:
                continue

    @property
    def files(self) -> Sequence[Path]:
        """Those that are there, in order."""
        return [self.place(chunk) for chunk in np.flatnonzero(self.sizes >= 0).tolist()]

    def place(self, chunk: int) -> Path:
        """Return the file of a chunk."""
        return self._array.path / self._array.file([int(one) for one in np.unravel_index(chunk, self._grid)])

    def packed(self, chunk: int) -> bytes | None:
        """Return a chunk's bytes; None where it was never stored."""
        if self.sizes[chunk] < 0:
            return None
        try:
            content = self.place(chunk).read_bytes()
        except OSError as error:
            raise _gone(self.place(chunk), error) from error
        if len(content) < self.sizes[chunk]:
            raise cut_short(self.place(chunk), len(content), int(self.sizes[chunk]))
        return content

    def check(self, chunk: int | None = None) -> None:
        """Raise a `DataError` where the file of a chunk, or any, is gone or shorter than it was."""
        for one in np.flatnonzero(self.sizes >= 0).tolist() if chunk is None else [chunk]:
            try:
                found = self.place(one).stat().st_size
            except OSError as error:
                raise _gone(self.place(one), error) from error
            if found < self.sizes[one]:
                raise cut_short(self.place(one), found, int(self.sizes[one]))


class ChunksInFiles:
    """Chunks that lie in a few files, mapped.

    Args:
        files: the files.
        file: int64 [chunks], which file each lies in.
        offset: int64 [chunks], where it begins; -1 where it was never stored.
        size: int64 [chunks], its bytes.

    Raises:
        DataError: a chunk ends beyond its file.
    """

    def __init__(
        self, files: MappedFiles, file: NDArray[np.int64], offset: NDArray[np.int64], size: NDArray[np.int64]
    ) -> None:
        self._files, self._file, self._offset, self._size = files, file, offset, size
        expect_within(files, file, offset, size)

    @property
    def files(self) -> Sequence[Path]:
        """The files."""
        return self._files.paths

    def place(self, chunk: int) -> Path:
        """Return the file that holds a chunk."""
        return self._files.paths[int(self._file[chunk])]

    def packed(self, chunk: int) -> bytearray | memoryview | None:
        """Return a chunk's bytes; None where it was never stored."""
        if self._offset[chunk] < 0:
            return None
        return self._files.bytes_at(int(self._file[chunk]), int(self._offset[chunk]), int(self._size[chunk]))

    def check(self, chunk: int | None = None) -> None:
        """Raise a `DataError` where the file of a chunk, or any, is gone or shorter than it was."""
        self._files.check(None if chunk is None else [int(self._file[chunk])])


class _Task(NamedTuple):
    """Rows of one chunk that go to places of the batch."""

    chunk: int
    rows: Stretches
    to: ChunkSlices
    source: ChunkSlices


class PackedArray:
    """A Zarr array read chunk by chunk; chunks of several rows are kept unpacked for a while.

    Args:
        array: what its metadata say.
        chunk: shape of a chunk.
        chunks: where they lie.
        unpack: what undoes their codecs.
    """

    def __init__(self, array: ZarrArray, chunk: tuple[int, ...], chunks: Chunks, unpack: Unpacker) -> None:
        self.shape = array.shape
        self.dtype = native_order(array.dtype)
        self._chunk, self._chunks, self._unpack, self._fill = chunk, chunks, unpack, array.fill
        self._windows = list(chunk_windows(array.shape[1:], chunk[1:]))
        self._number = next(array_numbers)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._number = next(array_numbers)  # numbers are given per process

    @property
    def files(self) -> Sequence[Path]:
        """Those that are there, in order."""
        return self._chunks.files

    def take(self, index: NDArray[np.int64]) -> StoredValues:
        """Return the rows at ``index`` [B] in that order, in memory of their own.

        Raises:
            DataError: a chunk cannot be unpacked, or a file is shorter than it was.
        """
        out = np.empty((len(index), *self.shape[1:]), dtype=self.dtype)
        in_threads(lambda task: self._copy(task, out), list(self._tasks(index)))
        return out

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it was."""
        self._chunks.check()

    def _tasks(self, index: NDArray[np.int64]) -> Iterator[_Task]:
        """Yield each chunk that holds some of the rows, once."""
        for block, runs in rows_by_block(index, self._chunk[0]):
            for within, (to, source) in enumerate(self._windows):
                yield _Task(block * len(self._windows) + within, runs, to, source)

    def _copy(self, task: _Task, out: NDArray[Any]) -> None:
        """Copy the rows of one chunk to where they belong."""
        values = self._values(task.chunk)
        for source, to in task.rows:
            out[(to, *task.to)] = self._fill if values is None else values[(source, *task.source)]

    def _values(self, chunk: int) -> NDArray[np.generic] | None:
        """Return a chunk's numbers; None where it was never stored."""
        if self._chunk[0] == 1:  # nothing would be left of it to be asked for
            return self._unpacked(chunk)
        key = (self._number, chunk)
        if (held := cache.get(key)) is None:
            if (values := self._unpacked(chunk)) is None:
                return None
            held = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
            cache.put(key, held)
        else:
            self._chunks.check(chunk)  # a chunk that is kept would hide that its file was cut
        return held.view(self.dtype).reshape(self._chunk)

    def _unpacked(self, chunk: int) -> NDArray[np.generic] | None:
        packed = self._chunks.packed(chunk)
        if packed is None:
            return None
        try:
            return self._unpack(packed).astype(self.dtype, copy=False)
        except ValueError as error:
            first = chunk // len(self._windows) * self._chunk[0]
            raise DataError(
                f"a chunk cannot be unpacked: {error}",
                where=f"{self._chunks.place(chunk)}, patches {first} to "
                f"{min(first + self._chunk[0], self.shape[0]) - 1}",
                fix="the file is damaged or cut short: copy or write it again",
            ) from error


def _gone(path: Path, error: OSError) -> DataError:
    return DataError(
        f"a file of the data cannot be read any more: {error.strerror}",
        where=str(path),
        fix="put it back, then resume the run",
    )
