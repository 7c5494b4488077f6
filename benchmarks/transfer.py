"""Does a model trained on other sensors help to map land cover with few labels? Dense features against a forest.

A masked autoencoder (tokens of 2 x 2 px by 10 bands) is trained without labels on five sensors, EnMAP not among them.
It then sees EnMAP's 218 bands for the first time; its weights stay as they are. Of 14 tiles of 32 x 32 px with six
classes half train and half test, drawn anew for each of three seeds until every class has 20 labelled pixels on either
side; tiles share no ground. Of the labelled pixels of the training tiles 10 % are kept, at least one of each class.

The features are the encoder's map (stride 2), made window by window as in its training, drawn up to pixels bilinearly.
A linear probe (logistic regression, its penalty chosen by cross-validation over the training tiles) and a small head
(two convolutions on the map, 300 steps) see them; "untrained" is the same encoder with fresh weights. "+ spectrum" puts
the pixel's own standardised bands beside them, "spectrum alone" is these without any encoder, and the forest (300
trees) sees the 218 bands too. Scores are of the labelled pixels of the test tiles: mean ± deviation over the seeds,
each with a pretraining, a split, a draw of labels and fresh weights of its own. Nothing was tuned on test tiles.

No goal: the table is to be honest. Labels are few (about 170), their classes partly inferred (see the data's README).
On 2026-11-21 the pretraining gained nothing: its features are as good as those of fresh weights, and the spectrum alone
by logistic regression is better on average than either, and than the forest; most differences are smaller than the
deviations. Larger tokens (4 px) were worse and tube masks no better, by cross-validation on training tiles.

Takes ten minutes; needs the shared data, and is run by name: `python benchmarks/run.py transfer`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mixture import SHARED, pretrained, sensors

SEEDS = (0, 1, 2)
CLASSES = 6
LEAST = 20
"""Labelled pixels of each class in the training tiles, and in the test tiles."""
SHARE = 0.1
WINDOW = 8
"""Side in px of the windows that the model is trained on, and makes features of."""
SETTINGS = ["model.patch_size=[2,10]", f"augmentation.size={WINDOW}", "hparams.epochs=20", "hparams.valid_interval=10"]

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Study:
    """The tiles of one seed.

    Attributes:
        image: standardised by the training tiles, float32 [N,C,H,W].
        labels: of the tiles [N,H,W]; 0 for none.
        given: the labels that are trained on, 0 elsewhere.
        train: bool [N], tiles that train.
        seed: of everything drawn.
    """

    image: Tensor
    labels: Labels
    given: Labels
    train: NDArray[np.bool_]
    seed: int


def rows() -> list[dict[str, object]]:
    if not SHARED.is_dir():
        return [{"method": "no data", "why": f"{SHARED} is not there"}]
    scores: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        paths = sensors(Path(name))
        others = [path for sensor, path in paths.items() if sensor != "enmap_potsdam"]
        for seed in SEEDS:
            run = pretrained(others, Path(name) / "runs", seed, SETTINGS)
            for method, predicted, study in predictions(run, paths["enmap_potsdam"], seed):
                tested = (study.labels > 0) & ~study.train[:, None, None]
                scores.setdefault(method, []).append(score(study.labels[tested], predicted[tested]))
    return [row(method, np.array(found)) for method, found in scores.items()]


def row(method: str, found: NDArray[np.float64]) -> dict[str, object]:
    """Return a row of the table for scores [seeds,3]."""
    mean, deviation = found.mean(0), found.std(0, ddof=1) if len(found) > 1 else 0 * found[0]
    names = ("overall accuracy", "macro F1", "mIoU")
    return {"method": method} | {
        name: f"{one:.3f} ± {spread:.3f}" for name, one, spread in zip(names, mean, deviation, strict=True)
    }


def predictions(run: Path, path: Path, seed: int) -> list[tuple[str, Labels, Study]]:
    """Return what each method says of every pixel [N,H,W]."""
    from spectrain.config.schema import DatasetOptions
    from spectrain.data.opening import open_patches
    from spectrain.training.trained.model import load_trained

    tiles = open_patches(path, "all", DatasetOptions())
    read = tiles.read(np.arange(len(tiles)))
    study = study_of(torch.from_numpy(read.image.astype(np.float32)), np.asarray(read.labels, dtype=np.int64), seed)
    trained = load_trained(run)
    bands = tiles.bands
    maps = {
        "pretrained": feature_map(trained.model.for_bands(bands, Standardised(len(bands))), study.image),
        "untrained": feature_map(untrained(trained, bands, seed), study.image),
    }
    spectrum = pixels(study.image)
    found: list[tuple[str, Labels]] = []
    for kind, made in maps.items():
        dense = pixels(F.interpolate(made, study.image.shape[2:], mode="bilinear"))
        found.append((f"linear probe, {kind}", linear_probe(study, dense)))
        found.append((f"linear probe, {kind} + spectrum", linear_probe(study, np.concatenate((dense, spectrum), 1))))
    found.append(("linear probe, spectrum alone", linear_probe(study, spectrum)))
    for kind, made in maps.items():
        found.append((f"small head, {kind}", small_head(study, made)))
    found.append(("random forest, spectrum alone", forest(study, spectrum)))
    return [(method, predicted, study) for method, predicted in found]


@dataclass(frozen=True)
class Standardised:
    """Statistics of bands that are standardised already."""

    count: int

    @property
    def mean(self) -> list[float]:
        return [0.0] * self.count

    @property
    def std(self) -> list[float]:
        return [1.0] * self.count


def study_of(image: Tensor, labels: Labels, seed: int) -> Study:
    """Draw tiles and labels."""
    drawn = np.random.default_rng(seed)
    counts = np.stack([(labels == label).sum((1, 2)) for label in range(1, CLASSES + 1)], 1)
    while True:
        train = np.isin(np.arange(len(labels)), drawn.permutation(len(labels))[: len(labels) // 2])
        if min(counts[train].sum(0).min(), counts[~train].sum(0).min()) >= LEAST:
            break
    given = np.zeros_like(labels)
    for label in range(1, CLASSES + 1):
        places = np.argwhere((labels == label) & train[:, None, None])
        kept = places[drawn.permutation(len(places))[: max(1, round(SHARE * len(places)))]]
        given[tuple(kept.T)] = label
    seen = image[torch.from_numpy(train)].transpose(0, 1).flatten(1)
    mean, deviation = seen.mean(1), seen.std(1).clamp(min=1e-6)
    return Study((image - mean[:, None, None]) / deviation[:, None, None], labels, given, train, seed)


def untrained(trained: Any, bands: Any, seed: int) -> Any:
    """Return the model with the weights that a training with another seed would begin with."""
    from spectrain.models.banded import build_banded

    return build_banded(
        trained.cfg.model,
        bands=bands,
        statistics=Standardised(len(bands)),
        image_size=None,
        seed=seed + 1000,
        take_init_from=False,
    ).eval()


@torch.no_grad()
def feature_map(model: Any, image: Tensor) -> Tensor:
    """Return the encoder's map [N,F,H/patch,W/patch] of tiles, made window by window."""
    from spectrain.core.batch import Batch, everywhere
    from spectrain.core.targets import NoTarget

    count, bands, height, width = image.shape
    down, across = height // WINDOW, width // WINDOW
    windows = image.view(count, bands, down, WINDOW, across, WINDOW).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
    parts = []
    for part in windows.split(32):
        batch = Batch(part, everywhere(part.shape, part.device), NoTarget(), torch.arange(len(part)), True)
        ((_, found),) = model.features(batch)
        parts.append(found)
    found = torch.cat(parts)
    side = found.shape[2]
    found = found.view(count, down, across, -1, side, side).permute(0, 3, 1, 4, 2, 5)
    return found.reshape(count, -1, down * side, across * side)


def pixels(image: Tensor) -> NDArray[np.float32]:
    """Return the pixels [N*H*W,C] of images [N,C,H,W]."""
    found: NDArray[np.float32] = image.permute(0, 2, 3, 1).flatten(0, 2).numpy()
    return found


def linear_probe(study: Study, features: NDArray[np.float32]) -> Labels:
    """Return what logistic regression says of pixels [N*H*W,F]."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    given = study.given.ravel()
    chosen = given > 0
    tile = np.repeat(np.arange(len(study.labels)), study.labels[0].size)[chosen]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, tol=1e-3)),
        {"logisticregression__C": [0.001, 0.01, 0.1, 1.0, 10.0]},
        cv=GroupKFold(3),
    )
    search.fit(features[chosen], given[chosen], groups=tile)
    predicted: Labels = search.predict(features).reshape(study.labels.shape)
    return predicted


def small_head(study: Study, features: Tensor) -> Labels:
    """Return what two convolutions on the map [N,F,h,w] say, trained on the given labels."""
    kept = features[torch.from_numpy(study.train)]
    mean, deviation = kept.mean((0, 2, 3), keepdim=True), kept.std((0, 2, 3), keepdim=True).clamp(min=1e-6)
    x = (features - mean) / deviation
    given = torch.from_numpy(study.given) - 1
    train = torch.from_numpy(study.train)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(study.seed)
        head = nn.Sequential(
            nn.Conv2d(x.shape[1], 64, 3, padding=1),
            nn.GELU(),
            nn.Dropout2d(0.2),
            nn.Upsample(tuple(study.labels.shape[1:]), mode="bilinear"),
            nn.Conv2d(64, CLASSES, 1),
        )
        optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            F.cross_entropy(head(x[train]), given[train], ignore_index=-1).backward()
            optimizer.step()
    with torch.no_grad():
        predicted: Labels = head.eval()(x).argmax(1).numpy() + 1
    return predicted


def forest(study: Study, spectrum: NDArray[np.float32]) -> Labels:
    """Return what a random forest says of pixels [N*H*W,C]."""
    from sklearn.ensemble import RandomForestClassifier

    given = study.given.ravel()
    model = RandomForestClassifier(300, random_state=study.seed, n_jobs=1)
    model.fit(spectrum[given > 0], given[given > 0])
    predicted: Labels = model.predict(spectrum).reshape(study.labels.shape)
    return predicted


def score(labels: Labels, predicted: Labels) -> tuple[float, float, float]:
    """Return overall accuracy, macro F1 and mean intersection over union of labelled pixels."""
    from sklearn.metrics import f1_score, jaccard_score

    every = list(range(1, CLASSES + 1))
    return (
        float((labels == predicted).mean()),
        float(f1_score(labels, predicted, labels=every, average="macro", zero_division=0)),
        float(jaccard_score(labels, predicted, labels=every, average="macro", zero_division=0)),
    )


if __name__ == "__main__":
    from run import table

    print(table(rows()))
