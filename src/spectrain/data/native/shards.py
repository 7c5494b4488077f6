"""The shard of Zarr v3 (codec ``sharding_indexed``, index at the end) as bytes: how to write it and find its chunks.

A shard is its chunks one behind the other, then an index of two little-endian 64-bit words a chunk, offset and length,
then the crc32c of that index. A chunk that is not stored has both words at their largest. The last shard of an array
has fewer chunks, but its index has all entries.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ..stored.mapped import cut_short

MISSING = np.uint64(2**64 - 1)
_BLOCK = 8 * 2**20


def index_bytes(chunks: int) -> int:
    """Return the length of the index of a shard with so many chunks, its checksum included."""
    return 16 * chunks + 4


def write_shard(file: BinaryIO, values: NDArray[np.generic], chunks: int) -> int:
    """Write a shard, one chunk for each row of ``values``, and return the crc32c of the whole file.

    Args:
        file: at its beginning.
        values: [rows, ...], contiguous and little-endian, at most ``chunks`` rows.
        chunks: entries of the index.
    """
    length = values[:1].nbytes
    index = np.full((chunks, 2), MISSING, dtype="<u8")
    index[: len(values), 0] = np.arange(len(values)) * length
    index[: len(values), 1] = length
    flat = values.reshape(-1).view(np.uint8)
    tail = index.tobytes()
    tail += int(google_crc32c.value(tail)).to_bytes(4, "little")
    file.write(flat.data)
    file.write(tail)
    return int(google_crc32c.extend(google_crc32c.value(flat), tail))


def read_index(path: Path, size: int, chunks: int) -> NDArray[np.uint64]:
    """Return the index of a shard, [chunks, 2] of offset and length.

    Args:
        path: the shard.
        size: bytes that it must have.
        chunks: entries of the index.

    Raises:
        DataError: the file is missing or shorter, or its index is damaged.
    """
    length = index_bytes(chunks)
    try:
        with path.open("rb") as file:
            found = file.seek(0, 2)
            if found < size or found < length:
                raise cut_short(path, found, max(size, length))
            file.seek(-length, 2)
            tail = file.read(length)
    except OSError as error:
        raise DataError(
            f"a shard cannot be read: {error.strerror}", where=str(path), fix="copy or prepare the data again"
        ) from error
    if google_crc32c.value(tail[:-4]) != int.from_bytes(tail[-4:], "little"):
        raise DataError(
            "the index of the shard is damaged: its checksum is wrong, as of a file that is cut short",
            where=str(path),
            fix="copy or prepare the data again",
        )
    return np.frombuffer(tail[:-4], dtype="<u8").reshape(chunks, 2).astype(np.uint64)


def file_crc32c(path: Path) -> int:
    """Return the crc32c of a file, read a few megabytes at a time."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = google_crc32c.extend(crc, block)
    return crc
