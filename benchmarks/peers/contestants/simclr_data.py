"""Sea-surface temperature for contestants that take arrays or datasets: all of it in memory, in degrees."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def images(data: dict[str, Any], split: str) -> NDArray[np.float32]:
    """Return [N,1,64,64]; what is missing (land, clouds) has the mean of the rest of its image."""
    import h5py

    with h5py.File(data["h5"]) as file:
        stored = file[split]
        values = stored[()]
        found = values.astype(np.float32) * stored.attrs["scale_factor"] + stored.attrs["add_offset"]
        missing = values == stored.attrs["_FillValue"]
    known = np.ma.masked_array(found, missing)
    return known.filled(known.mean((1, 2, 3), keepdims=True)).astype(np.float32, copy=False)


def values(data: dict[str, Any], split: str) -> NDArray[np.float64]:
    """Return the range of temperature in each image (T90 - T10), which no network is told."""
    with Path(data["meta"]).open(newline="") as file:
        return np.array([float(row["DT"]) for row in csv.DictReader(file) if row["split"] == split])


def quality(encoder: Any, data: dict[str, Any]) -> float:
    """Return R² of the range of temperature in the validation images, by the nearest of the training images."""
    from leg import neighbours

    train, valid = ((embedded(encoder, data, split), values(data, split)) for split in ("train", "valid"))
    return neighbours(*train, *valid)


def embedded(encoder: Any, data: dict[str, Any], split: str) -> NDArray[np.float32]:
    """Return the encoder's vectors [N,D] of the middle of each image, as in training: 40 px, zoomed, without mean."""
    import torch
    from torch.nn.functional import interpolate

    middle = torch.from_numpy(images(data, split))[:, :, 12:52, 12:52]
    view = interpolate(middle, size=64, mode="bilinear", align_corners=False)
    view = view - view.mean((1, 2, 3), keepdim=True)
    encoder.eval()
    with torch.no_grad():
        return np.concatenate([encoder(part).flatten(1).numpy() for part in view.split(64)])
