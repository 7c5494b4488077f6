"""HDF5 files that hold one cube (bands, H, W) each: what their headers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...core.bands import Bands
from ...core.errors import DataError, perhaps
from ..band_table import bands_in_nm
from ..patches import CubeKeyError
from .bands import bands_from_attributes
from .layout import expect_own, opened_hdf5

CUBES = ("Cube/Images", "cube")
WAVELENGTHS = ("Cube/Wavelengths", "wavelength_nm", "wavelengths_nm", "wavelengths", "wavelength")
WIDTHS = ("Cube/Widths", "width_nm", "fwhm_nm", "fwhm")


@dataclass(frozen=True, slots=True)
class Part:
    """A dataset that is an image.

    Attributes:
        name: of the dataset.
        shape: as an image (planes, H, W).
        dtype: stored type.
        axes: 2 where it is stored as [H,W], else 3.
        offset: where it begins in the file; None where it does not lie there in one piece.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    axes: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class Cube:
    """What the header of a file says.

    Attributes:
        path: the file.
        size: its bytes.
        bands: one a plane of the cube.
        image: the cube.
        mask: 0 where nothing was observed, or None.
        labels: maps of labels, or None.
    """

    path: Path
    size: int
    bands: Bands
    image: Part
    mask: Part | None
    labels: Part | None


def read_cube(path: Path, cube_key: str | None, mask_key: str | None, labels_key: str | None) -> Cube:
    """Return what a file's header says; no pixel is read. A file that did not change is not opened twice in a process.

    Args:
        path: the file.
        cube_key: dataset of the cube; None looks for ``/Cube/Images``, then ``cube``, then the only one with 3 axes.
        mask_key: dataset of the mask, ([1|bands,]H,W); None looks for ``mask`` beside the cube.
        labels_key: dataset of the labels, ([T,]H,W); None looks for ``labels``.

    Raises:
        DataError: the file is missing or damaged; a dataset is not there (those present are listed) or not of the
            cube's sides.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(
            "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}",
            where=str(path),
            fix="correct its path",
        ) from error
    return _read(path.absolute(), (stat.st_size, stat.st_mtime_ns, stat.st_ino), cube_key, mask_key, labels_key)


def cube_key_of(file: h5py.File) -> str | None:
    """Return the dataset that is the cube by its name, None where there is none."""
    return next((name for name in CUBES if is_cube(file.get(name))), None)


def is_cube(held: Any) -> bool:
    """Return whether a dataset has three axes of numbers."""
    return isinstance(held, h5py.Dataset) and held.ndim == 3 and held.dtype.kind in "iuf" and 0 not in held.shape


@lru_cache(maxsize=1 << 16)
def _read(
    path: Path, stamp: tuple[int, int, int], cube_key: str | None, mask_key: str | None, labels_key: str | None
) -> Cube:
    with opened_hdf5(path) as file:
        dataset = _cube(file, cube_key)
        expect_own(dataset, path)
        image = _part(dataset)
        labels, mask = _beside(file, image, labels_key, "labels"), _beside(file, image, mask_key, "mask")
        return Cube(path, stamp[0], _equal(_bands(file, dataset)), image, mask, labels)


def _cube(file: h5py.File, key: str | None) -> h5py.Dataset:
    if key is None and (named := cube_key_of(file)) is not None:
        return file[named]
    present: dict[str, h5py.Dataset] = {}
    file.visititems(lambda name, held: present.update({name: held}) if isinstance(held, h5py.Dataset) else None)
    listed = ", ".join(f"{name} {held.shape} {held.dtype}" for name, held in list(present.items())[:30])
    fix = f"set dataset.cube_key to one of those present: {listed or 'no datasets at all'}"
    if key is None:
        cubes = [held for held in present.values() if is_cube(held)]
        if len(cubes) == 1:
            return cubes[0]
        what = "no dataset" if not cubes else f"{len(cubes)} datasets, none called {' or '.join(CUBES)},"
        raise CubeKeyError(f"{what} of shape (bands, H, W) in the file", where=file.filename, fix=fix)
    held = present.get(key.strip("/"))
    if held is None:
        raise CubeKeyError(
            f"there is no dataset {key!r}" + perhaps(key.strip("/"), present),
            where=file.filename,
            fix=fix,
        )
    if not is_cube(held):
        raise CubeKeyError(
            f"the dataset has shape {held.shape} and type {held.dtype}: this is no cube",
            where=f"{file.filename}: {key}",
            fix=f"a cube is numbers of shape (bands, H, W); {fix}",
        )
    return held


def _beside(file: h5py.File, image: Part, key: str | None, kind: str) -> Part | None:
    """Return the mask or labels: what an option names, else ``kind`` beside the cube if it is a map of its sides."""
    group = image.name.rpartition("/")[0]
    names = [key] if key is not None else [kind, f"{group}/{kind}", f"{group}/{kind.capitalize()}"]
    held = next((found for name in names if isinstance(found := file.get(name), h5py.Dataset)), None)
    if held is None and key is not None:
        raise DataError(
            f"there is no dataset {key!r}" + perhaps(key, list(file)),
            where=file.filename,
            fix=f"set dataset.{kind}_key to one of those present: {', '.join(file)}",
        )
    if held is None or (key is None and held.ndim < 2):
        return None
    expect_own(held, Path(file.filename))
    part = _part(held) if held.ndim in (2, 3) and held.dtype.kind in "iufb" else None
    if part is None or part.shape[1:] != image.shape[1:] or _too_many(kind, part, image):
        raise DataError(
            f"the {kind} has shape {held.shape} and type {held.dtype}, the cube shape {image.shape}",
            where=f"{file.filename}: {held.name.lstrip('/')}",
            fix=f"it must be numbers of shape {image.shape[1:]}, or with an axis more in front; "
            f"set dataset.{kind}_key to another",
        )
    return part


def _part(dataset: h5py.Dataset) -> Part:
    height, width = dataset.shape[-2:]
    plan = dataset.id.get_create_plist()
    same_type = h5py.h5t.py_create(dataset.dtype).equal(dataset.id.get_type())
    contiguous = plan.get_layout() == h5py.h5d.CONTIGUOUS and plan.get_external_count() == 0
    # what was never written has no storage, and the library gives a made-up offset for it
    stored = same_type and contiguous and dataset.id.get_storage_size() > 0
    return Part(
        dataset.name,
        (1 if dataset.ndim == 2 else dataset.shape[0], height, width),
        dataset.dtype,
        dataset.ndim,
        dataset.id.get_offset() if stored else None,
    )


def _too_many(kind: str, part: Part, image: Part) -> bool:
    return kind == "mask" and part.shape[0] not in (1, image.shape[0])


def _bands(file: h5py.File, dataset: h5py.Dataset) -> Bands:
    """Return the bands as attributes and datasets of wavelengths describe them, in nm."""
    wavelengths, widths = _told(file, dataset, WAVELENGTHS), _told(file, dataset, WIDTHS)
    beside = {} if wavelengths is None else {"wavelength_nm": wavelengths[0]}
    beside |= {} if widths is None else {"width_nm": widths[0]}
    attributes = [beside, dataset.attrs, dataset.parent.attrs, file.attrs]
    bands = bands_from_attributes(attributes, dataset.shape[0], f"{file.filename}: {dataset.name.lstrip('/')}")
    return bands_in_nm(bands, None if wavelengths is None else wavelengths[1])


def _told(file: h5py.File, dataset: h5py.Dataset, names: Sequence[str]) -> tuple[Any, str | None] | None:
    """Return the first of the named datasets, or attributes, and its unit where it has one."""
    for name in names:
        if isinstance(held := file.get(name), h5py.Dataset):
            unit = held.attrs.get("units")
            return held[()], unit.decode("utf-8", "replace") if isinstance(unit, bytes) else unit
    for attributes in (dataset.attrs, dataset.parent.attrs, file.attrs):
        for name in names:
            if (plain := name.rpartition("/")[2]) in attributes:
                return attributes[plain], None
    return None


@lru_cache(maxsize=64)
def _equal(bands: Bands) -> Bands:
    """Return the bands that were first seen equal to these, so that thousands of files share them."""
    return bands
