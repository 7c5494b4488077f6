"""Small folders of .npy pairs with few measured pixels, and scenes, for runs of the published regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import rasterio
import torch
from torch import nn

from spectrain.core.registry import register
from spectrain.models.banded import ModelConfig

BANDS, SIDE = 3, 32


@register("model", "pixel_net")
class PixelNet(nn.Module):
    """Layers of each pixel by itself: in seconds it learns all that white noise in the bands can tell."""

    @dataclass(frozen=True)
    class Config(ModelConfig):
        pass

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(in_channels, 24, 1), nn.Conv2d(24, 24, 1)
        self.last = nn.Conv2d(24, channels, 1)

    @classmethod
    def from_config(cls, config, *, bands, image_size, channels=2):
        return cls(config.in_channels(bands), channels)

    def features(self, x):
        return [(1, torch.tanh(self.second(torch.tanh(self.first(x)))))]

    def forward(self, x):
        return self.last(self.features(x)[0][1])


def truth(image):
    """What is measured of an image [C,H,W], before noise: some tonnes."""
    return 80 + 30 * image[0] - 12 * image[1]


def write_pairs(folder, counts=(4, 2, 2), share=0.1, side=SIDE, noise=2.0):
    """Write ``A`` (images) and ``B`` (labels) with train, val and test; returns both."""
    rng = np.random.default_rng(0)
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        for root in ("A", "B"):
            (folder / root / split).mkdir(parents=True)
        for number in range(count):
            image = rng.normal(0, 1, (BANDS, side, side)).astype("f4")
            label = truth(image)[None] + rng.normal(0, noise, (1, side, side))
            label[rng.random(label.shape) >= share] = np.nan
            np.save(folder / "A" / split / f"{number}.npy", image)
            np.save(folder / "B" / split / f"{number}.npy", label.astype("f4"))
    return folder / "A", folder / "B"


def write_scene(path, height=40, width=50):
    """Write a GeoTIFF whose first pixels are missing; returns its values [C,H,W]."""
    image = np.random.default_rng(5).normal(0, 1, (BANDS, height, width)).astype("f4")
    image[:, :6, :9] = np.nan
    return save_scene(path, image)


def save_scene(path, image):
    """Write [C,H,W], NaN where it is missing; returns it."""
    place = rasterio.transform.from_origin(360000, 5800000, 10, 10)
    shape = {"count": BANDS, "height": image.shape[1], "width": image.shape[2], "dtype": "float32", "nodata": np.nan}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:32633", transform=place, **shape) as file:
        file.write(image)
    return image
