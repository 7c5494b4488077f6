"""Folders of patches with those for tests beside them, of `spectrain prepare` or published in the same form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...config.schema import DatasetOptions
from ...core.errors import DataError, perhaps
from ..patches import Patches
from ..zarr.darts_config import darts_bands
from ..zarr.group import group_patches
from ..zarr.metadata import is_group
from .format import MANIFEST, SPLITS
from .patches import NativePatches

CROSS = "cross-val"
PARTS = (CROSS, "val-test", "test")
"""The patch sets of a folder: for training and validation, for testing on other scenes, and in other regions."""
PUBLISHED_IGNORED = [2, 255]
"""Labels of published patches that do not count; class 1 is what is to be found."""


class PreparedReader:
    """Opens folders that `spectrain prepare` wrote: ``cross-val.zarr``, and ``val-test.zarr`` and ``test.zarr`` or not.

    Each is in the native form, and a split. Splits ``train`` and ``valid`` are the parts of a fold of ``cross-val``.
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "folder that `spectrain prepare` wrote (cross-val.zarr, val-test.zarr, test.zarr)"
    pool: str | None = CROSS
    folded: str | None = CROSS
    always_folded = True
    own_splits = True

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the folder holds a native patch set called cross-val.zarr."""
        return (path / f"{CROSS}.zarr" / MANIFEST).is_file()

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the patch sets that are there."""
        return present(path)

    @staticmethod
    def splits_file(path: Path) -> Path:
        """Return where the folds are."""
        return path / f"{CROSS}.zarr" / SPLITS

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the patches of one split.

        Raises:
            DataError: there is no such split (those present are listed), or it is damaged or of a newer format.
        """
        patches = NativePatches.open(part(path, split_key))
        patches.split = split_key
        return patches


class DartsReader:
    """Opens folders in the published layout of DARTS 0.4: the same three, plain Zarr groups with ``x`` and ``y``.

    Bands are those of ``config.toml``. Labels 2 and 255 do not count.
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "folder of DARTS patches (plain Zarr groups cross-val.zarr, val-test.zarr, test.zarr)"
    pool: str | None = CROSS
    folded: str | None = CROSS
    always_folded = True

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the folder holds a Zarr group called cross-val.zarr that is not in our own form."""
        return is_group(path / f"{CROSS}.zarr") and not PreparedReader.recognises(path)

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the groups that are there."""
        return present(path)

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the patches of one split.

        Raises:
            DataError: there is no such split (those present are listed), or it is damaged.
        """
        place = part(path, split_key)
        preparation = {"labels": {"kind": "classes", "ignored": PUBLISHED_IGNORED}}
        return group_patches(place, split_key, options, bands=darts_bands(path), preparation=preparation)


def present(path: Path) -> list[str]:
    """Return the names of the patch sets of a folder that are there."""
    return [name for name in PARTS if is_group(path / f"{name}.zarr")]


def part(path: Path, split: str) -> Path:
    """Return the folder of a patch set.

    Raises:
        DataError: there is no such split.
    """
    there = present(path)
    if split in there:
        return path / f"{split}.zarr"
    raise DataError(
        f"there is no split {split!r}" + perhaps(split, there),
        where=str(path),
        fix=f"those present are {', '.join(there)}; train and valid are the parts of a fold of {CROSS} (dataset.fold)",
    )
