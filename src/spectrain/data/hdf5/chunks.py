"""Chunked HDF5 data read past the library: its bytes are taken where they lie, and unpacked on all cores.

The library unpacks on one core under one lock. Here each chunk that a batch needs is unpacked once, by zlib, which
leaves Python's lock; what is unpacked is kept for a while, since in a random order the same chunk is soon asked again.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ..stored.chunk_grid import ChunkSlices, Stretches, chunk_windows, rows_by_block
from ..stored.mapped import MappedFiles
from ..stored.rows import StoredValues, native_order
from ..stored.unpacking import array_numbers, cache, in_threads

READABLE = ((), ("shuffle",), ("deflate",), ("shuffle", "deflate"))
"""The filter pipelines that are undone here."""


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """Where the chunks of a dataset lie, in row-major order of the chunk grid.

    Attributes:
        offset: int64 [chunks], -1 where a chunk was never written.
        size: int64 [chunks], bytes in the file.
        skipped: uint32 [chunks], bit i set where filter i was not applied.
    """

    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    skipped: NDArray[np.uint32]


class _Task(NamedTuple):
    """Rows of one chunk that go to places of the batch."""

    chunk: int
    rows: Stretches
    to: ChunkSlices
    source: ChunkSlices


class ChunkedArray:
    """A chunked HDF5 dataset, packed by nothing, shuffle, gzip or both.

    Args:
        files: the one file.
        name: of the dataset, for error messages.
        dtype: stored type, with its byte order.
        shape: first axis the rows.
        chunk: shape of a chunk.
        table: where the chunks lie.
        filters: one of `READABLE`, in the order in which they were applied.
        fill: the value of what was never written.
    """

    def __init__(
        self,
        files: MappedFiles,
        name: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        *,
        chunk: tuple[int, ...],
        table: ChunkTable,
        filters: tuple[str, ...],
        fill: Any,
    ) -> None:
        self.shape = shape
        self.dtype = native_order(dtype)
        self._files, self._name, self._stored, self._chunk = files, name, dtype, chunk
        self._table, self._filters, self._fill = table, filters, fill
        self._windows = list(chunk_windows(shape[1:], chunk[1:]))
        self._chunk_bytes = math.prod(chunk) * dtype.itemsize
        self._number = next(array_numbers)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._number = next(array_numbers)  # numbers are given per process

    def take(self, index: NDArray[np.int64]) -> StoredValues:
        """Return the rows at ``index`` [B] in that order, in memory of their own.

        Raises:
            DataError: a chunk cannot be unpacked, or the file is shorter than it was.
        """
        self._files.check()  # chunks that are kept would hide that the file was cut
        out = np.empty((len(index), *self.shape[1:]), dtype=self._stored)
        in_threads(lambda task: self._copy(task, out), list(self._tasks(index)))
        return out.astype(self.dtype, copy=False)

    def check(self) -> None:
        """Raise a `DataError` where the file is gone or shorter than it must be."""
        self._files.check()

    def _tasks(self, index: NDArray[np.int64]) -> Iterator[_Task]:
        """Yield each chunk that holds some of the rows, once."""
        for block, runs in rows_by_block(index, self._chunk[0]):
            for within, (to, source) in enumerate(self._windows):
                yield _Task(block * len(self._windows) + within, runs, to, source)

    def _copy(self, task: _Task, out: NDArray[Any]) -> None:
        """Copy the rows of one chunk to where they belong."""
        unpacked, shuffled = self._unpacked(task.chunk)
        if unpacked is None:
            for _, to in task.rows:
                out[(to, *task.to)] = self._fill
        elif shuffled:
            planes = unpacked.reshape(self._stored.itemsize, *self._chunk)
            for source, to in task.rows:  # only the rows that are wanted are put together again
                _unshuffle(planes[(slice(None), source, *task.source)], out[(to, *task.to)])
        else:
            values = unpacked.view(self._stored).reshape(self._chunk)
            for source, to in task.rows:
                out[(to, *task.to)] = values[(source, *task.source)]

    def _unpacked(self, chunk: int) -> tuple[NDArray[np.uint8] | None, bool]:
        """Return a chunk's bytes, and whether they are still shuffled; None where it was never written."""
        offset, size = int(self._table.offset[chunk]), int(self._table.size[chunk])
        if offset < 0:
            return None, False
        applied = self._filters
        if skipped := int(self._table.skipped[chunk]):
            applied = tuple(name for bit, name in enumerate(applied) if not skipped >> bit & 1)
        shuffled = "shuffle" in applied and self._stored.itemsize > 1
        if "deflate" not in applied:
            return self._sized(self._files.bytes_at(0, offset, size), chunk), shuffled
        if self._chunk[0] == 1:  # nothing would be left of it to be asked for
            return self._sized(self._inflated(chunk, offset, size), chunk), shuffled
        key = (self._number, chunk)
        held = cache.get(key)
        if held is None:
            held = self._sized(self._inflated(chunk, offset, size), chunk)
            cache.put(key, held)
        return held, shuffled

    def _inflated(self, chunk: int, offset: int, size: int) -> bytes:
        packed = self._files.bytes_at(0, offset, size)
        try:
            return zlib.decompress(packed, bufsize=self._chunk_bytes)
        except zlib.error as error:
            raise self._damaged(chunk, str(error)) from error

    def _sized(self, content: bytes | bytearray | memoryview, chunk: int) -> NDArray[np.uint8]:
        if len(content) != self._chunk_bytes:
            raise self._damaged(chunk, f"{len(content)} bytes in place of {self._chunk_bytes}")
        return np.frombuffer(content, dtype=np.uint8)

    def _damaged(self, chunk: int, what: str) -> DataError:
        first = chunk // len(self._windows) * self._chunk[0]
        last = min(first + self._chunk[0], self.shape[0]) - 1
        return DataError(
            f"a chunk of {self._name!r} cannot be unpacked: {what}",
            where=f"{self._files.paths[0]}, patches {first} to {last}",
            fix="the file is damaged: copy or write it again",
        )


def _unshuffle(planes: NDArray[np.uint8], out: NDArray[Any]) -> None:
    """Put numbers together whose byte i lies in plane i.

    Args:
        planes: [bytes a number, ...].
        out: [...], written to.
    """
    if len(planes) == 2:  # arithmetic on whole numbers is three times as fast as writing every second byte
        words = out.view("<u2")
        np.copyto(words, planes[1])
        np.left_shift(words, 8, out=words)
        np.bitwise_or(words, planes[0], out=words)
        return
    places = out[..., None].view(np.uint8)
    for byte, plane in enumerate(planes):
        places[..., byte] = plane
