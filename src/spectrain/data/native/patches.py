"""Patches in the native form (:mod:`spectrain.data.native.format`), mapped through the index of each shard."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...config.schema import DatasetOptions
from ...core.errors import DataError, perhaps
from ..fingerprint import content_fingerprint, files_stamp
from ..patches import Patches, Rows
from ..reader import ALL
from ..sparse_labels import Labels
from ..splits_file import read_splits
from ..stored.mapped import MappedFiles
from ..stored.rows import MappedArray, checked_index
from ..subset import Subset
from .format import (
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
    shard_name,
)
from .shards import MISSING, file_crc32c, index_bytes, read_index
from .stretches import SparseArray

if TYPE_CHECKING:
    import pandas as pd


class NativeReader:
    """Opens folders that `NativeWriter` wrote. Splits are those of the folder's splits.json, and ``all``."""

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "native patches (a Zarr folder with a manifest.json)"
    pool: str | None = ALL
    own_splits = True

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the folder holds a Zarr group and a manifest."""
        return (path / "zarr.json").is_file() and (path / MANIFEST).is_file()

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the splits; `ALL` where the folder has none."""
        return list(read_splits(path / SPLITS)["splits"]) or [ALL]

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the patches of one split.

        Raises:
            DataError: there is no such split (those present are listed), or the folder is damaged or of a newer format.
        """
        patches = NativePatches.open(path)
        if split_key == ALL:
            return patches
        splits = read_splits(path / SPLITS)["splits"]
        if split_key not in splits:
            listed = ", ".join(f"{name} ({len(ids)} patches)" for name, ids in splits.items())
            raise DataError(
                f"there is no split {split_key!r}" + perhaps(split_key, splits),
                where=str(path / SPLITS),
                fix=f"those present are {listed or 'none'}; {ALL!r} is every patch",
            )
        return Subset.of_ids(patches, split_key, splits[split_key], str(path / SPLITS))


class NativePatches(Patches):
    """Every patch of a folder in the native form. Open one with :meth:`open`.

    Args:
        path: the folder.
        manifest: what it says of itself.
        arrays: the images, and masks and labels if there are any, by name.
        sparse: labels of few measured pixels, or None.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        arrays: Mapping[str, MappedArray],
        sparse: SparseArray | None = None,
    ) -> None:
        image = arrays[IMAGES]
        self.path, self.split, self.bands = path, ALL, manifest.bands
        self.shape = _four(image.shape)
        self.dtype = image.dtype
        self.has_mask, self.has_labels = MASKS in arrays, (sparse or arrays.get(LABELS)) is not None
        self._manifest = manifest
        self.preparation = self._json(PREPARATION) if PREPARATION in manifest.files else None
        self._image, self._mask = image, arrays.get(MASKS)
        self._labels: MappedArray | SparseArray | None = sparse or arrays.get(LABELS)

    @classmethod
    def open(cls, path: Path) -> NativePatches:
        """Check the manifest, the length of every shard and the checksum of every shard's index.

        Raises:
            DataError: one of them is wrong, a file is missing, or the format is newer than this code.
        """
        manifest = Manifest.read(path)
        try:
            arrays = {name: _open_array(path, manifest, name) for name in manifest.arrays if name not in (INDEX, VALUE)}
            start = arrays.pop(START, None)
            count, channels, height, width = arrays[IMAGES].shape
            if channels != len(manifest.bands) or any(array.shape[0] != count for array in arrays.values()):
                raise ValueError("numbers of bands or patches differ")
            if start is None:
                return cls(path, manifest, arrays)
            if start.shape != (count + 1,):
                raise ValueError(f"{START} is not one longer than {IMAGES}")
            return cls(path, manifest, arrays, SparseArray(path, manifest, start, (height, width)))
        except (LookupError, ValueError, TypeError) as error:
            raise DataError(
                f"the folder is damaged: its manifest and its arrays do not fit ({error})",
                where=str(path),
                fix="copy or prepare the data again",
            ) from error

    def read(self, index: NDArray[np.int64]) -> Rows:
        """Return the patches at ``index`` [B], in the order asked for; doubles are allowed.

        Raises:
            IndexError: an index outside [0, N).
            DataError: a shard was cut since it was opened.
        """
        index = checked_index(index, len(self))
        return Rows(
            image=self._image.take(index),
            mask=None if self._mask is None else self._mask.take(index).astype(np.bool_, copy=False),
            labels=None if self._labels is None else self._labels.take(index),
        )

    def labels(self, index: NDArray[np.int64]) -> Labels | None:
        """Return the labels of the patches at ``index`` alone; no image is read."""
        return None if self._labels is None else self._labels.take(checked_index(index, len(self)))

    def metadata(self) -> pd.DataFrame:
        """Return one row a patch.

        Raises:
            DataError: the table is missing, damaged, or does not have one row a patch.
        """
        from ..patch_table import read_patch_table  # pandas and pyarrow take a while

        table = read_patch_table(self.path / TABLE)
        self._expect_row_a_patch(len(table), table)
        return table

    def column(self, name: str) -> NDArray[Any] | None:
        """Return one column of the metadata; None where there is none.

        Raises:
            DataError: see `metadata`.
        """
        from ..patch_table import read_patch_column

        rows, names, found = read_patch_column(self.path / TABLE, name)
        self._expect_row_a_patch(rows, names)
        return found

    def _expect_row_a_patch(self, rows: int, names: Container[str]) -> None:
        if rows != len(self) or "patch_id" not in names:
            raise DataError(
                f"the table has {rows} rows for {len(self)} patches, or no patch_id",
                where=str(self.path / TABLE),
                fix="copy or prepare the data again",
            )

    def statistics(self) -> dict[str, Any] | None:
        """Return the content of statistics.json; None where there is none.

        Raises:
            DataError: the file is damaged.
        """
        return self._json(STATISTICS)

    def _json(self, name: str) -> dict[str, Any] | None:
        """Return the content of a file of the folder; None where there is none."""
        file = self.path / name
        try:
            content: dict[str, Any] = json.loads(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DataError(
                f"the file cannot be read: {error}",
                where=str(file),
                fix="remove the file: it is made anew" if name == STATISTICS else "copy or prepare the data again",
            ) from error
        return content

    def fingerprint(self) -> str:
        """Return a hash of the manifest (thus of every file), bands, type, shape and content of up to 64 patches."""
        return content_fingerprint(self, also=self._manifest.digest())

    def stamp(self) -> str | None:
        """Return a hash of the place, size and date of the manifest and of every file that it lists."""
        return files_stamp([self.path / name for name in (MANIFEST, *sorted(self._manifest.files))])

    def check(self, *, full: bool = False) -> None:
        """Raise a `DataError` where a file is gone or cut, or, if ``full``, has not the content it was written with."""
        for array in (self._image, self._mask, self._labels):
            if array is not None:
                array.check()
        if not full:
            return
        for name, file in self._manifest.files.items():
            path = self.path / name
            try:
                damaged = path.stat().st_size != file.bytes or file_crc32c(path) != file.crc32c
            except OSError as error:
                raise DataError(
                    f"a file cannot be read: {error.strerror}", where=str(path), fix="copy or prepare the data again"
                ) from error
            if damaged:
                raise DataError(
                    "the file has not the content that it was written with: its checksum is wrong",
                    where=str(path),
                    fix="copy or prepare the data again",
                )


def _four(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    count, channels, height, width = shape
    return count, channels, height, width


def _open_array(path: Path, manifest: Manifest, name: str) -> MappedArray:
    """Return an array whose shards are all there, whole, and have a sound index."""
    stated = manifest.arrays[name]
    dtype = np.dtype(stated.dtype).newbyteorder("<")
    count, row_bytes = stated.shape[0], dtype.itemsize * int(np.prod(stated.shape[1:], dtype=np.int64))
    chunk_rows = stated.rows if len(stated.shape) == 1 else 1
    chunks = stated.rows // chunk_rows
    names = [shard_name(name, number, len(stated.shape)) for number in range(-(-count // stated.rows))]
    sizes = [manifest.files[one].bytes for one in names]
    files = MappedFiles([path / one for one in names], sizes)
    offset = np.concatenate(
        [_chunk_offsets(*shard, chunks, chunk_rows * row_bytes) for shard in zip(files.paths, sizes, strict=True)]
    )
    number = np.arange(len(offset), dtype=np.int64)
    needed = number * chunk_rows < count
    if np.array_equal(offset[needed], (number % chunks * chunk_rows * row_bytes)[needed]):
        # chunks one behind the other, as `NativeWriter` puts them: a shard is one run, and no table is kept
        run, file, offset = stated.rows, np.arange(len(names), dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    else:
        run, file, offset = chunk_rows, (number // chunks)[needed], offset[needed]
    return MappedArray(files, dtype, stated.shape, run=run, file=file, offset=offset)


def _chunk_offsets(shard: Path, size: int, chunks: int, chunk_bytes: int) -> NDArray[np.int64]:
    """Return where each chunk of a shard begins, -1 where it is not stored."""
    index = read_index(shard, size, chunks)
    stored = index[:, 0] != MISSING
    room = size - index_bytes(chunks) - chunk_bytes  # compared as they are stored, without a sign
    if (index[stored, 1] != chunk_bytes).any() or (index[stored, 0] > np.uint64(max(0, room))).any():
        raise DataError(
            "the index of the shard does not fit its content", where=str(shard), fix="copy or prepare the data again"
        )
    offset: NDArray[np.int64] = np.where(stored, index[:, 0], np.uint64(0)).astype(np.int64)
    offset[~stored] = -1
    return offset
