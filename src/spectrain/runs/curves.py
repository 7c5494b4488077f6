"""``curves.h5``: the learning curves as plain arrays, whole on the disk after each write."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_write
from ..core.damage import reading
from ..core.errors import RunError
from .migrations import migrated

FORMAT_NAME, FORMAT_VERSION = "spectrain.curves", 1


def write_curves(path: Path, curves: Mapping[str, NDArray[Any]]) -> None:
    """Write named one-dimensional arrays as datasets of an HDF5 file; the format is its root's attributes.

    `loss_train` (E,), `loss_step_train` (S,), `loss_avg_train` (S,) of E epochs and S steps, the same for `valid`, and
    whatever else is given. NaN stays NaN; an empty array is an empty dataset.
    """
    import h5py

    image = io.BytesIO()  # built in memory: h5py's errors on a full disk do not say that it is full
    with h5py.File(image, "w") as file:
        file.attrs["format_name"], file.attrs["format_version"] = FORMAT_NAME, FORMAT_VERSION
        for name, values in curves.items():
            file.create_dataset(name, data=np.asarray(values))
    atomic_write(path, image.getbuffer())


def read_curves(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a `curves.h5`; no file is no curves.

    Raises:
        RunError: the file is damaged or of a newer version.
    """
    import h5py

    if not path.exists():
        return {}
    with reading(path, RunError, what="the curves cannot be read"), h5py.File(path, "r") as file:
        name, version = file.attrs.get("format_name"), int(file.attrs.get("format_version", 0))
        arrays = {key: np.asarray(values[()]) for key, values in file.items()}
    record = {"format": {"name": name, "version": version}, "arrays": arrays}
    result: dict[str, NDArray[Any]] = migrated(record, FORMAT_NAME, FORMAT_VERSION, where=str(path))["arrays"]
    return result
