"""The header of a .npy file: where its numbers begin, of what type and shape they are."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...core.damage import reading
from ...core.errors import DataError
from ..stored.mapped import cut_short

_MAGIC = b"\x93NUMPY"
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class NpyFile:
    """One array in a file.

    Attributes:
        path: the file.
        shape: of the array.
        dtype: stored type, with its byte order.
        offset: where the numbers begin.
        size: bytes of the file that belong to the array, its header included.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    size: int


def read_header(path: Path) -> NpyFile:
    """Return what the header of a file says; its numbers are not read.

    Raises:
        DataError: it is no .npy file, cut short, or holds something else than plain numbers in C order.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            found = file.seek(0, 2)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), fix="see that you may read it") from error
    begin = 12 if head[6:7] == b"\x02" else 10
    if head[:6] != _MAGIC or len(head) < begin:
        what = "the file is empty: it is cut short" if not head else "this is not a .npy file"
        raise DataError(what, where=str(path), fix="write it again with numpy.save")
    end = begin + int.from_bytes(head[8:begin], "little")
    if end > found:
        raise cut_short(path, found, end)
    with reading(path, fix="write it again with numpy.save"):
        shape, ordered, dtype = _parsed(head[:end])
    if dtype.kind not in "biuf" or not ordered:
        raise DataError(
            f"the file holds {dtype}" if ordered else "the array is stored in Fortran order",
            where=str(path),
            fix="save plain numbers: numpy.save(file, numpy.ascontiguousarray(array))",
        )
    size = end + dtype.itemsize * math.prod(shape)
    if found < size:
        raise cut_short(path, found, size)
    return NpyFile(path, shape, dtype, end, size)


@lru_cache(maxsize=256)
def _parsed(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether it is in C order, and type; the files of a folder mostly have the same header."""
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"version {version[0]}.{version[1]} of the format")
    return shape, not fortran or sum(length > 1 for length in shape) < 2, dtype
