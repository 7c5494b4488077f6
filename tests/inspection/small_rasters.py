"""Small rasters for tests of inspection, alone and in the layouts of the presets."""

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


def square(x: float, crs: str = "EPSG:32633"):
    """Return a table of one square of 100 m, 200 m inside the corner of a raster at ``x``."""
    import geopandas
    from shapely import box

    return geopandas.GeoDataFrame({"id": [1]}, geometry=[box(x + 200, 4_999_700, x + 300, 4_999_800)], crs=crs)


def _measured(name: str):
    """Return four bands of noise without a 0, which is no value in these layouts."""
    return np.random.default_rng(len(name)).integers(1, 9000, (4, 128, 128)).astype("uint16")


def write_planet(folder: Path, count: int = 3, labelled: bool = True) -> Path:
    """Write scenes with udm2 and, beside them, labels of all."""
    import pandas as pd

    names = [f"2021070{number}_{number}_ab_3B" for number in range(1, count + 1)]
    places = [500_000.0 + 9000 * number for number in range(count)]
    for name, x in zip(names, places, strict=True):
        write_raster(folder / "scenes" / name / f"{name}_AnalyticMS_SR.tif", values=_measured(name), x=x, nodata=0)
        udm = np.zeros((8, 128, 128), np.uint8)
        udm[0] = 1
        write_raster(folder / "scenes" / name / f"{name}_udm2.tif", values=udm, x=x)
    if labelled:
        tables = [square(x).assign(image_id=name) for name, x in zip(names, places, strict=True)]
        (folder / "labels" / "first").mkdir(parents=True)
        pd.concat(tables).to_file(folder / "labels" / "first" / "TrainingLabels_v1.gpkg")
        outlines = [one.set_geometry(one.buffer(500)) for one in tables]
        pd.concat(outlines).to_file(folder / "labels" / "first" / "ImageFootprints_v1.gpkg")
    return folder


def write_s2(folder: Path, count: int = 3) -> Path:
    """Write scenes with SCL and a shapefile each."""
    for number in range(count):
        x, tile = 500_000.0 + 9000 * number, f"T33UVR_{number}"
        at = folder / f"2021_{tile}"
        write_raster(at / f"2021_{tile}_SR.tif", values=_measured(tile), x=x)
        write_raster(at / f"2021_{tile}_SCL.tif", values=np.full((1, 128, 128), 4, np.uint8), x=x)
        square(x).to_file(at / f"{tile}.shp")
    return folder
