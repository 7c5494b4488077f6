"""From an HDF5 dataset to the quickest way of reading it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...core.damage import reading
from ...core.errors import DataError
from ..stored.mapped import MappedFiles, expect_within
from ..stored.rows import MappedArray, StoredArray, StoredValues, native_order
from .chunks import READABLE, ChunkedArray, ChunkTable

LIBRARY_CACHE_BYTES = 64 * 2**20
"""Chunk cache of the HDF5 library, for each dataset that only it can read."""

MANY = 1 << 22
"""Chunks that are not looked at one by one where hardly any was written: a header of a few bytes may say so."""

_FILTERS = {h5py.h5z.FILTER_SHUFFLE: "shuffle", h5py.h5z.FILTER_DEFLATE: "deflate"}


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises:
        DataError: it is damaged, cut short, being written, or not HDF5 at all; also where that shows in the block,
            since the library looks at most of a file only when it is asked for it.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = str(error)
        if "truncated file" in reason:
            fix = "the file is cut short: copy or write it again"
        elif "lock" in reason:
            fix = "another program has it open for writing: wait until it has closed it"
        else:
            fix = "see that it can be read and is whole, else copy or write it again"
        raise DataError(f"cannot be opened as HDF5: {reason}", where=str(path), fix=fix) from error
    with reading(path), file:
        yield file


def stored_array(dataset: h5py.Dataset, files: MappedFiles) -> StoredArray:
    """Return the quickest reader of a dataset.

    Contiguous data, and chunks that hold whole rows as they are, are mapped; chunks packed by gzip and shuffle are
    unpacked here on all cores; everything else (other filters, virtual, compact or external data, types that
    numpy does not have) is read by the HDF5 library.

    Args:
        dataset: of an open file; it is not kept.
        files: that file.

    Raises:
        DataError: the dataset's index points beyond the end of the file.
    """
    expect_own(dataset, files.paths[0])
    plan = dataset.id.get_create_plist()
    layout = plan.get_layout()
    same_type = h5py.h5t.py_create(dataset.dtype).equal(dataset.id.get_type())
    filters = tuple(_FILTERS.get(plan.get_filter(i)[0], "other") for i in range(plan.get_nfilters()))
    if same_type and layout == h5py.h5d.CONTIGUOUS and plan.get_external_count() == 0:
        # the library gives a made-up offset for data that were never written, where there is a user block
        offset = dataset.id.get_offset() if dataset.id.get_storage_size() else -1
        return _mapped(dataset, files, run=dataset.shape[0], offset=np.array([offset], dtype=np.int64))
    if same_type and layout == h5py.h5d.CHUNKED and filters in READABLE:
        table = _chunk_table(dataset, files)
        if not filters and dataset.chunks[1:] == dataset.shape[1:]:
            return _mapped(dataset, files, run=dataset.chunks[0], offset=table.offset)
        return ChunkedArray(
            files,
            dataset.name.lstrip("/"),
            dataset.dtype,
            dataset.shape,
            chunk=dataset.chunks,
            table=table,
            filters=filters,
            fill=dataset.fillvalue,
        )
    return LibraryArray(files, dataset.name, dataset.dtype, dataset.shape)


def expect_own(dataset: h5py.Dataset, path: Path) -> None:
    """Raise a `DataError` where values come from a file elsewhere; one beside this file, or below, belongs to it.

    A header may name any file of the machine, and its bytes would be taken for pixels.
    """
    plan = dataset.id.get_create_plist()
    named = [os.fsdecode(dataset.file.filename)]  # another one where a link leads there
    named += [os.fsdecode(plan.get_external(i)[0]) for i in range(plan.get_external_count())]
    if plan.get_layout() == h5py.h5d.VIRTUAL:
        named += [source.file_name for source in dataset.virtual_sources() if source.file_name != "."]
    home = path.resolve().parent
    for name in dict.fromkeys(named):
        if not (home / name).resolve().is_relative_to(home):
            raise DataError(
                f"{dataset.name.lstrip('/')!r} takes its values from {name}, which does not lie beside the file",
                where=str(path),
                fix="put that file beside this one and write the dataset anew, or write the values into it",
            )


def _mapped(dataset: h5py.Dataset, files: MappedFiles, *, run: int, offset: NDArray[np.int64]) -> MappedArray:
    file = np.zeros(len(offset), dtype=np.int64)
    return MappedArray(files, dataset.dtype, dataset.shape, run=run, file=file, offset=offset, fill=dataset.fillvalue)


def _chunk_table(dataset: h5py.Dataset, files: MappedFiles) -> ChunkTable:
    """Read where the chunks lie, in one walk over the dataset's index."""
    grid = [-(-length // step) for length, step in zip(dataset.shape, dataset.chunks, strict=True)]
    if math.prod(grid) > MANY and dataset.id.get_num_chunks() < math.prod(grid) // 100:
        raise DataError(
            f"the dataset {dataset.name.lstrip('/')!r} of shape {dataset.shape} was hardly written: "
            f"{dataset.id.get_num_chunks():,} of {math.prod(grid):,} chunks",
            where=str(files.paths[0]),
            fix="write it in its real size; else the file is damaged",
        )
    table = ChunkTable(
        offset=np.full(grid, -1, dtype=np.int64),
        size=np.zeros(grid, dtype=np.int64),
        skipped=np.zeros(grid, dtype=np.uint32),
    )

    def note(chunk: Any) -> None:
        place = tuple(at // step for at, step in zip(chunk.chunk_offset, dataset.chunks, strict=True))
        table.offset[place], table.size[place], table.skipped[place] = chunk.byte_offset, chunk.size, chunk.filter_mask

    dataset.id.chunk_iter(note)
    offset, size = table.offset.ravel(), table.size.ravel()
    expect_within(files, np.zeros_like(offset), offset, size)
    return ChunkTable(offset, size, table.skipped.ravel())


class LibraryArray:
    """A dataset that only the HDF5 library can read. It opens the file once in each process.

    Args:
        files: the one file.
        name: of the dataset.
        dtype: as numpy sees it.
        shape: first axis the rows.
    """

    def __init__(self, files: MappedFiles, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.dtype = native_order(dtype)
        self._files, self._name = files, name
        self._handles: dict[int, h5py.File] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": {}}

    def take(self, index: NDArray[np.int64]) -> StoredValues:
        """Return the rows at ``index`` [B] in that order, in memory of their own.

        Raises:
            DataError: the library cannot read them (a filter that is not installed, a damaged file).
        """
        if len(index) == 0:
            return np.empty((0, *self.shape[1:]), dtype=self.dtype)
        self._files.check()  # the library keeps chunks, which would hide that the file was cut
        # ascending and without doubles, as the library wants it: then each chunk is unpacked once
        ascending, back = np.unique(index, return_inverse=True)
        fix = "write it again without compression or with gzip, or install the filter it names"
        with reading(f"{self._files.paths[0]}: {self._name.lstrip('/')}", fix=fix):
            rows: StoredValues = self._dataset()[ascending]
        return rows[back].astype(self.dtype, copy=False)

    def check(self) -> None:
        """Raise a `DataError` where the file is gone or shorter than it must be."""
        self._files.check()

    def _dataset(self) -> h5py.Dataset:
        process = os.getpid()  # a forked child must not use its parent's handle
        if process not in self._handles:
            self._handles[process] = h5py.File(self._files.paths[0], "r", rdcc_nbytes=LIBRARY_CACHE_BYTES)
        return self._handles[process][self._name]
