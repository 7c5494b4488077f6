"""SupCon learns what its labels say; an encoder that has collapsed is seen by every indicator."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

import spectrain
from spectrain.config import load_config
from spectrain.training.evaluate import evaluate
from spectrain.training.session import build_session

SIZE = 16
SMALL = [
    "model.backbone=resnet18",
    "model.stem=large",
    "model.feat_dim=16",
    "augmentation.crop=null",
    "augmentation.jitter=0",
    "hparams.batch_size=32",
    "optimizer=adamw",
    "optimizer.lr=1e-3",
    "general.device=cpu",
    "show_prediction=none",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Waves whose direction is the class, under a brightness that says nothing and varies far more."""
    path = tmp_path_factory.mktemp("waves") / "waves.h5"
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    rows = []
    with h5py.File(path, "w") as file:
        for split, count in (("train", 96), ("valid", 48)):
            kind = np.arange(count) % 2
            phase, bright = rng.uniform(0, 6, count), rng.normal(size=count)
            along = np.where(kind[:, None, None], x, y)
            images = np.sin(12 * along + phase[:, None, None]) + 5 * bright[:, None, None] * (x + y)
            file[split] = images[:, None].astype(np.float32)
            file[f"{split}_labels"] = kind
            rows.append(pd.DataFrame({"split": split, "index_in_split": np.arange(count), "bright": bright}))
    pd.concat(rows).to_csv(path.with_name("waves_meta.csv"), index=False)
    return path


def separation(embedded: Path, labels: np.ndarray) -> tuple[float, float]:
    """Share of validation images that are nearest to the mean of their class, and cosine within less between."""
    with h5py.File(embedded) as file:
        train, valid = file["train"][()], file["valid"][()]
    means = np.stack([train[np.arange(len(train)) % 2 == kind].mean(0) for kind in (0, 1)])
    right = (valid @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).argmax(1) == labels
    same = labels[:, None] == labels
    cosine = valid @ valid.T
    off = ~np.eye(len(valid), dtype=bool)
    return right.mean(), cosine[same & off].mean() - cosine[~same].mean()


@pytest.mark.slow
def test_supcon_separates_what_the_labels_separate(data, tmp_path):
    with h5py.File(data) as file:
        labels = file["valid_labels"][()]
    found = {}
    for method in ("simclr", "supcon"):
        words = [f"dataset.path={data}", *SMALL, f"task.method={method}", "augmentation.rotate=false"]
        run = spectrain.train(
            "contrastive",
            overrides=[*words, "hparams.epochs=20", "hparams.valid_interval=20", f"out_dir={tmp_path / method}"],
        )
        embedded = spectrain.embed(run.folder, output=tmp_path / f"{method}.h5", what="projection")
        found[method] = separation(embedded.path, labels)
    right, gap = found["supcon"]
    assert right > 0.95
    assert gap > 0.25
    assert gap > 1.5 * found["simclr"][1]


@pytest.fixture
def session(data):
    more = ["metric.probe=[bright,label]", "task.valid_group=24", "model.standardise=mean_std"]
    built = build_session(
        load_config("contrastive", overrides=[f"dataset.path={data}", *SMALL, *more], use_personal=False)
    )
    yield built
    built.close()


def indicators(session) -> dict[str, float]:
    return evaluate(session, session.valid, session.valid_order).values("valid") | session.probe(session)


def test_every_indicator_reacts_to_a_collapse(session):
    """The encoder's last layers are made to say the same of every image."""
    before = indicators(session)
    with torch.no_grad():
        for name, parameter in session.model.network.named_parameters():
            if name.startswith("encoder.layer4.1.") or name.startswith("encoder.layer4.0."):
                parameter.zero_()
        session.model.network.encoder.layer4[1].bn2.bias.fill_(1.0)
    found = indicators(session)
    assert found["alignment_valid"] == pytest.approx(0, abs=1e-9)
    assert found["alignment_valid"] < before["alignment_valid"]
    assert found["uniformity_valid"] == pytest.approx(0, abs=1e-6)
    assert found["uniformity_valid"] > before["uniformity_valid"]
    assert found["effective_rank_valid"] == pytest.approx(1, abs=1e-3)
    assert before["effective_rank_valid"] > 1.05
    assert found["embedding_std_valid"] == pytest.approx(0, abs=1e-6)
    assert found["embedding_std_valid"] < before["embedding_std_valid"]
    assert found["loss_valid"] == pytest.approx(math.log(2 * 24 - 1), rel=1e-5)
    for probe in ("knn", "linear"):
        assert found[f"{probe}_bright_valid"] < 0.01 < before[f"{probe}_bright_valid"]
        assert found[f"{probe}_label_valid"] == pytest.approx(0.5)  # no better than one class for all
