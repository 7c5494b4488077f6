"""How the bytes of a Zarr chunk become numbers: its codecs undone, one after the other, by numcodecs.

All of it can be called from many threads, and in a forked process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError

PLAIN = ("blosc", "zstd", "gzip")
"""Compressors of Zarr's own that numcodecs knows by the same name."""
_BLOSC_HEADER = 16


class Unpacker:
    """Undoes the codecs of one array.

    Args:
        codecs: as `ZarrArray` has them.
        dtype: stored type, with its byte order.
        shape: of a chunk.
        where: the array, for error messages.

    Raises:
        DataError: a codec that is not known.
    """

    def __init__(
        self, codecs: Sequence[Mapping[str, Any]], dtype: np.dtype[Any], shape: tuple[int, ...], where: str
    ) -> None:
        self._codecs, self._dtype, self._where = tuple(codecs), dtype, where
        names = [one["name"] for one in codecs]
        if "bytes" not in names:
            raise DataError(f"the array is stored by {', '.join(names) or 'nothing'}", where=where, fix=_FIX)
        turned, self._packing = self._codecs[: names.index("bytes")], self._codecs[names.index("bytes") + 1 :]
        self._order: tuple[int, ...] | None = None
        for one in turned:
            if one["name"] != "transpose" or self._order is not None:
                raise DataError(f"the array is stored by {one['name']!r}, which is not read", where=where, fix=_FIX)
            self._order = _axes(one["configuration"]["order"], len(shape))
        self._shape = shape if self._order is None else tuple(shape[axis] for axis in self._order)
        self._bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self._made = [self._codec(one) for one in self._packing]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._made = [self._codec(one) for one in self._packing]

    @property
    def plain(self) -> bool:
        """A chunk is its numbers one behind the other, and nothing else."""
        return not self._packing and self._order is None

    @property
    def chunk_bytes(self) -> int:
        """Bytes of an unpacked chunk."""
        return self._bytes

    @property
    def states_length(self) -> bool:
        """The first bytes of a packed chunk say how long it is."""
        return bool(self._packing) and self._packing[-1]["name"].removeprefix("numcodecs.") == "blosc"

    def stated_length(self, head: bytes) -> int | None:
        """Return how long a packed chunk says that it is, from its first 16 bytes; None where it does not say."""
        if not self.states_length or len(head) < _BLOSC_HEADER:
            return None
        return int.from_bytes(head[12:16], "little")

    def __call__(self, packed: bytes | bytearray | memoryview) -> NDArray[np.generic]:
        """Return a chunk's numbers, in the stored type.

        Raises:
            ValueError: the bytes are damaged, or of another length than the chunk.
        """
        content: Any = packed
        for undo in reversed(self._made):
            try:
                content = undo(content)
            except Exception as error:  # each codec has errors of its own
                raise ValueError(str(error) or type(error).__name__) from error
        flat = np.frombuffer(content, dtype=np.uint8) if not isinstance(content, np.ndarray) else content
        flat = np.ascontiguousarray(flat).reshape(-1).view(np.uint8)
        if flat.nbytes != self._bytes:
            raise ValueError(f"{flat.nbytes} bytes in place of {self._bytes}")
        values = flat.view(self._dtype).reshape(self._shape)
        return values if self._order is None else values.transpose(np.argsort(self._order))

    def _codec(self, stated: Mapping[str, Any]) -> Any:
        """Return the function that undoes a codec from bytes to bytes."""
        name = stated["name"]
        if name == "crc32c":
            return _without_checksum
        import numcodecs

        known = name.removeprefix("numcodecs.")
        settings = {} if known in PLAIN else stated["configuration"]
        try:
            if known == name and name not in PLAIN:
                raise ValueError("not among Zarr's own")
            return numcodecs.get_codec({"id": known, **settings}).decode
        except (ValueError, TypeError) as error:
            raise DataError(
                f"the array is packed by {name!r}, which is not known here: {error}", where=self._where, fix=_FIX
            ) from error


_FIX = "write the array again without compression, or with blosc, zstd or gzip"


def _axes(order: Any, count: int) -> tuple[int, ...]:
    """Return the order of axes; "C" and "F" are those of an early draft of the format."""
    named = {"C": tuple(range(count)), "F": tuple(reversed(range(count)))}
    return named[order] if isinstance(order, str) else tuple(int(axis) for axis in order)


def _without_checksum(content: Any) -> Any:
    """Return what stands before a crc32c that is right."""
    raw = memoryview(content).cast("B")
    if google_crc32c.value(bytes(raw[:-4])) != int.from_bytes(raw[-4:], "little"):
        raise ValueError("its checksum is wrong")
    return raw[:-4]
