"""Real images of the shared data, cut and written as files of the layouts that users have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window


def write(path: Path, image, transform, crs, *, descriptions=None, nodata=None, **profile) -> Path:
    """Write [C,H,W] as a GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.asarray(image)
    image = image if image.ndim == 3 else image[None]
    shape = {"count": len(image), "height": image.shape[1], "width": image.shape[2], "dtype": image.dtype}
    with rasterio.open(path, "w", "GTiff", crs=crs, transform=transform, nodata=nodata, **shape, **profile) as file:
        file.write(image)
        for number, text in enumerate(descriptions or [], start=1):
            file.set_band_description(number, text)
    return path


def naip(shared: Path, row=0, column=0, height=120, width=120, year="20100629"):
    """Return blue, green, red, nir [4,h,w] of a NAIP image as uint16 reflectance × 10 000, its transform and CRS."""
    with rasterio.open(shared / "naip_nd" / f"naip_{year}.tif") as file:
        window = Window(column, row, width, height)
        image = file.read([3, 2, 1, 4], window=window).astype(np.uint16) * 12
        return image, file.window_transform(window), file.crs
