"""Mapping by an ensemble of five in one pass against five passes that are merged, and memory against the scene.

Five models of regression (mean and variance) map a made scene of ten bands into mean, aleatoric, epistemic and
predictive deviation. "five passes" maps it once a model, then reads the five maps in blocks and writes the same four;
the two alternate, and the ratio is the median of neighbours. "U-Net" is one on a ResNet-18, whose arithmetic is the
same either way; "one layer" has hardly any, so its ratio is what reading, joining and writing once spares at most.

Memory is what private memory grows by over what it was before, the most in samples of 20 ms, with GDAL's cache of
blocks held at 64 MiB, of one model and of five. The models are part of it.

Goals: one pass is not slower; memory flat in the height of a scene. It grows with the width.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import predict

MEMBERS = 5
FOUR = ("mean", "aleatoric", "epistemic", "predictive")
SPEED = [("U-Net", 512, 512), ("one layer", 1024, 1024)]
MEMORY = [("one layer", height, 2048) for height in (1024, 4096, 8192)]
ROUNDS = 5


def rows(speed: list = SPEED, memory: list = MEMORY, rounds: int = ROUNDS) -> list[dict[str, object]]:
    result: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        cases = [(*one, MEMBERS, rounds) for one in speed] + [(*one, count, 0) for one in memory for count in (1, 5)]
        for model, height, width, members, timed in cases:
            run = Path(name) / predict.MODELS[model]
            if not run.exists():
                predict.child("make_run", name, predict.MODELS[model], "regression")
            scene = predict.write_scene(Path(name) / "scene.tif", height, width)
            words = (str(run), str(scene), str(members), str(timed))
            found = json.loads(predict.child("measure", *words, module="ensemble_map").splitlines()[-1])
            scene.unlink()
            result.append(
                {
                    "model": model,
                    "members": members,
                    "scene, px": f"{height} × {width}",
                    "one pass, Mpx/s": found.get("one pass", ""),
                    "five passes and merging, Mpx/s": found.get("merged", ""),
                    "ratio": found.get("ratio", ""),
                    "private memory grows by MiB": round(found["memory"]),
                }
            )
    return result


def measure(run: str, scene: str, members: str, rounds: str) -> None:
    import spectrain
    from spectrain.training.trained.model import checkpoint_of

    predict.register_layer()
    folder = Path(scene).parent
    models = [member(checkpoint_of(Path(run)), folder / f"member{number}.pt", number) for number in range(int(members))]
    layers = FOUR if len(models) > 1 else FOUR[:2]
    with predict.most_memory() as most:  # a run by itself: taking samples of memory costs time
        spectrain.predict(models, scene, folder / "map.tif", layers=layers, batch_size=8, overwrite=True)
    found = {"memory": most[0]}
    pixels, once, merged = size_of(scene) / 1e6, [], []
    for _ in range(int(rounds)):
        began = time.perf_counter()
        spectrain.predict(models, scene, folder / "map.tif", layers=FOUR, batch_size=8, overwrite=True)
        middle = time.perf_counter()
        parts = [folder / f"map{one}.tif" for one in range(len(models))]
        for model, part in zip(models, parts, strict=True):
            spectrain.predict(model, scene, part, layers=FOUR[:2], batch_size=8, overwrite=True)
        merge(parts, folder / "merged.tif")
        once.append(pixels / (middle - began))
        merged.append(pixels / (time.perf_counter() - middle))
    if once:
        same(folder / "map.tif", folder / "merged.tif")
        found |= {"one pass": statistics.median(once), "merged": statistics.median(merged)}
        found["ratio"] = statistics.median(a / b for a, b in zip(once, merged, strict=True))
    print(json.dumps(found))


def member(best: Path, copy: Path, number: int) -> Path:
    """Write a checkpoint whose weights are a little others, so that members disagree; return it.

    It loses its own recalibration, which a single run applies and runs that are only named together do not.
    """
    import torch

    found = torch.load(best, weights_only=True)
    found["meta_json"] = json.dumps({**json.loads(found["meta_json"]), "recalibration": None})
    found["model"] = {
        name: x * (1 + number / 100) if name.endswith("weight") else x for name, x in found["model"].items()
    }
    torch.save(found, copy)
    return copy


def merge(parts: list[Path], output: Path) -> None:
    """Write mean, aleatoric, epistemic and predictive deviation of maps of mean and deviation, block by block."""
    import rasterio

    files = [rasterio.open(part) for part in parts]
    profile = files[0].profile | {"count": 4}
    with rasterio.open(output, "w", **profile) as out:
        for _, window in out.block_windows(1):
            read = np.stack([file.read(window=window) for file in files]).astype("f8")
            epistemic, aleatoric = read[:, 0].var(0), (read[:, 1] ** 2).mean(0)
            found = np.stack([read[:, 0].mean(0), aleatoric**0.5, epistemic**0.5, (aleatoric + epistemic) ** 0.5])
            out.write(found.astype("f4"), window=window)
    for file in files:
        file.close()


def same(ours: Path, merged: Path) -> None:
    """Raise where the two maps differ: they are to be of one result."""
    import rasterio

    with rasterio.open(ours) as one, rasterio.open(merged) as other:
        np.testing.assert_allclose(one.read(), other.read(), rtol=1e-3, atol=1e-3 * np.nanstd(one.read(1)))


def size_of(scene: str) -> int:
    import rasterio

    with rasterio.open(scene) as file:
        return file.height * file.width


if __name__ == "__main__":
    from run import table

    print(table(rows()))
