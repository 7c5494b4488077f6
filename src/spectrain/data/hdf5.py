"""Patches in one HDF5 file with one dataset per split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..config.schema import DatasetOptions
from ..core.bands import Bands
from ..core.errors import DataError, nearest
from .fingerprint import content_fingerprint, files_stamp
from .hdf5_bands import bands_from_attributes
from .hdf5_layout import opened_hdf5, stored_array
from .hdf5_metadata import metadata_rows
from .mapped import MappedFiles
from .patches import Patches, Rows
from .stored import StoredArray, checked_index

if TYPE_CHECKING:
    import pandas as pd

_MAGIC = b"\x89HDF\r\n\x1a\n"
_LISTED = 30


class Hdf5Reader:
    """Opens HDF5 files (NetCDF-4 among them) that hold one dataset of images per split.

    A split ``train`` is the dataset ``train``, of shape (N,H,W), (N,1,H,W) or (N,C,H,W). Beside it may stand masks
    ``train_mask`` (1 = observed; (N,H,W), (N,1,H,W) or (N,C,H,W)), labels ``train_labels`` ((N,), (N,H,W) or
    (N,T,H,W)) and metadata (:func:`~spectrain.data.hdf5_metadata.metadata_rows`).
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
        """Return the names of the datasets that can be splits: numbers with three or four axes, not beside another."""
        with opened_hdf5(path) as file:
            found = [name for name, held in file.items() if isinstance(held, h5py.Dataset)]
            images = [name for name in found if file[name].ndim in (3, 4) and file[name].dtype.kind in "iufb"]
            beside = {f"{name}_{kind}" for name in found for kind in ("mask", "labels", "metadata")}
            return [name for name in images if name not in beside]

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
            shape = _image_shape(images)
            mask = _beside(file, split_key, options.mask_key, "mask")
            labels = _beside(file, split_key, options.labels_key, "labels")
            if mask is not None:
                _expect_mask(mask, shape)
            if labels is not None:
                _expect_labels(labels, shape)
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


class Hdf5Patches(Patches):
    """One split of an HDF5 file. What it reads is decided when it is opened; the file itself is opened in each process.

    Args:
        path: the file.
        split: name of the split.
        bands: one a channel.
        shape: (N, C, H, W).
        image: rows [C,H,W] or [H,W].
        mask: rows [1,H,W], [C,H,W] or [H,W], 0 where nothing was observed; or None.
        labels: one row a patch, or None.
    """

    def __init__(
        self,
        path: Path,
        split: str,
        bands: Bands,
        shape: tuple[int, int, int, int],
        *,
        image: StoredArray,
        mask: StoredArray | None,
        labels: StoredArray | None,
    ) -> None:
        self.path, self.split, self.bands, self.shape = path, split, bands, shape
        self.dtype = image.dtype
        self.has_mask, self.has_labels = mask is not None, labels is not None
        self._image, self._mask, self._labels = image, mask, labels

    def read(self, index: NDArray[np.int64]) -> Rows:
        """Return the patches at ``index`` [B], in the order asked for; doubles are allowed.

        Raises:
            IndexError: an index outside [0, N).
            DataError: the file is damaged, or was cut since it was opened.
        """
        index = checked_index(index, len(self))
        mask = None
        if self._mask is not None:
            channels = self._mask.shape[1] if len(self._mask.shape) == 4 else 1
            mask = (self._mask.take(index) != 0).reshape(len(index), channels, *self.shape[2:])
        return Rows(
            image=self._image.take(index).reshape(len(index), *self.shape[1:]),
            mask=mask,
            labels=None if self._labels is None else self._labels.take(index),
        )

    def metadata(self) -> pd.DataFrame:
        """Return one row a patch; see :func:`~spectrain.data.hdf5_metadata.metadata_rows`."""
        return metadata_rows(self.path, self.split, len(self))

    def fingerprint(self) -> str:
        """Return a hash of bands, type, shape and the content of up to 64 patches, not of date or packing."""
        return content_fingerprint(self)

    def stamp(self) -> str | None:
        """Return a hash of the file's place, size and date, and the split."""
        return files_stamp([self.path], self.split.encode())

    def check(self) -> None:
        """Raise a `DataError` where the file is gone or shorter than when it was opened."""
        self._image.check()


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
    near = nearest(name, present)
    listed = ", ".join(present.values()) or "no datasets at all"
    cubes = [key for key in present if file[key].ndim == 3 and file[key].dtype.kind in "iuf"]
    if option.startswith("dataset.train_key") and cubes:
        listed += f"; a single cube (bands, H, W) is named by dataset.cube_key={cubes[0]}"
    raise DataError(
        f"there is no dataset {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
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


def _image_shape(images: h5py.Dataset) -> tuple[int, int, int, int]:
    """Return (N, C, H, W), or raise where the dataset holds no images."""
    shape: tuple[Any, ...] = images.shape or ()
    if len(shape) not in (3, 4) or images.dtype.kind not in "iuf":
        raise DataError(
            f"the dataset has shape {shape} and type {images.dtype}: these are not images",
            where=_where(images),
            fix="images are numbers of shape (N,H,W), (N,1,H,W) or (N,C,H,W)",
        )
    if 0 in shape:
        raise DataError(f"the dataset is empty: its shape is {shape}", where=_where(images), fix="give another split")
    count, *channels, height, width = shape
    return int(count), int(channels[0]) if channels else 1, int(height), int(width)


def _expect_mask(mask: h5py.Dataset, shape: tuple[int, int, int, int]) -> None:
    count, channels, height, width = shape
    allowed = {(count, height, width), (count, 1, height, width), (count, channels, height, width)}
    if mask.shape not in allowed or mask.dtype.kind not in "iub":
        raise DataError(
            f"the masks have shape {mask.shape} and type {mask.dtype}, the images shape {shape}",
            where=_where(mask),
            fix="masks are whole numbers or bool, of shape " + " or ".join(map(str, sorted(allowed, key=len))),
        )


def _expect_labels(labels: h5py.Dataset, shape: tuple[int, int, int, int]) -> None:
    count, _, height, width = shape
    held: tuple[int, ...] = labels.shape or ()
    fits = held == (count,) or (len(held) in (3, 4) and held[0] == count and held[-2:] == (height, width))
    if not fits or labels.dtype.kind not in "iufb":
        raise DataError(
            f"the labels have shape {held} and type {labels.dtype}, the images shape {shape}",
            where=_where(labels),
            fix=f"labels are numbers of shape ({count},), ({count},{height},{width}) or ({count},T,{height},{width})",
        )
