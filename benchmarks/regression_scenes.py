"""Three real scenes cut into squares on the ground, for benchmarks/regression.py, and what is no network."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SQUARES = 5
"""Squares along each side of a scene: 15 are trained on, 5 validated on, 5 kept for the test."""
TREES = 200
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """Folders of .npy pairs in ``train``, ``val`` and ``test``.

    Attributes:
        name: as the table has it.
        folder: ``x`` (images), ``y`` (labels) and, where these are sparse, ``everywhere`` are in it.
        repeated: pixels that one measurement is spread over.
        batch: images in a step.
    """

    name: str
    folder: Path
    repeated: int = 1
    batch: int = 5

    @property
    def truths(self) -> dict[str, Path]:
        """What a test is scored on: the labels as measured, and the truth everywhere, where that is known."""
        everywhere = self.folder / "everywhere"
        return {"as measured": self.folder / "y", **({"everywhere": everywhere} if everywhere.is_dir() else {})}

    def read(self, split: str, labels: Path | None = None) -> tuple[Values, Values]:
        """Return images [n,C,H,W] and labels [n,H,W] of a split, NaN where nothing was measured."""
        found = [
            np.stack([np.load(file).astype("f4") for file in sorted((root / split).iterdir())])
            for root in (self.folder / "x", labels or self.folder / "y")
        ]
        return found[0], found[1].reshape(-1, *found[1].shape[-2:])

    def count(self, split: str, labels: Path | None = None) -> int:
        """Return how many measurements a split has."""
        return round(np.isfinite(self.read(split, labels)[1]).sum() / self.repeated)


def split_of(row: int, column: int) -> str:
    """Return the split of a square: those of the test lie a knight's move apart, and so do those of validation."""
    return {0: "test", 2: "val"}.get((column - 2 * row) % SQUARES, "train")


def scenes(folder: Path) -> list[Scene]:
    return [santarem(folder / "santarem"), gulfport(folder / "gulfport"), neon(folder / "neon")]


def santarem(folder: Path) -> Scene:
    """Sentinel-2 to elevation in metres, measured where a real track pattern falls."""
    import rasterio

    place = DATA / "regression_dem"
    read = {}
    for name in ("image", "srtm", "srtm_sparse"):
        with rasterio.open(place / f"s2_santarem_{name}.tif") as file:
            read[name] = file.read().astype("f4")
    cut(folder, {"x": read["image"], "y": read["srtm_sparse"], "everywhere": read["srtm"]})
    return Scene("Santarem, m", folder)


def gulfport(folder: Path) -> Scene:
    """64 bands of reflectance to a height whose unit is lost; here in hundredths of its range, so 0 to 100."""
    import h5py

    with h5py.File(DATA / "hyperspectral" / "muufl_gulfport_sub.h5") as file:
        cut(folder, {"x": file["cube"][()], "y": 100 * file["dsm"][()][None]})
    return Scene("Gulfport", folder)


def neon(folder: Path) -> Scene:
    """RGB of 0.1 m to canopy height of 1 m, on a grid of 0.25 m by `spectrain prepare`."""
    import pandas as pd

    import spectrain

    made = folder / "prepared"
    words = {"images": "*_rgb_0p1m.tif", "labels": "*_chm_1m.tif", "label_kind": "values", "resolution": 0.25}
    spectrain.prepare(
        "scenes", data_dir=str(DATA / "neon_chm"), **words, patch_size=32, test_val_split=0.0, folds=0, format="npy",
        train_data_dir=str(made),
    )  # fmt: skip
    table = pd.read_parquet(made / "patches.parquet")
    for name, row, column in zip(table["patch_id"], table["row"] // 32, table["column"] // 32, strict=True):
        for ours, theirs in (("x", "images"), ("y", "labels")):
            target = folder / ours / split_of(row, column)
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(made / theirs / "train" / f"{name}.npy", target / f"{row}{column}.npy")
    return Scene("NEON, m", folder, repeated=16)


def cut(folder: Path, layers: dict[str, Values]) -> None:
    """Write [C,H,W] as squares of a fifth of the shorter side; what is left over at right and bottom is left out."""
    side = min(layers["x"].shape[1:]) // SQUARES
    for row, column in np.ndindex(SQUARES, SQUARES):
        for name, values in layers.items():
            target = folder / name / split_of(row, column)
            target.mkdir(parents=True, exist_ok=True)
            at = np.s_[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
            np.save(target / f"{row}{column}.npy", values[at])


def with_surroundings(images: Values) -> Values:
    """Return images [n,C,H,W] with mean and deviation of 5 × 5 and 15 × 15 px around each pixel, [n,5C,H,W].

    Of its own square alone, so that splits share no pixel here either.
    """
    from scipy.ndimage import uniform_filter

    found = [images]
    for width in (5, 15):
        size = (1, 1, width, width)
        mean = uniform_filter(images.astype("f8"), size)
        square = uniform_filter(images.astype("f8") ** 2, size)
        found += [mean, np.sqrt(np.maximum(square - mean**2, 0))]
    return np.concatenate([one.astype("f4") for one in found], axis=1)


class Baseline:
    """What is learnt of each labelled pixel by itself, with one deviation of the errors for all.

    That is the deviation of the labels (mean), of the residuals with the fitted coefficients counted (linear), or of
    the residuals of trees that did not see the pixel (forest).

    Args:
        kind: "mean", "linear", "forest" or "forest, surroundings".
        scene: whose training split it learns.
    """

    def __init__(self, kind: str, scene: Scene) -> None:
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.linear_model import LinearRegression

        self.kind = kind
        images, labels = scene.read("train")
        known = np.isfinite(labels)
        x, y = self.features(images)[known], labels[known].astype("f8")
        if kind == "mean":
            self.centre, self.variance = y.mean(), y.var()
            return
        self.model = LinearRegression() if kind == "linear" else None
        if self.model is None:
            self.model = RandomForestRegressor(
                TREES, min_samples_leaf=3, max_features=1 / 3, oob_score=True, n_jobs=1, random_state=0
            )
        self.model.fit(x, y)
        if kind == "linear":
            spare = max(len(y) - x.shape[1] - 1, 1)
            self.variance = ((y - self.model.predict(x)) ** 2).sum() / spare
        else:
            self.variance = np.nanmean((y - self.model.oob_prediction_) ** 2)

    def features(self, images: Values) -> Values:
        """Return [n,H,W,features]."""
        return np.moveaxis(with_surroundings(images) if "surroundings" in self.kind else images, 1, -1)

    def metrics(self, scene: Scene, split: str, labels: Path) -> dict[str, float]:
        """Return the product's own metrics of a split."""
        from spectrain.core.regressed import Regressed
        from spectrain.metrics.regression import RegressionSums

        images, y = scene.read(split, labels)
        known = np.isfinite(y)
        x = self.features(images)[known]
        mean = np.full(len(x), self.centre) if self.kind == "mean" else self.model.predict(x)
        p, t = (torch.from_numpy(one).float()[:, None] for one in (mean, y[known]))
        s = torch.full_like(p, float(np.log(self.variance)))
        sums = RegressionSums()
        row = torch.zeros(len(p), dtype=torch.int64)
        sums.update(Regressed(p, s, t, torch.ones_like(p, dtype=torch.bool), ("value",), "gaussian", row), None)
        return sums.compute(sums.sums())
