"""Patches in a plain Zarr group: `x`, with `y` and `mask` beside it or not, as any program writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.schema import DatasetOptions
from ...core.bands import Bands
from ...core.errors import DataError, perhaps
from ..array_patches import ArrayPatches, expect_beside, image_shape
from ..group_splits import no_split, split_name
from ..hdf5.bands import bands_from_attributes
from ..native.format import IMAGES, LABELS, MANIFEST, MASKS
from ..patches import Patches
from ..reader import ALL
from ..stored.rows import StoredArray
from .arrays import open_array
from .metadata import DAMAGED, group_attributes, is_array, is_group, read_array

if TYPE_CHECKING:
    import pandas as pd

BANDS = "spectrain_bands"
"""Attribute of a group of ours that describes each band."""


class ZarrGroupReader:
    """Opens Zarr groups (version 2 or 3) with an array ``x`` [n,c,h,w] or [n,h,w], and ``y`` [n], [n,h,w] or [n,t,h,w].

    Such a group is the split ``all``. A group of groups ``train``, ``valid``, ``test``, each with ``x``, has these
    splits.
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "Zarr group with x and perhaps y, or with groups train, valid and test that have these"
    pool: str | None = ALL

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the folder is a Zarr group with images, and not in our own form."""
        return is_group(path) and not (path / MANIFEST).is_file() and bool(_groups(path))

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the groups in it; `ALL` where it holds the images itself."""
        return list(_groups(path))

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the patches of one group.

        Raises:
            DataError: no such split, damaged, packed by a codec that is not known, or not of a shape that images have.
        """
        groups = _groups(path)
        name = split_key if split_key in groups else split_name(split_key)
        if name not in groups:
            raise no_split(split_key, groups, str(path), groups)
        return group_patches(groups[name], name, options, outer=path)


def group_patches(
    path: Path,
    split: str,
    options: DatasetOptions,
    *,
    outer: Path | None = None,
    bands: Bands | None = None,
    preparation: Mapping[str, Any] | None = None,
    table: Callable[[int], pd.DataFrame] | None = None,
) -> ArrayPatches:
    """Return the patches of one Zarr group.

    Args:
        path: the group.
        split: its name as a split.
        options: the names of the arrays of labels and masks, where they are not ``y`` and ``mask``.
        outer: a group around it, whose attributes count too.
        bands: of the images; None is what the attributes say.
        preparation: see `Patches`.
        table: see `ArrayPatches`.

    Raises:
        DataError: an array is missing, damaged, or does not fit the images.
    """
    image = open_array(path / IMAGES)
    shape = image_shape(image.shape, image.dtype, str(path / IMAGES))
    if bands is None:
        bands = _bands(path, outer or path, shape[1], options)
    elif len(bands) != shape[1]:
        raise DataError(
            f"{len(bands)} bands are named for images of {shape[1]} channels", where=str(path / IMAGES), fix=DAMAGED
        )
    labels = _beside(path, split, options.labels_key, LABELS, "labels", shape)
    mask = _beside(path, split, options.mask_key, MASKS, "mask", shape)
    return ArrayPatches(
        path, split, bands, shape, image=image, mask=mask, labels=labels, preparation=preparation, table=table
    )


def _groups(path: Path) -> dict[str, Path]:
    """Return the group of each split that has images."""
    if is_array(path / IMAGES):
        return {ALL: path}
    found = [one for one in sorted(path.iterdir()) if one.is_dir() and is_group(one) and is_array(one / IMAGES)]
    order = {"train": 0, "valid": 1, "test": 2}
    named = {split_name(one.name): one for one in found}
    return dict(sorted(named.items(), key=lambda item: order.get(item[0], 3)))


def _beside(
    path: Path, split: str, key: str | None, usual: str, kind: str, shape: tuple[int, int, int, int]
) -> StoredArray | None:
    """Return the labels or masks: those that an option names, else the usual ones if they are there."""
    name = usual if key is None else key.replace("{split}", split)
    if not is_array(path / name):
        if key is None:
            return None
        there = sorted(one.name for one in path.iterdir() if is_array(one))
        raise DataError(
            f"there is no array {name!r}" + perhaps(name, there),
            where=str(path),
            fix=f"set dataset.{'mask_key' if kind == 'mask' else 'labels_key'} to one of {', '.join(there)}",
        )
    held = open_array(path / name)
    expect_beside(kind, held.shape, held.dtype, shape, str(path / name))
    return held


def _bands(path: Path, outer: Path, channels: int, options: DatasetOptions) -> Bands:
    """Return the bands as attributes describe them: of the array, of its group, of the group around it."""
    attributes = [read_array(path / IMAGES).attributes, group_attributes(path), group_attributes(outer)]
    for one in attributes:
        if isinstance(stated := one.get(BANDS), list) and len(stated) == channels:
            return Bands.from_json(stated)
    # CF writes the fill value of a floating type as text; NaN is missing anyway
    told = [{key: value for key, value in one.items() if not _is_packed(key, value)} for one in attributes]
    return bands_from_attributes(told, channels, str(path / IMAGES), names=options.bands)


def _is_packed(key: str, value: Any) -> bool:
    return key in ("_FillValue", "missing_value") and isinstance(value, str)
