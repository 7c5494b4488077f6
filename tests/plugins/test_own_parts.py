"""The parts that docs/extending.md shows train together, and each does what it says."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import spectrain
from spectrain.config.plugins import load_plugins
from spectrain.core import registry

PLUGIN = Path(__file__).with_name("own_parts.py")
CHOICES = ["model=two_layers", "loss=brier", "metric=sureness", "show_prediction=first_probability"]
CHOICES += ["augmentation=dim", "optimizer=sign_sgd", "scheduler=halving", "scheduler.every=1"]


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Parts that no other test sees."""
    monkeypatch.setattr(registry, "_REGISTERED", {})
    for name in [name for name in sys.modules if name.startswith("spectrain_plugin_")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def data(tmp_path) -> Path:
    draw = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 8), ("valid", 4)):
        arrays[split] = draw.normal(size=(count, 2, 16, 16)).astype(np.float32)
        arrays[f"{split}_labels"] = (arrays[split][:, 0] > 0).astype(np.uint8)
        arrays[split][:, :, 0] = np.nan  # a row that nobody measured
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def test_they_train_together(data, tmp_path):
    words = [f"dataset.path={data}", *CHOICES, f"out_dir={tmp_path / 'run'}", "hparams.epochs=3"]
    words += ["hparams.batch_size=4", "hparams.valid_interval=1", "general.device=cpu", "hparams.monitor=loss_valid"]
    run = spectrain.train("segmentation", overrides=[*words, "hparams.monitor_mode=min"], plugins=[PLUGIN])
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert len(rows) == 3 and float(rows[-1]["loss_valid"]) < float(rows[0]["loss_valid"])
    assert 0 <= float(rows[-1]["sureness_valid"]) <= 0.5
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.01, 0.005, 0.0025])
    assert (run.folder / "plots" / "segmentation_0003.png").stat().st_size > 1000
    model = spectrain.load_trained_model(run.folder)
    assert torch.isfinite(torch.cat([one.flatten() for one in model.parameters()])).all()


def test_the_reader_opens_its_file(data):
    load_plugins([PLUGIN])
    reader = registry.lookup("reader", "npz")
    assert reader.splits(data) == ["train", "valid"]
    patches = spectrain.open_patches(data, "valid")
    assert len(patches) == 4 and patches.read(np.array([3, 1])).labels.shape == (2, 16, 16)
