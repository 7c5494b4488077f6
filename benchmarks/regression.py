"""What regression learns of three real scenes, against the mean, a linear model and random forests of the same labels.

Each scene is cut into 5 × 5 squares: 15 are trained on, 5 validated on, 5 kept for the test; those of a split lie a
knight's move apart, and no pixel is shared. Which options are good is decided on validation alone (least RMSE); the
test is looked at once, for all rows, and every row is shown.

- Santarem: Sentinel-2 to elevation, labelled where a track pattern of a laser in space falls (real heights and a real
  pattern, which is of another place). Scored on the tracks of the test squares and on the truth everywhere in them.
- Gulfport: hyperspectral to a height whose unit is lost, here 0 to 100.
- NEON: RGB of 0.1 m to the canopy height of 1 m, both brought to 0.25 m; one label is 16 pixels.

The forests have 200 trees and leaves of 3 and more; "with surroundings" sees mean and deviation of 5 × 5 and 15 × 15
pixels besides. Their one variance is that of trees which did not see the pixel. NLL is without its constant, cover 90
the share of labels in the interval that ought to hold 90 %, ENCE the expected normalised calibration error. "U-Net of
the document" is the recipe as it is but for the epochs; "small" has three layers of 3 × 3, "pixels" of 1 × 1.
"""

from __future__ import annotations

import csv
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

import spectrain
from regression_scenes import DATA, Baseline, Scene, scenes
from spectrain.config.option import option
from spectrain.core.registry import names, register
from spectrain.models.banded import ModelConfig
from spectrain.training.trained.model import load_trained

SMP = ["model=smp", "model.arch=Unet", "model.encoder=resnet18"]
SMALL = ["model=few_layers"]


@dataclass(frozen=True)
class Candidate:
    """Options that are tried, and for how many epochs."""

    options: list[str]
    epochs: int = 100


CANDIDATES = {
    "U-Net of the document": Candidate([], 40),
    "Unet, resnet18": Candidate(SMP, 40),
    "Unet, resnet18, rate 3e-4": Candidate([*SMP, "optimizer.lr=3e-4"], 40),
    "small": Candidate(SMALL, 60),
    "small, rate 3e-3": Candidate([*SMALL, "optimizer.lr=3e-3"], 60),
    "small, not turned": Candidate([*SMALL, "augmentation=none"], 60),
    "small, Laplace": Candidate([*SMALL, "loss=laplace_nll"], 60),
    "small, beta-NLL": Candidate([*SMALL, "loss=beta_nll"], 60),
    "small, MSE": Candidate([*SMALL, "loss=mse"], 60),
    "pixels": Candidate([*SMALL, "model.width=1"], 60),
}
BASELINES = {
    "mean of the labels": "mean",
    "linear regression": "linear",
    "random forest": "forest",
    "random forest, with surroundings": "forest, surroundings",
}
SEEDS = (0, 1, 2)
"""Of the candidate that is best on validation: what is the network's, and what is luck."""
SHOWN = {"RMSE": "rmse", "MAE": "mae", "R²": "r2", "NLL": "gaussian_nll", "cover 90": "coverage_90", "ENCE": "ence"}
Found = dict[str, dict[str, float]]
"""Truth that was scored on -> metrics; "validation" besides."""


def rows(candidates: dict[str, Candidate] = CANDIDATES, shorter: float = 1.0) -> list[dict[str, object]]:
    """Return the table; ``shorter`` times the epochs, for a trial."""
    if not DATA.is_dir():
        print(f"no {DATA}: not measured", file=sys.stderr)
        return []
    tried = {name: replace(one, epochs=max(1, round(one.epochs * shorter))) for name, one in candidates.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # a process and a thread each: small networks gain nothing by a second thread
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = [pool.submit(of_scene, scene, folder, tried) for scene in scenes(folder)]
            return [row for one in found for row in one.result()]


def of_scene(scene: Scene, folder: Path, candidates: dict[str, Candidate]) -> list[dict[str, object]]:
    if "few_layers" not in names("model"):
        register("model", "few_layers")(FewLayers)
    torch.set_num_threads(1)
    found: dict[str, Found] = {}
    for name, kind in BASELINES.items():
        model = Baseline(kind, scene)
        found[name] = {truth: model.metrics(scene, "test", labels) for truth, labels in scene.truths.items()}
        found[name]["validation"] = model.metrics(scene, "val", scene.folder / "y")
        told(scene, name, found[name])
    for name, candidate in candidates.items():
        found[name] = trained(scene, folder, name, candidate, SEEDS[0])
    best = min(candidates, key=lambda name: found[name]["validation"]["rmse"])
    seeds = [found[best], *(trained(scene, folder, best, candidates[best], seed) for seed in SEEDS[1:])]
    table = [row_of(scene, name, truth, [one]) for name, one in found.items() for truth in scene.truths]
    return table + [row_of(scene, f"{best}: best on validation, 3 seeds", truth, seeds) for truth in scene.truths]


def trained(scene: Scene, folder: Path, name: str, candidate: Candidate, seed: int) -> Found:
    begin = time.perf_counter()
    run = folder / f"{scene.folder.name} {name} {seed}"
    words = [f"dataset.path={scene.folder / 'x'}", f"dataset.labels_path={scene.folder / 'y'}", f"out_dir={run}"]
    words += [f"hparams.epochs={candidate.epochs}", f"hparams.batch_size={scene.batch}", "hparams.save_freq=0"]
    words += ["hparams.valid_interval=2", "general.threads=1", f"general.seed={seed}", *candidate.options]
    spectrain.train("regression", overrides=words)
    options = load_trained(run).cfg.dataset
    found: Found = {}
    for truth, labels in scene.truths.items():
        read = replace(options, labels_path=str(labels))
        (found[truth],) = spectrain.test(run, output=run / truth, splits=["test"], overrides=read)
    found["validation"] = best_epoch(run)
    told(scene, f"{name}, seed {seed}, {time.perf_counter() - begin:.0f} s", found)
    return found


def best_epoch(run: Path) -> dict[str, float]:
    """Return the validation metrics of the epoch whose weights were kept."""
    with (run / "metrics.csv").open(newline="") as file:
        table = [row for row in csv.DictReader(file) if row.get("loss_valid")]
    best = min(table, key=lambda row: float(row["loss_valid"]))
    ending = "_valid"
    return {key.removesuffix(ending): float(x) for key, x in best.items() if key.endswith(ending) and x} | {
        "epoch": float(best["epoch"])
    }


def told(scene: Scene, name: str, found: Found) -> None:
    """Say how far it is: RMSE and R² of validation, of what the choice is made."""
    valid = found["validation"]
    what = f"{scene.folder.name}: {name}: validation RMSE {valid['rmse']:.3f}, R² {valid['r2']:.3f}"
    what += f", NLL {valid.get('gaussian_nll', float('nan')):.3f}, epoch {valid.get('epoch', 0):.0f}"
    print(what, file=sys.stderr, flush=True)


def row_of(scene: Scene, name: str, truth: str, found: list[Found]) -> dict[str, object]:
    """Return a row, with the deviation over seeds where there are some."""

    def shown(values: list[float]) -> str:
        if not np.isfinite(values).all():
            return "–"
        mean = f"{np.mean(values):.3g}"
        return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.2g}"

    on = scene.truths[truth]
    row: dict[str, object] = {"scene": scene.name, "method": name, "scored": truth}
    row["labels, train + test"] = f"{scene.count('train')} + {scene.count('test', on)}"
    row["validation RMSE"] = shown([one["validation"]["rmse"] for one in found])
    return row | {head: shown([one[truth].get(key, np.nan) for one in found]) for head, key in SHOWN.items()}


class FewLayers(nn.Sequential):
    """Three layers of 64 channels with batch norm, then what each pixel is told: it sees 7 × 7 pixels, or one."""

    @dataclass(frozen=True)
    class Config(ModelConfig):
        """Keys of ``model=few_layers``."""

        width: int = option(3, "side of each layer's window in px", minimum=1)

    @classmethod
    def from_config(cls, config, *, bands, image_size, channels=2):
        layers: list[nn.Module] = []
        inside = config.in_channels(bands)
        for _ in range(3):
            layers += [nn.Conv2d(inside, 64, config.width, padding=config.width // 2), nn.BatchNorm2d(64), nn.ReLU()]
            inside = 64
        return cls(*layers, nn.Conv2d(inside, channels, 1))

    def features(self, x: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
        return [(1, self[:-1](x))]


if __name__ == "__main__":
    from run import table

    print(table(rows()))
