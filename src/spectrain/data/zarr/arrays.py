"""From a Zarr array on disk to the quickest way of reading it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ..native.shards import MISSING, index_bytes, read_index
from ..stored.loose_files import files_of
from ..stored.mapped import MappedFiles, cut_short
from ..stored.rows import MappedArray, StoredArray
from .chunks import ChunkFolder, ChunksInFiles, PackedArray
from .codecs import Unpacker
from .metadata import DAMAGED, ZarrArray, read_array

MANY = 1 << 26
"""Files of chunks, or shards, of one array at most."""


def open_array(path: Path) -> StoredArray:
    """Return the quickest reader of a Zarr array, of version 2 or 3.

    Whole rows that are not packed are mapped, from chunk files and from shards alike;
    all else is read chunk by chunk and unpacked on all cores.

    Raises:
        DataError: the metadata are damaged, a codec is not known, a file is cut short, or none of the data are there.
    """
    array = read_array(path)
    chunk = array.inner or array.chunk
    unpack = Unpacker(array.codecs, array.dtype, chunk, str(path))
    whole_rows = unpack.plain and chunk[1:] == array.shape[1:]
    grid = _grid(array.shape, array.chunk)
    if math.prod(grid) > MANY:
        raise DataError(f"{math.prod(grid):,} chunks are said to be in the folder", where=str(path), fix=DAMAGED)
    folder = ChunkFolder(array, grid)
    stored = np.flatnonzero(folder.sizes >= 0)
    if len(stored) == 0 and 0 not in array.shape:
        raise DataError(
            "the array has no chunk: its data are not there", where=str(path), fix="copy the folder whole, or write it"
        )
    if array.inner is not None:
        files, file, offset, size = _in_shards(array, array.inner, folder, stored, grid)
        if not whole_rows or (size[offset >= 0] != unpack.chunk_bytes).any():
            return PackedArray(array, chunk, ChunksInFiles(files, file, offset, size), unpack)
        return MappedArray(files, array.dtype, array.shape, run=chunk[0], file=file, offset=offset, fill=array.fill)
    _expect_whole(folder, stored, unpack)
    if not whole_rows:
        return PackedArray(array, chunk, folder, unpack)
    file, offset = np.zeros(len(folder.sizes), dtype=np.int64), np.full(len(folder.sizes), -1, dtype=np.int64)
    file[stored], offset[stored] = np.arange(len(stored)), 0
    files = files_of([folder.place(one) for one in stored.tolist()], folder.sizes[stored].tolist())
    return MappedArray(files, array.dtype, array.shape, run=chunk[0], file=file, offset=offset, fill=array.fill)


def _grid(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-length // step) for length, step in zip(shape, chunk, strict=True))


def _expect_whole(folder: ChunkFolder, stored: NDArray[np.int64], unpack: Unpacker) -> None:
    """Raise where a chunk file is shorter than it must be, as far as that can be told without unpacking it."""
    for chunk in stored.tolist():
        found, expected = int(folder.sizes[chunk]), None
        if unpack.plain:
            expected = unpack.chunk_bytes
        elif unpack.states_length:
            with folder.place(chunk).open("rb") as file:
                expected = unpack.stated_length(file.read(16))
        if found < (expected or 1):
            raise cut_short(folder.place(chunk), found, expected or 1)


def _in_shards(
    array: ZarrArray,
    inner: tuple[int, ...],
    folder: ChunkFolder,
    stored: NDArray[np.int64],
    grid: tuple[int, ...],
) -> tuple[MappedFiles, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the shards, and file, offset and size of each chunk in row-major order of the grid of chunks."""
    per_shard = _grid(array.chunk, inner)
    count = math.prod(per_shard)
    offset = np.full((len(folder.sizes), count), -1, dtype=np.int64)
    size, file = np.zeros_like(offset), np.zeros_like(offset)
    for number, shard in enumerate(stored.tolist()):
        index = read_index(folder.place(shard), int(folder.sizes[shard]), count)
        held = index[:, 0] != MISSING
        largest = np.uint64(folder.sizes[shard] - index_bytes(count))
        if (index[held] > largest).any():
            raise DataError(
                "the index of the shard does not fit its content", where=str(folder.place(shard)), fix=DAMAGED
            )
        offset[shard, held], size[shard, held] = index[held].astype(np.int64).T
        file[shard] = number
    files = files_of([folder.place(one) for one in stored.tolist()], folder.sizes[stored].tolist())
    parts = [_by_chunk(part, grid, per_shard, _grid(array.shape, inner)) for part in (file, offset, size)]
    return files, parts[0], parts[1], parts[2]


def _by_chunk(
    values: NDArray[np.int64], grid: tuple[int, ...], per_shard: tuple[int, ...], chunks: tuple[int, ...]
) -> NDArray[np.int64]:
    """Return values [shards, chunks a shard] in row-major order of the whole grid of chunks."""
    axes = len(grid)
    order = [axis for pair in zip(range(axes), range(axes, 2 * axes), strict=True) for axis in pair]
    together = values.reshape(*grid, *per_shard).transpose(order)
    whole = together.reshape([a * b for a, b in zip(grid, per_shard, strict=True)])
    return np.ascontiguousarray(whole[tuple(slice(0, one) for one in chunks)]).ravel()
