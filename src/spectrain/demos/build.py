"""How the files of the segmentation and of the regression demo were made: ``python -m spectrain.demos.build SOURCE``.

README.md in this folder says where the sources come from and what may be done with them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP = 0.05
"""Metres that heights are rounded to: the laser's own error is larger."""
MISSING = -32768
DAYS = {
    "ndvi_11jan": "2017-01-11",
    "ndvi_1apr": "2017-04-01",
    "ndvi_20jul": "2017-07-20",
    "ndvi_18oct": "2017-10-18",
    "ndvi_27nov": "2017-11-27",
}
"""Days without a cloud, by the names of their bands; snow lay on the first and on the last."""
WANTED = "2017-12-07"
"""A day without a cloud, and with snow, of which few pixels are given."""
SIDE = 96
"""Pixels of the square that is cut: six patches of 16 a side."""
SEEN = 0.05
"""Share of the pixels that is given."""
HERE = Path(__file__).resolve().parent


def build(source: Path, folder: Path = HERE) -> list[Path]:
    """Write the files into ``folder`` from those in ``source``: elevation_buildings and s2_eopatch_slovenia."""
    return [*buildings(source / "elevation_buildings", folder), *greenness(source / "s2_eopatch_slovenia", folder)]


def buildings(source: Path, folder: Path) -> tuple[Path, Path]:
    """Write the elevation in steps of 5 cm, and the outlines of buildings with coordinates to about 0.1 m."""
    import geopandas
    import rasterio

    with rasterio.open(source / "dsm_dtm_hag_2m.tif") as file:
        values, crs, transform = file.read(), file.crs, file.transform
    stored = np.where(np.isfinite(values), np.round(values / STEP), MISSING).astype(np.int16)
    image, labels = folder / "buildings.tif", folder / "buildings.geojson"
    _write(image, stored, ["dsm", "dtm", "hag"], crs, transform, nodata=MISSING, scale=STEP, unit="m")
    outlines = geopandas.read_file(source / "buildings.geojson")[["geometry"]].to_crs(4326)
    labels.unlink(missing_ok=True)
    outlines.to_file(labels, driver="GeoJSON", COORDINATE_PRECISION=6)
    return image, labels


def greenness(source: Path, folder: Path) -> tuple[Path, Path]:
    """Write the NDVI of some days in thousandths, and the NDVI of a later day at pixels drawn at random."""
    import rasterio

    with rasterio.open(source / "ndvi_68dates.tif") as file:
        dates = [name.split("T")[0] for name in file.descriptions]
        days = file.read([dates.index(day) + 1 for day in (*DAYS.values(), WANTED)])[:, :SIDE, :SIDE]
        crs, transform = file.crs, file.transform
    stored = np.round(days[:-1] / 0.001).astype(np.int16)
    image, seen = folder / "ndvi.tif", folder / "ndvi_seen.csv"
    _write(image, stored, [*DAYS], crs, transform, nodata=MISSING, scale=0.001)
    rows, columns = np.nonzero(np.random.default_rng(0).random((SIDE, SIDE)) < SEEN)
    x, y = rasterio.transform.xy(transform, rows, columns)
    lines = [f"{one:.1f},{two:.1f},{value:.3f}" for one, two, value in zip(x, y, days[-1, rows, columns], strict=True)]
    seen.write_text("\n".join(["x,y,ndvi", *lines]) + "\n")
    return image, seen


def _write(
    path: Path,
    pixels: NDArray[Any],
    names: list[str],
    crs: Any,
    transform: Any,
    *,
    nodata: int,
    scale: float,
    unit: str = "",
) -> None:
    import rasterio

    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype, "nodata": nodata}
    packed = {"compress": "deflate", "predictor": 2, "zlevel": 9, "interleave": "band"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **shape, **packed) as file:
        file.write(pixels)
        file.descriptions = names
        file.scales = [scale] * count
        file.units = [unit] * count


if __name__ == "__main__":
    for made in build(Path(sys.argv[1])):
        print(made, made.stat().st_size)
