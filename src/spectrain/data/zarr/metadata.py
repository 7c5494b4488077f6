"""What a Zarr folder says of its arrays, of version 2 or 3, read as JSON.

The library is not asked: it starts a thread with an event loop, which a forked process does not survive.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError

DAMAGED = "copy or write the data again"


@dataclass(frozen=True)
class ZarrArray:
    """One array of a folder, as its metadata describe it.

    Attributes:
        path: its folder.
        shape: of the array.
        dtype: stored type, with its byte order.
        chunk: shape of what one file holds: a chunk, or a shard of chunks.
        inner: shape of a chunk in a shard; None where a file is one chunk.
        codecs: JSON objects with ``name`` and ``configuration``, in the order in which they were applied to a chunk;
            version 2 is written in the words of version 3.
        fill: the value of what was never stored.
        prefix: of the files' names: "c" and a separator, or nothing.
        separator: between the numbers of a file's name.
        attributes: the user's.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    inner: tuple[int, ...] | None
    codecs: tuple[Mapping[str, Any], ...]
    fill: Any
    prefix: str
    separator: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def file(self, place: Sequence[int]) -> str:
        """Return the path, within the array's folder, of the file at a place of the grid of files."""
        return self.prefix + self.separator.join(str(one) for one in place)


def is_group(path: Path) -> bool:
    """Return whether a folder is a Zarr group."""
    return _kind(path) == "group"


def is_array(path: Path) -> bool:
    """Return whether a folder is a Zarr array."""
    return _kind(path) == "array"


def group_attributes(path: Path) -> Mapping[str, Any]:
    """Return the attributes of a group.

    Raises:
        DataError: the file that holds them is damaged.
    """
    if (path / "zarr.json").is_file():
        return dict(_json(path / "zarr.json").get("attributes") or {})
    return _json(path / ".zattrs") if (path / ".zattrs").is_file() else {}


def read_array(path: Path) -> ZarrArray:
    """Return what the metadata say of an array.

    Raises:
        DataError: there is none, its metadata are damaged, or of a kind that is not read here.
    """
    file = path / "zarr.json" if (path / "zarr.json").is_file() else path / ".zarray"
    record = _json(file)
    try:
        return _third(path, record) if file.name == "zarr.json" else _second(path, record)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, struct.error) as error:
        raise DataError(
            f"the metadata of the array are damaged, or of a kind that is not read: {error}",
            where=str(file),
            fix="write it as Zarr with a regular grid of chunks and plain numbers",
        ) from error


def _kind(path: Path) -> str | None:
    """Return "group" or "array", or None where a folder is neither."""
    if (path / "zarr.json").is_file():
        try:
            kind = json.loads((path / "zarr.json").read_bytes())["node_type"]
            return str(kind)
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
    if (path / ".zarray").is_file():
        return "array"
    return "group" if (path / ".zgroup").is_file() else None


def _json(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_bytes())
        if not isinstance(record, dict):
            raise ValueError("not an object")
        return record
    except OSError as error:
        raise DataError(f"the metadata cannot be read: {error.strerror}", where=str(file), fix=DAMAGED) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"the metadata are damaged: {error}", where=str(file), fix=DAMAGED) from error


def _third(path: Path, record: Mapping[str, Any]) -> ZarrArray:
    if record["node_type"] != "array" or record["chunk_grid"]["name"] != "regular":
        raise ValueError("not an array on a regular grid")
    encoding = record.get("chunk_key_encoding", {"name": "default"})
    dotted = encoding["name"] == "v2"
    separator = encoding.get("configuration", {}).get("separator", "." if dotted else "/")
    codecs = [_named(one) for one in record["codecs"]]
    inner = None
    if codecs[0]["name"] == "sharding_indexed":
        if len(codecs) > 1:
            raise ValueError("a codec behind sharding")
        stated = codecs[0]["configuration"]
        index = [_named(one)["name"] for one in stated.get("index_codecs", [])]
        if index != ["bytes", "crc32c"] or stated.get("index_location", "end") != "end":
            raise ValueError("an index of shards that is not at the end, or without its checksum alone")
        inner, codecs = _lengths(stated["chunk_shape"]), [_named(one) for one in stated["codecs"]]
    endian = next((one["configuration"].get("endian", "little") for one in codecs if one["name"] == "bytes"), "little")
    dtype = np.dtype(record["data_type"]).newbyteorder("<" if endian == "little" else ">")
    return _checked(
        ZarrArray(
            path,
            _lengths(record["shape"]),
            dtype,
            _lengths(record["chunk_grid"]["configuration"]["chunk_shape"]),
            inner,
            tuple(codecs),
            _fill(record["fill_value"], dtype),
            "" if dotted else f"c{separator}",
            separator,
            record.get("attributes") or {},
        )
    )


def _second(path: Path, record: Mapping[str, Any]) -> ZarrArray:
    shape, dtype = _lengths(record["shape"]), np.dtype(record["dtype"])
    codecs: list[Mapping[str, Any]] = []
    if record.get("order", "C") == "F" and len(shape) > 1:
        codecs.append({"name": "transpose", "configuration": {"order": list(reversed(range(len(shape))))}})
    codecs.append({"name": "bytes", "configuration": {}})
    for stated in [*(record.get("filters") or []), *([record["compressor"]] if record.get("compressor") else [])]:
        settings = dict(stated)
        codecs.append({"name": f"numcodecs.{settings.pop('id')}", "configuration": settings})
    attributes = _json(path / ".zattrs") if (path / ".zattrs").is_file() else {}
    fill, separator = _fill(record.get("fill_value"), dtype), record.get("dimension_separator", ".")
    chunk = _lengths(record["chunks"])
    return _checked(ZarrArray(path, shape, dtype, chunk, None, tuple(codecs), fill, "", separator, attributes))


def _named(codec: Any) -> Mapping[str, Any]:
    """Return a codec as an object; version 3 allows the name alone."""
    if isinstance(codec, str):
        return {"name": codec, "configuration": {}}
    return {"name": str(codec["name"]), "configuration": codec.get("configuration") or {}}


def _lengths(values: Sequence[Any]) -> tuple[int, ...]:
    lengths = tuple(int(one) for one in values)
    if any(one < 0 for one in lengths):
        raise ValueError(f"a length of {min(lengths)}")
    return lengths


def _checked(array: ZarrArray) -> ZarrArray:
    parts = [array.chunk] if array.inner is None else [array.chunk, array.inner]
    if any(len(one) != len(array.shape) or 0 in one for one in parts):
        raise ValueError(f"chunks of {array.chunk} in an array of {array.shape}")
    if array.inner is not None and any(a % b for a, b in zip(array.chunk, array.inner, strict=True)):
        raise ValueError(f"shards of {array.chunk} do not hold whole chunks of {array.inner}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"values of type {array.dtype}")
    return array


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return the fill value as a number; none stated is 0."""
    if value is None:
        return 0
    if isinstance(value, str):
        if value.startswith("0x"):
            raw = int(value, 16).to_bytes(dtype.itemsize, "little")
            return np.frombuffer(raw, dtype.newbyteorder("<"))[0]
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[value]
    return value
