"""Preparing scenes: patches a second of one core, and private memory against the size of the scene.

Each scene is one GeoTIFF of 12 bands of uint16 in blocks of 256 (deflate), made of a real Sentinel-2 scene that is
mirrored until it is large enough; elevation and tasselled cap lie on another grid. A process of its own prepares it
into patches of 256 × 256 with labels, written twice: as a part and into the patch set. Memory is the peak of its
private memory (what is dirty; sampled every 5 ms, in a second run) over what it held before, where everything was
imported; 96 MiB of it are the shard that is being written, 128 MiB the raster library's cache.

Goal: memory that does not grow with the scene, and is a fraction of it in float32.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "s2_majortom_thailand"
NAMES = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
MADE = "[B02,B03,B04,B08,ndvi,tc_brightness,tc_greenness,tc_wetness,relative_elevation,slope]"
CASES = [
    ("12 bands as they are", 2000, []),
    ("12 bands as they are", 4000, []),
    ("12 bands as they are", 8000, []),
    ("the ten bands of the document (relative elevation within 100 m)", 4000, [f"bands={MADE}"]),
    ("the same within 500 m", 4000, [f"bands={MADE}", "tpi_outer_radius=500"]),
    ("12 bands to 15 m", 4000, ["resolution=15"]),
]

WORK = """
import json, sys, threading, time
from pathlib import Path
from spectrain.preparation import prepare
import spectrain.preparation.run, rasterio, geopandas, zarr, pyarrow, torch

def private():
    fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(fields[name].split()[0]) for name in ("Private_Dirty",)) / 1024

watching, peak, before = sys.argv[1] == "watch", 0.0, private()

def watch():
    global peak
    while watching:
        peak = max(peak, private())
        time.sleep(0.005)

watcher = threading.Thread(target=watch)
watcher.start()
begin = time.perf_counter()
made = prepare("scenes", None, sys.argv[2:])
seconds = time.perf_counter() - begin
watching = False
watcher.join()
print(json.dumps([sum(made.patches.values()), seconds, peak - before]))
"""


def scene(folder: Path, side: int) -> None:
    """Write a scene of real pixels, labels, an elevation model and tasselled cap."""
    import numpy as np
    import rasterio

    def mirrored(name: str, size: int, repeat: int = 1) -> Any:
        with rasterio.open(SHARED / f"{name}.tif") as file:
            own = np.kron(file.read(1), np.ones((repeat, repeat), file.dtypes[0])) if repeat > 1 else file.read(1)
        return np.pad(own, ((0, max(0, size - own.shape[0])), (0, max(0, size - own.shape[1]))), "symmetric")[
            :size, :size
        ]

    def write(path: Path, bands: list[Any], pixel: float, names: list[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        form = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "zlevel": 1}
        with rasterio.open(
            path, "w", "GTiff", side_of := bands[0].shape[1], side_of, len(bands), "EPSG:32648",
            rasterio.Affine(pixel, 0, 362000 - pixel, 0, -pixel, 1987000 + pixel), bands[0].dtype, **form,
        ) as file:  # fmt: skip
            for number, (band, name) in enumerate(zip(bands, names, strict=True), start=1):
                file.write(band, number)
                file.set_band_description(number, name)

    repeat = {"B01": 6, "B09": 6, **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 2)}
    bands = [mirrored(name, side, repeat.get(name, 1)) for name in NAMES]
    write(folder / "in" / "images" / "a.tif", bands, 10, NAMES)
    write(folder / "in" / "y" / "a.tif", [(bands[7] < 1500).astype("uint8")], 10, ["dark"])
    coarse = side // 3 + 80
    write(folder / "dem.tif", [mirrored("B12", coarse).astype("float32") / 10], 32, ["dem"])
    tc = [mirrored(name, coarse).clip(0, 255 * 32) // 32 for name in ("B02", "B8A", "B11")]
    write(folder / "tc.tif", [one.astype("uint8") for one in tc], 32, ["tc_brightness", "tc_greenness", "tc_wetness"])


def rows() -> list[dict[str, object]]:
    result: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for number, (case, side, words) in enumerate(CASES):
            folder = Path(name) / str(side)
            if not folder.exists():
                subprocess.run([sys.executable, __file__, str(folder), str(side)], check=True)
            given = [f"data_dir={folder / 'in'}", "labels=y/{scene}.tif", "min_labelled=0", "test_val_split=0", *words]
            given += [f"dem={folder / 'dem.tif'}", f"aux={folder / 'tc.tif'}"]
            found = {}
            for what in ("watch", "time"):  # watching takes time
                command = [sys.executable, "-c", WORK, what, *given, f"train_data_dir={folder / f'{number}{what}'}"]
                output = subprocess.run(command, capture_output=True, text=True, check=True)
                found[what] = json.loads(output.stdout.splitlines()[-1])
            patches, seconds, peak = (*found["time"][:2], found["watch"][2])
            result.append(
                {
                    "case": case,
                    "scene": f"{side} × {side}",
                    "patches/s": patches / seconds,
                    "Mpx/s": patches * 256**2 / seconds / 1e6,
                    "private memory, MiB": peak,
                    "scene in float32, MiB": side**2 * 12 * 4 / 2**20,
                }
            )
    return result


if __name__ == "__main__":
    if len(sys.argv) > 2:
        scene(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        from run import table

        print(table(rows()))
