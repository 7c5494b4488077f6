"""One array of the native form: its buffer while it is written, and what its Zarr metadata say."""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.bands import Bands
from .format import MASKS


class ArrayBuffer:
    """One array on its way to disk: a buffer of one shard.

    Labels of one number a patch are one chunk a shard, which a short last shard fills up; all else is a chunk a patch.
    """

    def __init__(self, name: str, first: NDArray[np.generic], rows: int) -> None:
        self.name = name
        dtype = np.dtype(np.bool_) if name == MASKS else little_endian(first.dtype)
        self.buffer = np.zeros((rows, *first.shape[1:]), dtype=dtype)
        self.rows_per_chunk = rows if first.ndim == 1 else 1
        self.chunks = rows // self.rows_per_chunk
        self.shards = 0
        self.held = 0
        self._written = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all rows so far, written or held."""
        return (self._written + self.held, *self.buffer.shape[1:])

    @property
    def full(self) -> bool:
        """A shard is complete."""
        return self.held == len(self.buffer)

    def fill(self, rows: NDArray[np.generic]) -> int:
        """Take as many rows as there is room for, and return how many."""
        count = min(len(rows), len(self.buffer) - self.held)
        self.buffer[self.held : self.held + count] = rows[:count]
        self.held += count
        return count

    def chunks_held(self) -> NDArray[np.generic]:
        """Return what the shard holds, one chunk a row."""
        if self.buffer.ndim == 1:
            self.buffer[self.held :] = 0
            return self.buffer[None]
        return self.buffer[: self.held]

    def trim(self) -> None:
        """Make a shard that is the only one as short as what it holds; of an array with one axis."""
        if not self.shards:
            self.buffer = self.buffer[: max(1, self.held)]
            self.rows_per_chunk = len(self.buffer)

    def clear(self) -> None:
        """Begin the next shard."""
        self.shards += 1
        self._written += self.held
        self.held = 0


def cf_attributes(bands: Bands, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the CF attributes that hold for all bands alike; what differs between bands stands in the group's bands.

    ``_FillValue`` of a floating type is written as Zarr v3 readers of the CF kind expect it: base64 of a little-endian
    double.
    """
    attributes: dict[str, Any] = {}
    scales, offsets = {band.scale for band in bands}, {band.offset for band in bands}
    if len(scales) == len(offsets) == 1 and (scales, offsets) != ({1.0}, {0.0}):
        attributes |= {"scale_factor": scales.pop(), "add_offset": offsets.pop()}
    units, nodata = {band.unit for band in bands}, {band.nodata for band in bands}
    if len(units) == 1 and (unit := units.pop()) is not None:
        attributes["units"] = unit
    if len(nodata) == 1 and (value := nodata.pop()) is not None:
        if dtype.kind == "f":
            attributes["_FillValue"] = base64.b64encode(struct.pack("<d", value)).decode()
        elif within(value, dtype) == value:
            attributes["_FillValue"] = int(value)
    return attributes


def within(value: float, dtype: np.dtype[Any]) -> float | int | bool:
    """Return ``value`` if the type can hold it, else 0."""
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "f":
        return float(value)
    limits = np.iinfo(dtype)
    return int(value) if value == int(value) and limits.min <= value <= limits.max else 0


def little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in the byte order of the files."""
    return dtype.newbyteorder("<")
