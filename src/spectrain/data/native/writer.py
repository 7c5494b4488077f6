"""Writes the native form (:mod:`spectrain.data.native.format`), a whole shard at a time, committed by one rename."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...core.atomic import Mending, disk_errors, sync_file, sync_folder
from ...core.bands import Bands
from ...core.errors import DataError
from ..patch_table import write_patch_table
from ..patches import Rows
from ..sparse_labels import SparseLabels
from ..splits_file import given_splits
from .array import ArrayBuffer, cf_attributes, little_endian, within
from .format import (
    AXES,
    IMAGES,
    INDEX,
    LABELS,
    MANIFEST,
    MASKS,
    PREPARATION,
    SPLITS,
    START,
    STATISTICS,
    TABLE,
    VALUE,
    Manifest,
    StoredFile,
    StoredShape,
    label_axes,
    shard_name,
)
from .shards import file_crc32c, write_shard

SHARD_BYTES = 96 * 2**20
"""Images in one shard, unless told otherwise; masks and labels have as many rows a shard and fewer bytes."""
SHARD_ROWS = 1 << 16
"""Rows that a shard has at most: its index, of 16 bytes a row, is read whole when the folder is opened."""
SHARD_VALUES = 1 << 20
"""Values in one shard of labels that are index and value."""
OF_PATCHES = Mending(
    DataError,
    "free space and write them again; nothing was half written",
    "see that the folder may be written and nothing of this name is there",
)


class NativeWriter:
    """Writes a patch set. Nothing is seen under ``path`` until :meth:`commit` renames a complete folder into place.

    ::

        with NativeWriter("patches.zarr", bands) as writer:
            for rows, table in ...:
                writer.append(rows, table)
            writer.commit(splits=splits, statistics=statistics)

    Memory holds one shard of each array. Leaving the block without a commit, by an error or not, removes what was
    written; only a killed process leaves a folder ``.NAME.partial-...`` behind, which may be deleted.

    Args:
        path: the folder to make.
        bands: one a channel.
        shard_bytes: images in one shard, 64 to 128 MB for real data; of small patches at most `SHARD_ROWS`.
        crs: of a column ``geometry`` in the tables, as PROJJSON; None is longitude and latitude (OGC:CRS84).

    Raises:
        DataError: something is at ``path`` already, or the folder around it cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        bands: Bands,
        *,
        shard_bytes: int = SHARD_BYTES,
        crs: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.bands = bands
        self._shard_bytes, self._crs = shard_bytes, crs
        self._arrays: dict[str, ArrayBuffer] = {}
        self._tables: list[pd.DataFrame] = []
        self._counts: list[NDArray[np.int64]] = []
        self._files: dict[str, StoredFile] = {}
        if self.path.exists():
            raise DataError(
                "there is something at this place already", where=str(path), fix="choose another, or remove it"
            )
        self._folder = self.path.with_name(f".{self.path.name}.partial-{os.getpid()}-{os.urandom(4).hex()}")
        with disk_errors(self.path, OF_PATCHES):
            self._folder.mkdir(parents=True)

    def append(self, rows: Rows, metadata: pd.DataFrame) -> None:
        """Add patches behind those that are there.

        Args:
            rows: of one shape and type throughout; with masks and labels always or never.
            metadata: one row a patch, with a column ``patch_id``; a column ``geometry`` is WKB.

        Raises:
            DataError: the patches do not fit those before, the bands or the metadata; the disk is full.
        """
        given: dict[str, NDArray[np.generic]] = {IMAGES: rows.image}
        if rows.mask is not None:
            given[MASKS] = rows.mask
        sparse = rows.labels if isinstance(rows.labels, SparseLabels) else None
        if rows.labels is not None and not isinstance(rows.labels, SparseLabels):
            given[LABELS] = rows.labels
        self._expect_fitting(given, metadata, sparse)
        if not self._arrays:
            per_shard = min(SHARD_ROWS, max(1, self._shard_bytes // max(1, rows.image[:1].nbytes)))
            self._arrays = {name: ArrayBuffer(name, part, per_shard) for name, part in given.items()}
        if sparse is not None:
            self._counts.append(np.bincount(sparse.row, minlength=len(sparse)))
            given |= _runs(sparse)
            for name in (INDEX, VALUE):
                self._arrays.setdefault(name, ArrayBuffer(name, given[name], SHARD_VALUES))
        for name, part in given.items():
            array = self._arrays[name]
            at = 0
            while at < len(part):
                at += array.fill(part[at:])
                if array.full:
                    self._write(array)
        self._tables.append(metadata)

    def commit(
        self,
        *,
        splits: Mapping[str, Any] | None = None,
        statistics: Mapping[str, Any] | None = None,
        preparation: Mapping[str, Any] | None = None,
    ) -> Path:
        """Finish the folder and rename it into place.

        Args:
            splits: the content of splits.json, its ``fingerprint`` filled in here; None puts all in the split "train".
            statistics: the content of statistics.json, or None for none.
            preparation: the content of preparation.json, or None for none.

        Returns:
            The path.

        Raises:
            DataError: nothing was appended, patch ids are not unique or the splits name others; the disk is full;
                something has appeared at the path.
        """
        if not self._arrays:
            raise DataError("there are no patches to write", where=str(self.path), fix="see what was selected")
        table = pd.concat(self._tables, ignore_index=True)
        table["patch_id"] = table["patch_id"].astype(str)
        _expect_ids(table, splits, str(self.path))
        if self._counts:
            start = np.concatenate([[0], np.cumsum(np.concatenate(self._counts))]).astype(np.int64)
            self._arrays[START] = ArrayBuffer(START, start, len(start))
            self._arrays[START].fill(start)
            for name in (INDEX, VALUE):
                self._arrays[name].trim()
        with disk_errors(self.path, OF_PATCHES):
            for array in self._arrays.values():
                if array.held:
                    self._write(array)
            self._describe()
            write_patch_table(table, self._folder / TABLE, self._crs)
            if preparation is not None:
                _write_text(self._folder / PREPARATION, json.dumps(preparation, indent=1) + "\n")
            written = [TABLE, *([PREPARATION] if preparation is not None else [])]
            for name in (*written, "zarr.json", *(f"{array}/zarr.json" for array in self._arrays)):
                held = self._folder / name
                self._files[name] = StoredFile(held.stat().st_size, file_crc32c(held))
            shapes = {a.name: StoredShape(a.shape, a.buffer.dtype.name, len(a.buffer)) for a in self._arrays.values()}
            manifest = Manifest(self.bands, shapes, self._files)
            _write_text(self._folder / MANIFEST, manifest.to_text())
            if statistics is not None:
                _write_text(self._folder / STATISTICS, json.dumps(statistics, indent=1) + "\n")
            given = splits or given_splits({"train": table["patch_id"].tolist()})
            _write_text(
                self._folder / SPLITS, json.dumps({**given, "fingerprint": self._fingerprint()}, indent=1) + "\n"
            )
            for folder in (*(self._folder / name for name in self._arrays), self._folder):
                sync_folder(folder)
            self._folder.rename(self.path)
            sync_folder(self.path.parent)
        return self.path

    def discard(self) -> None:
        """Remove what was written and not committed; does nothing after a commit."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _expect_fitting(
        self, given: dict[str, NDArray[np.generic]], metadata: pd.DataFrame, sparse: SparseLabels | None
    ) -> None:
        """Raise unless the rows fit each other, the bands, the metadata and what was appended before."""
        image = given[IMAGES]
        problem = None
        if image.ndim != 4 or image.shape[1] != len(self.bands) or 0 in image.shape[1:]:
            problem = f"images of shape {image.shape} do not fit {len(self.bands)} bands"
        elif any(len(part) != len(image) for part in given.values()) or len(metadata) != len(image):
            problem = f"{len(image)} images come with another number of masks, labels or metadata rows"
        elif "patch_id" not in metadata:
            problem = "the metadata have no column 'patch_id'"
        elif MASKS in given and given[MASKS].shape[1:] not in (image.shape[1:], (1, *image.shape[2:])):
            problem = f"masks of shape {given[MASKS].shape} do not fit images of shape {image.shape}"
        elif sparse is not None and sparse.shape != (len(image), *image.shape[2:]):
            problem = f"labels of shape {sparse.shape} do not fit images of shape {image.shape}"
        elif LABELS in given and not _labels_fit(given[LABELS], image):
            problem = f"labels of shape {given[LABELS].shape} do not fit images of shape {image.shape}"
        elif self._arrays:
            held = {name: (array.shape[1:], array.buffer.dtype) for name, array in self._arrays.items()}
            new = {name: (part.shape[1:], little_endian(part.dtype)) for name, part in given.items()}
            if sparse is not None:
                new |= {name: (part.shape[1:], little_endian(part.dtype)) for name, part in _runs(sparse).items()}
            if held != new:
                problem = f"these patches hold {_listed(new)}, those before {_listed(held)}"
        if problem:
            raise DataError(problem, where=str(self.path), fix="write patches of one form into one set")

    def _write(self, array: ArrayBuffer) -> None:
        """Write the rows that an array holds as its next shard."""
        name = shard_name(array.name, array.shards, len(array.shape))
        with disk_errors(self.path, OF_PATCHES):
            (self._folder / array.name).mkdir(exist_ok=True)
            with (self._folder / name).open("wb") as file:
                crc = write_shard(file, array.chunks_held(), array.chunks)
                sync_file(file)
                self._files[name] = StoredFile(file.tell(), crc)
        array.clear()

    def _describe(self) -> None:
        """Write the Zarr metadata, by the Zarr library, so that it is right for everybody."""
        import zarr

        attributes = {"Conventions": "CF-1.11", "spectrain_bands": self.bands.to_json()}
        group = zarr.create_group(self._folder, zarr_format=3, attributes=attributes)
        nodata = {band.nodata for band in self.bands}
        for array in self._arrays.values():
            images = array.name == IMAGES
            fill = self.bands[0].nodata if images and len(nodata) == 1 else None
            group.create_array(
                array.name,
                shape=array.shape,
                dtype=array.buffer.dtype,
                chunks=(array.rows_per_chunk, *array.shape[1:]),
                shards=array.buffer.shape,
                compressors=None,
                fill_value=within(fill or 0.0, array.buffer.dtype),
                chunk_key_encoding={"name": "default", "separator": "."},
                dimension_names=AXES.get(array.name) or label_axes(len(array.shape)),
                attributes=cf_attributes(self.bands, array.buffer.dtype) if images else {},
                config={"write_empty_chunks": True},
            )
        with warnings.catch_warnings():
            # that the Zarr specification does not have it yet; without it, readers that list the folder's members
            # warn of our other files
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            zarr.consolidate_metadata(self._folder)

    def _fingerprint(self) -> str:
        from .patches import NativePatches

        return NativePatches.open(self._folder).fingerprint()


def _runs(labels: SparseLabels) -> dict[str, NDArray[np.generic]]:
    """Return index and value as they are stored, patch by patch."""
    order = np.lexsort((labels.index, labels.row))
    kind = np.uint16 if labels.shape[1] * labels.shape[2] <= 1 << 16 else np.uint32
    return {INDEX: labels.index[order].astype(kind), VALUE: labels.value[order]}


def _labels_fit(labels: NDArray[np.generic], image: NDArray[np.generic]) -> bool:
    return labels.ndim == 1 or (labels.ndim in (3, 4) and labels.shape[-2:] == image.shape[-2:])


def _listed(parts: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in parts.items())


def _expect_ids(table: pd.DataFrame, splits: Mapping[str, Any] | None, where: str) -> None:
    """Raise unless patch ids are unique, and all that the splits name are there."""
    ids = table["patch_id"]
    if (doubled := ids.duplicated()).any():
        raise DataError(
            f"the patch_id {ids[doubled].iloc[0]!r} occurs twice", where=where, fix="give each patch an id of its own"
        )
    known = set(ids)
    for split, members in (splits or {}).get("splits", {}).items():
        if unknown := [one for one in members if one not in known]:
            raise DataError(
                f"the split {split!r} names {unknown[0]!r}, which is not among the patches",
                where=where,
                fix="split these patches anew",
            )


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        sync_file(file)
