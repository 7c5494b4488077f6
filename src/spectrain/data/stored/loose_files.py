"""Files too many to be held open: each is opened when it is read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from .mapped import Bytes, MappedFiles, cut_short

MOST_MAPPED = 1024
"""Files that are mapped at most: each takes a descriptor, of which many systems give a process as many."""


def files_of(paths: Sequence[Path], sizes: Sequence[int]) -> MappedFiles:
    """Return the files mapped, or opened at each read where there are many.

    Args:
        paths: the files.
        sizes: bytes that each must have.
    """
    return MappedFiles(paths, sizes) if len(paths) <= MOST_MAPPED else LooseFiles(paths, sizes)


class LooseFiles(MappedFiles):
    """Files that are read like mapped ones, and hold no descriptor between two reads."""

    def gather(self, file: NDArray[np.int64], offset: NDArray[np.int64], length: int) -> Bytes:
        """Return ``length`` bytes each from many places; see `MappedFiles.gather`.

        Raises:
            DataError: a file is gone, shorter than it was, or cannot be read.
        """
        out = np.empty(len(offset), dtype=np.dtype((np.void, length)))
        raw = out.view(np.uint8).reshape(len(offset), length)
        places = np.broadcast_to(file, offset.shape)
        for one in np.unique(places).tolist():
            rows = np.flatnonzero(places == one)
            with self._opened_file(one) as descriptor:
                for row, start in zip(rows.tolist(), offset[rows].tolist(), strict=True):
                    self._read_into(one, descriptor, start, raw[row].data)
        return out

    def bytes_at(self, file: int, offset: int, length: int) -> bytearray:
        """Return ``length`` bytes from one place.

        Raises:
            DataError: the file is gone, shorter than it was, or cannot be read.
        """
        out = bytearray(length)
        with self._opened_file(file) as descriptor:
            self._read_into(file, descriptor, offset, memoryview(out))
        return out

    @contextlib.contextmanager
    def _opened_file(self, file: int) -> Iterator[int]:
        path = self.paths[file]
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DataError(
                f"a file of the data cannot be read: {error.strerror}",
                where=str(path),
                fix="put it back, then resume the run",
            ) from error
        try:
            if (found := os.fstat(descriptor).st_size) < self.sizes[file]:
                raise cut_short(path, found, self.sizes[file])
            yield descriptor
        finally:
            os.close(descriptor)

    def _read_into(self, file: int, descriptor: int, offset: int, out: memoryview) -> None:
        done = 0
        while done < len(out):
            count = os.preadv(descriptor, [out[done:]], offset + done)
            if count == 0:
                raise cut_short(self.paths[file], offset + done, offset + len(out))
            done += count
