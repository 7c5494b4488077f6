"""Patches for contestants that bring their own data set: one .npy file each, or all in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def files(data: dict[str, Any], split: str) -> list[tuple[Path, Path]]:
    """Return image and mask of each patch."""
    folder = Path(data["npy"]) / split
    return [(path, path.with_name(path.name.replace("image", "mask"))) for path in sorted(folder.glob("*_image.npy"))]


def arrays(data: dict[str, Any], split: str) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return all images [N,C,H,W] and masks [N,H,W] of a split."""
    images, masks = zip(*((np.load(image), np.load(mask)) for image, mask in files(data, split)), strict=True)
    return np.stack(images), np.stack(masks)


def quality(network: Any, data: dict[str, Any]) -> dict[str, float]:
    """Return the IoU on the test split of a network that takes standardised images."""
    import torch
    from leg import ious

    images, masks = arrays(data, "test")
    mean, std = (torch.tensor(data[name], dtype=torch.float32)[:, None, None] for name in ("mean", "std"))
    network.eval()
    with torch.no_grad():
        parts = torch.from_numpy(images.astype(np.float32)).split(16)
        predicted = np.concatenate([network((part - mean) / std).argmax(1).numpy() for part in parts])
    return ious(predicted, masks)
