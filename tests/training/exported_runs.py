"""Small trained runs to export: bands of DARTS with holes, by a network of the package that costs little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import spectrain
from spectrain.core.bands import Band, Bands
from spectrain.data.native.writer import NativeWriter
from spectrain.data.patches import Rows

BANDS = Bands(
    [
        Band("red", scale=1e-4, nodata=0, limits=(0.0, 0.3)),
        Band("nir", scale=1e-4, nodata=0, limits=(0.0, 0.3)),
        Band("ndvi", scale=1e-4, offset=-1.0, nodata=0, limits=(-1.0, 1.0)),
        Band("slope", scale=0.01, limits=(0.0, 90.0)),
    ]
)
SIZE = 64
QUICK = ["model.encoder=tu-test_resnet", "hparams.epochs=1", "hparams.batch_size=4", "hparams.valid_interval=1"]
QUICK += ["augmentation=none", "metric=none", "show_prediction=none", "hparams.monitor=loss_valid"]
QUICK += ["hparams.monitor_mode=min", "scheduler=none", "general.device=cpu", "hparams.plot_interval=0"]


def write_patches(folder: Path, *, holes: bool = True, bands: Bands = BANDS, values: bool = False) -> Path:
    """Write 12 patches of 64 px in two splits: physical values within the limits and some beyond.

    Labels are two classes, or with ``values`` numbers about 40 at a tenth of the pixels.
    """
    draw = np.random.default_rng(0)
    image = draw.integers(1, 3300, (12, 4, SIZE, SIZE)).astype(np.uint16)
    image[:, 2] = draw.integers(1, 20000, (12, SIZE, SIZE))
    image[:, 3] = draw.integers(1, 9000, (12, SIZE, SIZE))
    if holes:
        image[:, :2, 3:20, 5:30] = 0
        image[:, :3, 40:50] = 0
    labels = (image[:, 2] > 12000).astype(np.uint8)
    if values:
        seen = draw.random(labels.shape) < 0.1
        labels = np.where(seen, 40 + labels * 9 + draw.normal(0, 3, labels.shape), np.nan).astype(np.float32)
    ids = [f"p{number}" for number in range(12)]
    table = pd.DataFrame({"patch_id": ids, "scene": [f"s{number // 3}" for number in range(12)], "region": "here"})
    splits = {"train": ids[:8], "valid": ids[8:]}
    path = folder / f"patches{'' if holes else '_whole'}.zarr"
    with NativeWriter(path, bands) as writer:
        writer.append(Rows(image, None, labels), table)
        writer.commit(splits={"format": {"name": "spectrain.splits", "version": 1}, "splits": splits, "folds": []})
    return path


def train(patches: Path, out: Path, *words: str, recipe: str = "segmentation") -> Path:
    """Train one epoch; returns the run folder."""
    quick = QUICK if recipe in ("segmentation", "regression") else []
    if any(word.startswith("model=") for word in words):
        quick = [word for word in quick if not word.startswith("model.")]
    overrides = [f"dataset.path={patches}", *quick, f"out_dir={out}", *words]
    keys = [word.partition("=")[0] for word in overrides]
    chosen = [word for number, word in enumerate(overrides) if word.partition("=")[0] not in keys[number + 1 :]]
    return spectrain.train(recipe, overrides=chosen).folder
