"""Small folders of .npy pairs with few measured pixels, and scenes, for runs of the published regression."""

from __future__ import annotations

import numpy as np
import rasterio

BANDS, SIDE = 3, 32


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
    place = rasterio.transform.from_origin(360000, 5800000, 10, 10)
    shape = {"count": BANDS, "height": height, "width": width, "dtype": "float32", "nodata": np.nan}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:32633", transform=place, **shape) as file:
        file.write(image)
    return image
