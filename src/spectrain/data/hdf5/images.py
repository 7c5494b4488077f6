"""The pixels of cubes in HDF5 files: mapped where they lie in one piece, else read by the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from ...core.damage import reading
from ...core.errors import DataError
from ..stored.library_images import OPEN, LibraryImages
from ..stored.mapped import MappedFiles
from ..stored.mapped_images import MappedImages
from ..stored.rows import StoredValues
from ..windows import LabelMaps, StoredImages
from .cubes import Cube, Part

CACHE_BYTES = 256 * 2**20
"""Unpacked chunks that the library keeps, in all files that are open at once."""


def cube_images(cubes: Sequence[Cube], parts: Sequence[Part]) -> StoredImages:
    """Return how the parts, one of each cube, are read: mapped where all lie in one piece, else by the library.

    Raises:
        DataError: a header places the pixels beyond the end of its file.
    """
    files = MappedFiles([cube.path for cube in cubes], [cube.size for cube in cubes])
    shapes = np.array([part.shape for part in parts], dtype=np.int64)
    dtype = parts[0].dtype
    offsets = [part.offset for part in parts if part.offset is not None]
    if len(offsets) < len(parts) or any(part.dtype != dtype for part in parts):
        return Hdf5Images(files, shapes, parts)
    for cube, part, offset in zip(cubes, parts, offsets, strict=True):
        end = offset + int(np.prod(part.shape, dtype=np.int64)) * dtype.itemsize
        if end > cube.size:
            raise DataError(
                f"the file is damaged: its index places data up to byte {end}, it has {cube.size}",
                where=str(cube.path),
                fix="copy or write it again",
            )
    return MappedImages(files, dtype, shapes, np.array(offsets, dtype=np.int64))


def cube_labels(cubes: Sequence[Cube]) -> LabelMaps | None:
    """Return the label maps of the cubes, None where none has any.

    Raises:
        DataError: some have none, or of another shape.
    """
    parts = same_parts(cubes, "labels")
    return None if parts is None else LabelMaps(cube_images(cubes, parts), layered=parts[0].axes == 3)


def same_parts(cubes: Sequence[Cube], kind: Literal["mask", "labels"]) -> list[Part] | None:
    """Return the masks or labels of all cubes, None where the cubes have none.

    Raises:
        DataError: a file has none, or of another number of planes or type, unlike the first one.
    """
    parts = [cube.mask if kind == "mask" else cube.labels for cube in cubes]
    for cube, part in zip(cubes, parts, strict=True):
        if (one := _said(kind, part)) != (first := _said(kind, parts[0])):
            raise DataError(
                f"this file has {one}, the first one, {cubes[0].path}, {first}",
                where=str(cube.path),
                fix=f"give all files the same, or name the dataset with dataset.{kind}_key",
            )
    return [part for part in parts if part is not None] or None


def _said(kind: str, part: Part | None) -> str:
    if part is None:
        return f"no {kind}"
    shape = f"({part.shape[0]},H,W)" if part.axes == 3 else "(H,W)"
    return f"{kind} of shape {shape} and type {part.dtype}"


class Hdf5Images(LibraryImages[h5py.File]):
    """Datasets that are read by the HDF5 library, of which only the chunks under a window are unpacked.

    Args:
        files: one an image.
        shapes: [M,3] planes, height and width of each.
        parts: one an image.
    """

    def __init__(self, files: MappedFiles, shapes: NDArray[np.int64], parts: Sequence[Part]) -> None:
        super().__init__(files, parts[0].dtype, shapes)
        self._names = [part.name for part in parts]
        self._flat = parts[0].axes == 2

    def _open(self, image: int) -> h5py.File:
        path = self._files.paths[image]
        with reading(path):
            return h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES // min(OPEN, len(self._names)), rdcc_nslots=10007)

    def _close(self, handle: h5py.File) -> None:
        handle.close()

    def _window(self, handle: h5py.File, image: int, row: int, column: int, size: tuple[int, int]) -> StoredValues:
        inside = (slice(row, row + size[0]), slice(column, column + size[1]))
        name = self._names[image]
        where = f"{self._files.paths[image]}: {name.lstrip('/')}, pixels from row {row}, column {column}"
        with reading(where, fix="the file is damaged or needs a filter that is not installed: write it again"):
            values: StoredValues = handle[name][inside if self._flat else (slice(None), *inside)]
        return values
