"""Cubes in HDF5 files, and lists of them, for tests."""

from __future__ import annotations

import csv

import h5py
import numpy as np

CUBE = (3, 20, 26)


def pixels(shape=CUBE, dtype="uint16", seed=0):
    """Return numbers, each pixel its own."""
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape).astype(dtype)


def write_cube(path, image=None, name="cube", attributes=None, layout=None, **beside):
    """Write a cube and datasets beside it; ``layout`` is what `create_dataset` is told of the cube."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels() if image is None else image
    with h5py.File(path, "w") as file:
        held = file.create_dataset(name, data=image, **(layout or {}))
        held.attrs.update(attributes or {})
        for key, values in beside.items():
            file[key.replace("__", "/")] = values
    return path


def write_list(path, rows, **dialect):
    """Write a CSV file of dictionaries."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **dialect)
        writer.writeheader()
        writer.writerows(rows)
    return path
