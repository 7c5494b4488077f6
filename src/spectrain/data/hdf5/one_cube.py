"""One HDF5 file with one cube, cut into windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from ...config.schema import DatasetOptions
from ...core.errors import DataError
from ..group_splits import no_split, shares, split_name
from ..patches import Patches
from ..reader import ALL
from ..window_grid import Cut, column_parts, cut_images, default_window, grid
from ..windows import WindowPatches
from .cubes import Cube, cube_key_of, read_cube
from .images import cube_images, cube_labels, same_parts
from .patches import Hdf5Reader

SPLITS = frozenset(("train", "valid", "val", "test"))
"""Datasets with these names make a file one with a dataset per split."""


class CubeReader:
    """Opens HDF5 files with one cube [bands,H,W], called ``/Cube/Images``, ``cube`` or as `dataset.cube_key` says.

    Beside it may stand ``labels`` [H,W] and ``mask`` [H,W]. The windows of the splits share no pixel: ``valid`` are
    those in the columns at the right, ``test`` in those before, ``train`` in the rest; ``all`` is a grid over the
    whole.
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "HDF5 file with one cube of shape (bands, H, W), called /Cube/Images or cube"
    pool: str | None = ALL

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether it is an HDF5 file with a cube by its name, and no dataset of a split."""
        if not Hdf5Reader.recognises(path):
            return False
        try:
            with h5py.File(path, "r") as file:
                return cube_key_of(file) is not None and SPLITS.isdisjoint(file)
        except Exception:  # damaged: the reader of all other HDF5 files says how
            return False

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return train and valid, or `ALL` where the cube is too small to be split."""
        options = DatasetOptions()
        return list(_parts(read_cube(path, None, None, None), options) or [ALL])

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the windows of one split.

        Raises:
            DataError: the file is damaged or has no cube; no such split, or the cube is too small for it.
        """
        cube = read_cube(path, options.cube_key, options.mask_key, options.labels_key)
        masks = same_parts([cube], "mask")
        return WindowPatches(
            path,
            split_key,
            cube.bands,
            cube_images([cube], [cube.image]),
            _cut(cube, split_key, options),
            mask=None if masks is None else cube_images([cube], masks),
            labels=cube_labels([cube]),
            table={"file": [path.name]},
        )


def _window(cube: Cube, options: DatasetOptions) -> int | None:
    return options.window or default_window(*cube.image.shape[1:])


def _parts(cube: Cube, options: DatasetOptions) -> Mapping[str, tuple[int, int]] | None:
    """Return the columns of each split; None where the cube is too small to be split."""
    window = _window(cube, options)
    return None if window is None else column_parts(cube.image.shape[2], window, options)


def _cut(cube: Cube, split: str, options: DatasetOptions) -> Cut:
    _, height, width = cube.image.shape
    window = _window(cube, options)
    options = replace(options, window=window)
    whole = cut_images(np.array([[height, width]]), [str(cube.path)], options, np.zeros(1, dtype=np.int64))
    if split == ALL:
        return whole
    named = list(shares(options))
    if split_name(split) not in named:
        raise no_split(split, named, str(cube.path), [*named, ALL])
    parts = _parts(cube, options)
    if parts is None or window is None:
        raise DataError(
            f"the cube of {height} × {width} is too small for the splits {', '.join(named)} with windows of "
            f"{window or f'{height} × {width}'}",
            where=str(cube.path),
            fix=f"set a smaller dataset.window, or train on all of it: dataset.train_key={ALL} dataset.valid_key=null",
        )
    places = grid(0, (0, height), parts[split_name(split)], (window, window), options.stride or window)
    return Cut(places, (window, window))
