"""The data of all contestants: the same bytes, once in the form that each takes as a matter of course."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".cache" / "peers"
SST = ROOT / "src" / "spectrain" / "demos" / "ocean_sst.h5"
SIDE = 64
SCENE = (12, 2048, 2048)
PATCH = 128
"""Side in px of the patches that are read from the scene."""


def shared(name: str) -> Path | None:
    """Return a folder of the data that lie beside the repository, or None where they are not there."""
    return next((path for up in HERE.parents if (path := up / "shared" / "data" / name).is_dir()), None)


def sst() -> dict[str, Any]:
    """Sea-surface temperature [N,1,64,64] of the demo, with the metadata that a probe predicts."""
    return {"h5": str(SST), "meta": str(SST.with_name("ocean_sst_meta.csv"))}


def barkbeetle() -> dict[str, Any] | None:
    """Two dates of Sentinel-2 with damaged forest: prepared patches, .npy files of the same, scenes as GeoTIFF."""
    place = shared("s2_barkbeetle")
    return None if place is None else once("barkbeetle", lambda folder: _barkbeetle(place, folder))


def scene(shape: tuple[int, int, int] = SCENE) -> dict[str, Any]:
    """One scene: as GeoTIFF, as Zarr, and prepared as patches, with the seconds that this took."""
    return once("scene-" + "x".join(map(str, shape)), lambda folder: _scene(folder, shape))


def once(name: str, make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Return what ``make`` writes about the folder that it filled, made only where it is not there whole."""
    folder = CACHE / name
    about = folder / "about.json"
    if not about.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"making {name} ...", file=sys.stderr, flush=True)
        about.write_text(json.dumps(make(folder)))
    found: dict[str, Any] = json.loads(about.read_text())
    return found


def _barkbeetle(place: Path, folder: Path) -> dict[str, Any]:
    import spectrain

    with (place / "sites.csv").open(newline="") as file:
        sites = list(csv.DictReader(file))
    west = _west(sites, folder)
    spectrain.prepare(
        "scenes",
        data_dir=str(place),
        images=["y2019=scenes_2019/{scene}.tif", "y2020=scenes_2020/{scene}.tif"],
        labels="mask/{scene}.tif",
        label_names=["healthy", "damaged"],
        scale=1e-4,
        nodata=0,
        patch_size=SIDE,
        overlap=16,
        admin_dir=str(west),
        test_regions=["west"],
        test_val_split=0,
        train_data_dir=str(folder / "prepared"),
    )
    found: dict[str, Any] = {"prepared": str(folder / "prepared"), "npy": str(folder / "npy"), "labels": 3}
    found |= npy_of(folder / "prepared", folder / "npy")
    found["scenes"] = {"images": [str(place / f"scenes_{year}") for year in (2019, 2020)], "mask": str(place / "mask")}
    return found


def _west(sites: list[dict[str, str]], folder: Path) -> Path:
    """Write the part of the country that is kept for the test: the westernmost fifth of the sites."""
    import geopandas
    import shapely

    edge = float(np.quantile([float(site["lon"]) for site in sites], 0.2))
    region = geopandas.GeoDataFrame({"shapeName": ["west"]}, geometry=[shapely.box(12.0, 48.0, edge, 52.0)], crs=4326)
    region.to_file(folder / "regions.geojson")
    return folder / "regions.geojson"


def npy_of(prepared: Path, folder: Path) -> dict[str, Any]:
    """Write every patch of splits train, valid and test as two .npy files; return bands, counts and statistics."""
    from spectrain.data.opening import open_patches

    counts: dict[str, int] = {}
    sums = np.zeros((3, 1))
    for split in ("train", "valid", "test"):
        patches = open_patches(prepared, split)
        rows = patches.read(np.arange(len(patches)))
        (folder / split).mkdir(parents=True)
        for number, (image, mask) in enumerate(zip(rows.image, rows.labels, strict=True)):
            np.save(folder / split / f"{number:04d}_image.npy", image)
            np.save(folder / split / f"{number:04d}_mask.npy", mask.astype(np.uint8))
        counts[split] = len(patches)
        if split == "train":
            values = np.moveaxis(rows.image, 1, 0).reshape(rows.image.shape[1], -1).astype(np.float64)
            measured = values != 0
            sums = np.stack([measured.sum(1), values.sum(1), (values**2).sum(1)])
    mean = sums[1] / sums[0]
    deviation = np.sqrt(sums[2] / sums[0] - mean**2)
    return {"bands": len(mean), "counts": counts, "mean": mean.tolist(), "std": deviation.tolist()}


def _scene(folder: Path, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Smooth fields with a little noise: no zero, so that nothing is missing."""
    import rasterio
    import zarr

    import spectrain

    bands, height, width = shape
    drawn = np.random.default_rng(0)
    y, x = (np.mgrid[:height, :width] / 300).astype(np.float32)
    image = np.empty(shape, np.uint16)
    for band in range(bands):
        waves = sum(np.sin(a * y + b * x + c) for a, b, c in drawn.normal(0, 3, (4, 3)))
        image[band] = 3000 + 400 * waves + drawn.normal(0, 20, (height, width))
    form: dict[str, Any] = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    transform = rasterio.Affine(10, 0, 362000, 0, -10, 1987000)
    for name, more in {"deflate": {"compress": "deflate"}, "plain": {}}.items():
        (folder / name).mkdir()
        with rasterio.open(
            folder / name / "a.tif", "w", "GTiff", width, height, bands, "EPSG:32648", transform, "uint16",
            **(form | more),
        ) as file:  # fmt: skip
            file.write(image)
    begin = time.perf_counter()
    made = spectrain.prepare(
        "scenes",
        data_dir=str(folder),
        images="deflate/{scene}.tif",
        patch_size=PATCH,
        test_val_split=0,
        train_data_dir=str(folder / "prepared"),
    )
    seconds = time.perf_counter() - begin
    for name, more in {"zarr": {}, "zarr_plain": {"compressors": None}}.items():
        group = zarr.open_group(folder / name, mode="w")
        chunks, dimensions = (bands, 256, 256), ("band", "y", "x")
        group.create_array("image", data=image, chunks=chunks, dimension_names=dimensions, **more)
    return {
        "folder": str(folder),
        "prepared": str(made.folder),
        "prepare_s": seconds,
        "patches": sum(made.patches.values()),
        "bands": bands,
        "side": PATCH,
    }


if __name__ == "__main__":
    print({"barkbeetle": barkbeetle(), "scene": scene()}, file=sys.stderr)
