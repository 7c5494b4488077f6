"""Patches in one HDF5 file with one dataset per split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from ...config.schema import DatasetOptions
from ...core.errors import DataError, perhaps
from ..array_patches import ArrayPatches, expect_beside, image_shape
from ..fingerprint import files_stamp
from ..patches import CubeKeyError
from ..stored.mapped import MappedFiles
from .bands import bands_from_attributes
from .layout import opened_hdf5, stored_array
from .metadata import metadata_rows

if TYPE_CHECKING:
    import pandas as pd

_MAGIC = b"\x89HDF\r\n\x1a\n"
_LISTED = 30


class Hdf5Reader:
    """Opens HDF5 files (NetCDF-4 among them) that hold one dataset of images per split.

    A split ``train`` is the dataset ``train``, of shape (N,H,W), (N,1,H,W) or (N,C,H,W). Beside it may stand masks
    ``train_mask`` (1 = observed; (N,H,W), (N,1,H,W) or (N,C,H,W)), labels ``train_labels`` ((N,), (N,H,W) or
    (N,T,H,W)) and metadata (:func:`~spectrain.data.hdf5.metadata.metadata_rows`).
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "HDF5 file with one dataset per split"
    pool: str | None = None

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the file begins with the HDF5 signature, possibly behind a user block."""
        if not path.is_file():
            return False
        size = path.stat().st_size
        with path.open("rb") as file:
            at = 0
            while at + len(_MAGIC) <= size:
                file.seek(at)
                if file.read(len(_MAGIC)) == _MAGIC:
                    return True
                at = 2 * at or 512
        return False

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the datasets that are images as `open` takes them, and do not belong to another."""
        with opened_hdf5(path) as file:
            found = [name for name, held in file.items() if isinstance(held, h5py.Dataset)]
            beside = {f"{name}_{kind}" for name in found for kind in ("mask", "labels", "metadata")}
            return [name for name in found if name not in beside and _holds_images(file[name])]

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Hdf5Patches:
        """Return the patches of one split.

        Raises:
            DataError: the file is damaged; the dataset is not there (those present are listed), or holds no images;
                masks or labels do not fit them.
        """
        files = MappedFiles([path], [path.stat().st_size])
        with opened_hdf5(path) as file:
            images = _dataset(file, split_key, "dataset.train_key or dataset.valid_key")
            shape = image_shape(images.shape or (), images.dtype, _where(images))
            mask = _beside(file, split_key, options.mask_key, "mask")
            labels = _beside(file, split_key, options.labels_key, "labels")
            if mask is not None:
                expect_beside("mask", mask.shape or (), mask.dtype, shape, _where(mask))
            if labels is not None:
                expect_beside("labels", labels.shape or (), labels.dtype, shape, _where(labels))
            attributes = [images.attrs, file.attrs]
            for name in ("wavelength_nm", "wavelengths_nm", "width_nm", "fwhm_nm"):
                if isinstance(held := file.get(name), h5py.Dataset):
                    attributes.append({name: held[()]})
            bands = bands_from_attributes(attributes, shape[1], f"{path}: {split_key}", names=options.bands)
            return Hdf5Patches(
                path,
                split_key,
                bands,
                shape,
                image=stored_array(images, files),
                mask=None if mask is None else stored_array(mask, files),
                labels=None if labels is None else stored_array(labels, files),
            )


class Hdf5Patches(ArrayPatches):
    """One split of an HDF5 file. What it reads is decided when it is opened; each process opens the file anew."""

    def metadata(self) -> pd.DataFrame:
        """Return one row a patch; see :func:`~spectrain.data.hdf5.metadata.metadata_rows`."""
        return metadata_rows(self.path, self.split, len(self))

    def stamp(self) -> str | None:
        """Return a hash of the file's place, size and date, and the split."""
        return files_stamp([self.path], self.split.encode())


def _holds_images(held: h5py.Dataset) -> bool:
    try:
        image_shape(held.shape or (), held.dtype, "")
    except DataError:
        return False
    return True


def _dataset(file: h5py.File, name: str, option: str) -> h5py.Dataset:
    """Return a dataset, or raise with a list of those that there are."""
    held = file.get(name)
    if isinstance(held, h5py.Dataset):
        return held
    present: dict[str, str] = {}
    file.visititems(
        lambda key, item: (
            present.update({key: f"{key} {item.shape} {item.dtype}"})
            if isinstance(item, h5py.Dataset) and len(present) < _LISTED
            else None
        )
    )
    listed = ", ".join(present.values()) or "no datasets at all"
    cubes = [key for key in present if file[key].ndim == 3 and file[key].dtype.kind in "iuf"]
    lone = option.startswith("dataset.train_key") and bool(cubes)
    if lone:
        listed += f"; a single cube (bands, H, W) is named by dataset.cube_key={cubes[0]}"
    raise (CubeKeyError if lone else DataError)(
        f"there is no dataset {name!r}" + perhaps(name, present),
        where=file.filename,
        fix=f"set {option} to one of those present: {listed}",
    )


def _beside(file: h5py.File, split: str, key: str | None, kind: str) -> h5py.Dataset | None:
    """Return the masks or labels of a split: those that an option names, else ``<split>_<kind>`` if it is there."""
    if key is not None:
        return _dataset(
            file, key.replace("{split}", split), f"dataset.{'mask_key' if kind == 'mask' else 'labels_key'}"
        )
    held = file.get(f"{split}_{kind}")
    return held if isinstance(held, h5py.Dataset) else None


def _where(dataset: h5py.Dataset) -> str:
    return f"{dataset.file.filename}: {dataset.name.lstrip('/')}"
