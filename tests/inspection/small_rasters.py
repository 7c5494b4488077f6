"""Small rasters for tests of inspection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin


def write_raster(
    path: Path, bands: int = 1, side: int = 64, x: float = 500_000.0, dtype: str = "uint16", high: int = 9000, **more
) -> Path:
    """Write noise of whole numbers below ``high`` on pixels of 10 m; ``values`` [C,H,W] goes before."""
    seed = abs(hash(str(path.name))) % 1000
    values = more.pop("values", None)
    if values is None:
        values = np.random.default_rng(seed).integers(0, high, (bands, side, side)).astype(dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    about = {"crs": "EPSG:32633", "transform": from_origin(x, 5_000_000, 10, 10), **more}
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **about
    ) as file:
        file.write(values)
    return path
