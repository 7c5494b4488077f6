"""Mapping a scene: pixels a second against the model alone, and private memory against the size of the scene.

Scenes of ten bands of 16 bits (deflate, blocks of 512 px) are mapped into class and probability. "U-Net" is one on a
ResNet-18, with windows of 256 px and the halo that is named; "model alone" runs the same network on windows of that
size that lie ready as standardised float32, at the same overlap, so the ratio is what reading, missing pixels, joining
and writing leave of its speed. The two alternate. "one layer" is a convolution of 1 × 1 px: cheap, so that scenes may
be large, for memory. That is the growth of private memory over what it was before `predict`, the most in samples of
20 ms; the model is part of it, and GDAL's cache of blocks, which is held at 64 MiB here (GDAL_CACHEMAX; 512 unless it
is set).

Goals: a ratio of at least 0.9; memory flat in the height of a scene. It grows with the width.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

BANDS, WINDOW = 10, 256
SPEED = [("U-Net", 1024, 1024, 64), ("U-Net", 1024, 1024, 16)]
MEMORY = [("one layer", height, 2048, 64) for height in (1024, 4096, 8192)] + [("one layer", 2048, 8192, 64)]
MODELS = {"U-Net": "smp", "one layer": "one_layer"}


def rows() -> list[dict[str, object]]:
    result: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for model, height, width, halo in [*SPEED, *MEMORY]:
            run = Path(name) / MODELS[model]
            if not run.exists():
                child("make_run", name, MODELS[model])
            scene = write_scene(Path(name) / "scene.tif", height, width)
            found = json.loads(child("measure", str(run), str(scene), str(halo)).splitlines()[-1])
            scene.unlink()
            result.append(
                {
                    "model": model,
                    "scene, px": f"{height} × {width}",
                    "halo, px": halo,
                    "Mpx/s": found["speed"],
                    "model alone, Mpx/s": found.get("alone", ""),
                    "ratio": found.get("ratio", ""),
                    "private memory grows by MiB": round(found["memory"]),
                }
            )
    return result


def child(function: str, *words: str, module: str = "predict") -> str:
    """Run a function of a benchmark in a process of its own; return what it printed."""
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import {module}; {module}.{function}(*{words})"
    environment = {**os.environ, "GDAL_CACHEMAX": "64"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return done.stdout


def write_scene(path: Path, height: int, width: int, labels: str = "") -> Path:
    """Write a made scene row by row: smooth with noise in its low bits, some of it missing.

    Args:
        path: GeoTIFF to write.
        height: rows.
        width: columns.
        labels: "segmentation" writes its classes instead of ten bands, "regression" its values.
    """
    import rasterio

    rng = np.random.default_rng(0)
    count = 1 if labels else BANDS
    noise = rng.integers(0, 16, (count, 512, width)).astype("u2")
    profile = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": {"": "uint16", "segmentation": "uint8", "regression": "float32"}[labels],
    }
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
    at = 5e6 if "val" in path.parts else 6e6
    profile |= {"crs": "EPSG:32633", "transform": rasterio.transform.from_origin(4e5, at, 10, 10), "nodata": 0}
    if labels:
        profile["nodata"] = 255 if labels == "segmentation" else np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as file:
        for top in range(0, height, 512):
            rows = min(512, height - top)
            wave = 1000 + 400 * np.sin((np.arange(rows) + top)[:, None] / 40) * np.cos(np.arange(width) / 60)
            block = (wave[None] + noise[:, :rows]).astype("u2")
            block[:, :50, :50] = 0
            block = (block > 1000).astype("u1") if labels == "segmentation" else block
            file.write(block.astype(profile["dtype"]), window=((top, top + rows), (0, width)))
    return path


def make_run(folder: str, model: str, recipe: str = "segmentation") -> None:
    import spectrain

    register_layer()
    for split in ("train", "val"):
        write_scene(Path(folder) / "data" / split / "images" / "a.tif", 512, 512)
        write_scene(Path(folder) / "data" / split / "labels" / "a.tif", 512, 512, labels=recipe)
    words = [f"model={model}", f"dataset.path={folder}/data", f"dataset.window={WINDOW}", "hparams.epochs=1"]
    words += ["hparams.valid_interval=1", "hparams.plot_interval=0", "augmentation=none", "metric=none"]
    words += ["hparams.monitor=loss_valid", "hparams.monitor_mode=min", "show_prediction=none", "general.device=cpu"]
    spectrain.train(recipe, overrides=[*words, f"out_dir={folder}/{model}"])


def register_layer() -> None:
    from dataclasses import dataclass

    from torch import nn

    from spectrain.core.registry import names, register
    from spectrain.models.banded import ModelConfig

    if "one_layer" in names("model"):
        return

    @register("model", "one_layer")
    class OneLayer(nn.Conv2d):
        @dataclass(frozen=True)
        class Config(ModelConfig):
            pass

        @classmethod
        def from_config(cls, config, *, bands, image_size, channels=1):
            return cls(config.in_channels(bands), channels, 1)


def private() -> float:
    """Private memory of this process in MiB."""
    fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Anonymous"].split()[0]) / 1024


@contextlib.contextmanager
def most_memory() -> Iterator[list[float]]:
    """Watch a block; the list's one number is the MiB that private memory has grown by at most."""
    before, most, going = private(), [0.0], threading.Event()

    def watch() -> None:
        while not going.wait(0.02):
            most[0] = max(most[0], private() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        going.set()
        watcher.join()


def measure(run: str, scene: str, halo: str) -> None:
    import rasterio
    import torch

    import spectrain
    from spectrain.inference.mapping.tiles import Axis
    from spectrain.training.trained.model import load_trained

    register_layer()
    model = load_trained(run).model.to(memory_format=torch.channels_last)
    with rasterio.open(scene) as file:
        height, width = file.shape
    windows = np.prod([len(Axis.cover(size, WINDOW, int(halo)).starts) for size in (height, width)])
    inputs = torch.randn(8, BANDS, WINDOW, WINDOW).contiguous(memory_format=torch.channels_last)
    pixels, speeds, alone = height * width / 1e6, [], []
    compared = run.endswith("smp")
    output = Path(scene).with_name("map.tif")
    with most_memory() as most:  # a run by itself: taking samples of memory costs time
        spectrain.predict(run, scene, output, halo=int(halo), batch_size=8, overwrite=True)
    for _ in range(3 if compared else 1):
        began = time.perf_counter()
        spectrain.predict(run, scene, output, halo=int(halo), batch_size=8, overwrite=True)
        speeds.append(pixels / (time.perf_counter() - began))
        if compared:
            began = time.perf_counter()
            with torch.inference_mode():
                for _ in range(int(windows) // 8):
                    model.network(inputs)
            alone.append(pixels / (time.perf_counter() - began) * (windows // 8 * 8) / windows)
    found = {"speed": float(np.median(speeds)), "memory": most[0]}
    if compared:
        ratios = np.array(speeds) / np.array(alone)
        found |= {"alone": float(np.median(alone)), "ratio": float(np.median(ratios))}
    print(json.dumps(found))


if __name__ == "__main__":
    from run import table

    print(table(rows()))
