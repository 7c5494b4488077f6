"""The native form of a patch set on disk; ``docs/native-format.md`` describes it for people.

::

    patches.zarr/
      manifest.json      format, bands, arrays, and length and crc32c of every file below; its own crc32c
      zarr.json          a Zarr v3 group
      x/                 images [n,c,h,w]: zarr.json, and shards c.0.0.0.0, c.1.0.0.0, ...
      mask/              optional, bool [n,1,h,w] or [n,c,h,w], true where observed
      y/                 optional, labels [n], [n,h,w] or [n,t,h,w]
      y_start/ y_index/ y_value/   in its place: values of few measured pixels, [n+1], [m] and [m]
      patches.parquet    one row a patch (GeoParquet where it has a geometry)
      splits.json        which patch belongs to which split and fold
      preparation.json   optional: how the patches were made from scenes
      statistics.json    optional

Arrays are stored uncompressed, little-endian, in whole shards, one chunk a patch (of one axis: one chunk a shard).
Splits and statistics are not in the manifest, so a person may change them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from ...core.bands import Bands
from ...core.errors import DataError

FORMAT = "spectrain.patches"
VERSION = 2
"""The newest that is read. Written is the oldest that can hold the arrays: 2 is for labels as index and value."""
MANIFEST, TABLE, SPLITS, STATISTICS = "manifest.json", "patches.parquet", "splits.json", "statistics.json"
PREPARATION = "preparation.json"
IMAGES, MASKS, LABELS = "x", "mask", "y"
START, INDEX, VALUE = "y_start", "y_index", "y_value"
"""Patch i was measured at the pixels ``y_index[y_start[i]:y_start[i + 1]]`` (row · width + column) as ``y_value``."""
AXES: dict[str, tuple[str, ...]] = {
    IMAGES: ("sample", "band", "y", "x"),
    MASKS: ("sample", "mask_band", "y", "x"),
    START: ("sample_edge",),
    INDEX: ("measurement",),
    VALUE: ("measurement",),
}


def label_axes(ndim: int) -> tuple[str, ...]:
    """Return the names of the axes of labels with so many axes."""
    return {1: ("sample",), 3: ("sample", "y", "x"), 4: ("sample", "quantity", "y", "x")}[ndim]


def shard_name(array: str, number: int, ndim: int) -> str:
    """Return the path of a shard within the folder."""
    return f"{array}/c.{number}" + ".0" * (ndim - 1)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Length in bytes and crc32c of a file."""

    bytes: int
    crc32c: int


@dataclass(frozen=True, slots=True)
class StoredShape:
    """What the manifest says of an array; ``rows`` is how many a shard holds."""

    shape: tuple[int, ...]
    dtype: str
    rows: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What belongs to a patch set; written last.

    Attributes:
        bands: one a channel.
        arrays: by name.
        files: by path within the folder.
    """

    bands: Bands
    arrays: dict[str, StoredShape]
    files: dict[str, StoredFile]

    def digest(self) -> str:
        """Return a hash that depends on bands, arrays and the content of every file."""
        return hashlib.blake2b(_canonical(self._record()), digest_size=16).hexdigest()

    def to_text(self) -> str:
        """Return the manifest as JSON, with its checksum."""
        record = self._record()
        record["crc32c"] = _hexadecimal(google_crc32c.value(_canonical(record)))
        return json.dumps(record, indent=1) + "\n"

    def _record(self) -> dict[str, Any]:
        return {
            "format": {"name": FORMAT, "version": 2 if INDEX in self.arrays else 1},
            "bands": self.bands.to_json(),
            "arrays": {
                name: {"shape": list(array.shape), "dtype": array.dtype, "rows_per_shard": array.rows}
                for name, array in self.arrays.items()
            },
            "files": {
                name: {"bytes": file.bytes, "crc32c": _hexadecimal(file.crc32c)}
                for name, file in sorted(self.files.items())
            },
        }

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check the manifest of a patch set.

        Raises:
            DataError: it is missing or damaged, of another format, or of a newer version than this code knows.
        """
        path = folder / MANIFEST
        try:
            record = json.loads(path.read_bytes())
            name, version = record["format"]["name"], record["format"]["version"]
        except OSError as error:
            raise DataError(
                f"the manifest cannot be read: {error.strerror}", where=str(path), fix="copy or prepare the data again"
            ) from error
        except (ValueError, LookupError, TypeError) as error:
            raise _damaged(path, "it is not JSON with a format") from error
        if name != FORMAT:
            raise DataError(f"the folder holds {name!r}, not patches", where=str(path), fix=f"give one with {FORMAT!r}")
        if not isinstance(version, int) or version < 1:
            raise _damaged(path, f"there is no version {version!r}")
        if version > VERSION:
            raise DataError(
                f"the patches were written by a newer spectrain: format version {version}, this one knows {VERSION}",
                where=str(path),
                fix="update spectrain, or prepare the data again with this version",
            )
        crc = record.pop("crc32c", None)
        if crc != _hexadecimal(google_crc32c.value(_canonical(record))):
            raise _damaged(path, "its content does not have the checksum that it states")
        try:
            return cls(
                Bands.from_json(record["bands"]),
                {
                    key: StoredShape(tuple(array["shape"]), array["dtype"], array["rows_per_shard"])
                    for key, array in record["arrays"].items()
                },
                {key: StoredFile(file["bytes"], int(file["crc32c"], 16)) for key, file in record["files"].items()},
            )
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _damaged(path, f"it lacks {error}") from error


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"the manifest is damaged: {what}",
        where=str(path),
        fix="copy or prepare the data again; it is not to be edited",
    )


def _canonical(record: dict[str, Any]) -> bytes:
    """Return the same bytes for equal content, whatever the order and spacing it was written with."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _hexadecimal(crc: int) -> str:
    return f"{crc:08x}"
