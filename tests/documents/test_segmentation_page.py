"""What the document on segmentation promises of training and testing: its configuration file, flags, names."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import spectrain
from spectrain.cli import main
from spectrain.config import load_config
from spectrain.core.bands import Band, Bands
from spectrain.core.errors import SpectrainError
from spectrain.data.native.writer import NativeWriter
from spectrain.data.patches import Rows

HERE = Path(__file__).parent
PRINTED = HERE / "planet-sweep-config.toml"
BANDS = ["blue", "green", "red", "nir", "ndvi", "tc_brightness", "tc_greenness", "tc_wetness", "relative_elevation"]
BANDS += ["slope"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Patches with the bands of the document, in two splits."""
    import pandas as pd

    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("prepared")
    bands = Bands(Band(name, wavelength={"blue": 490.0, "red": 665.0}.get(name)) for name in BANDS)
    image = draw.integers(0, 3000, (12, 10, 32, 32)).astype(np.uint16)
    labels = (image[:, 4] > 1500).astype(np.uint8)
    labels[:, :3] = 255
    ids = [f"p{number}" for number in range(12)]
    table = pd.DataFrame({"patch_id": ids, "scene": [f"s{number // 3}" for number in range(12)], "region": "here"})
    splits = {"train": ids[:8], "valid": ids[8:]}
    with NativeWriter(folder / "data.zarr", bands) as writer:
        writer.append(Rows(image, None, labels), table)
        writer.commit(splits={"format": {"name": "spectrain.splits", "version": 1}, "splits": splits, "folds": []})
    return folder / "data.zarr"


def test_the_configuration_file_is_accepted_as_printed():
    cfg = load_config("segmentation", config=PRINTED, use_personal=False)
    assert cfg.hparams.epochs == 60 and cfg.hparams.batch_size == 6 and cfg.hparams.log_every == 100
    assert cfg.hparams.valid_interval == 5 and cfg.hparams.plot_interval == 4
    assert cfg.hparams.early_stopping_patience == 0 and cfg.general.num_workers == 16
    assert cfg.wandb.entity == "your-wandb-username" and cfg.wandb.project == "darts" and cfg.trackers == ["wandb"]
    assert cfg.augmentation.brightness == 0.2 and cfg.augmentation.dihedral
    assert str(cfg.dataset.path).endswith("planet_native_tcvis_896_partial")
    assert cfg.artifact_dir == "/large-storage/darts-nextgen/artifacts"
    assert cfg.dataset.bands == BANDS
    left = set(cfg.left_alone)
    assert {"sweep_db", "n_trials", "n_folds", "patch_size", "test_regions", "sweep_config"} <= left


# flag, its default there, where it goes, what it becomes
FLAGS = [
    ("fold", 3, "dataset.fold", 3),
    ("model-arch", "Segformer", "model.arch", "Segformer"),
    ("model-encoder", "dpn107", "model.encoder", "dpn107"),
    ("augment", "false", "augmentation.name", "none"),
    ("learning-rate", 0.001, "optimizer.lr", 0.001),
    ("gamma", 0.9, "scheduler.gamma", 0.9),
    ("focal-loss-alpha", 0.9, "loss.alpha", 0.9),
    ("focal-loss-gamma", 2.0, "loss.gamma", 2.0),
    ("batch-size", 8, "hparams.batch_size", 8),
    ("max-epochs", 100, "hparams.epochs", 100),
    ("log-every-n-steps", 10, "hparams.log_every", 10),
    ("check-val-every-n-epoch", 3, "hparams.valid_interval", 3),
    ("early-stopping-patience", 5, "hparams.early_stopping_patience", 5),
    ("plot-every-n-val-epochs", 5, "hparams.plot_interval", 5),
    ("random-seed", 42, "general.seed", 42),
    ("num-workers", 0, "general.num_workers", 0),
    ("device", "cpu", "general.device", "cpu"),
    ("wandb-group", "g", "wandb.group", "g"),
    ("artifact-dir", "lightning_logs", "artifact_dir", "lightning_logs"),
    ("run-name", "n", "run_name", "n"),
    ("run-id", "i", "run_id", "i"),
    ("trial-name", "t", "trial_name", "t"),
]


@pytest.mark.parametrize(("flag", "value", "key", "expected"), FLAGS, ids=lambda one: str(one))
@pytest.mark.parametrize("spelt", ["--{}", "--{}_"], ids=["hyphens", "underscores"])
def test_each_flag_is_known(flag, value, key, expected, spelt):
    name = flag.replace("-", "_") if spelt.endswith("_") else flag
    cfg = load_config("segmentation", flags=[f"--{name}", str(value)], use_personal=False)
    found = cfg
    for part in key.split("."):
        found = getattr(found, part)
    assert found == expected


def test_the_published_loss_and_schedule():
    flags = ["--focal-loss-gamma", "1.5", "--gamma", "0.997"]
    cfg = load_config("segmentation", flags=flags, use_personal=False)
    loss = cfg.loss.build()
    assert loss.weights == {"focal": 1.0} and loss.gamma == 1.5
    assert cfg.scheduler.build()(1.0, 20, 10, 60) == pytest.approx(0.997**2)


def test_it_trains_and_keeps_names_and_paths(prepared, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", "segmentation", "--config", str(PRINTED), "--train-data-dir", str(prepared), "--max-epochs", "2"]
    words += ["--model-encoder", "resnet18", "--check-val-every-n-epoch", "1", "--artifact-dir", "artifacts"]
    words += ["--run-name", "slumps", "--run-id", "abc", "--trial-name", "trial-1", "--num-workers", "0"]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "trackers=[]"])
    assert not stopped.value.code, capsys.readouterr().err
    folder = tmp_path / "artifacts" / "trial-1" / "slumps-abc"
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert len(rows) == 2
    names = ["Accuracy", "Precision", "Specificity", "Recall", "F1Score", "JaccardIndex", "CohenKappa"]
    names += ["HammingDistance", "AUROC", "AveragePrecision", "loss"]
    for name in names:
        assert rows[-1][f"val/{name}"] == rows[-1][f"val0/{name}"] != "", name
    assert rows[-1]["val/JaccardIndex"] == rows[-1]["jaccard_valid"] and rows[-1]["train/loss"]
    assert {path.stem.rsplit("_", 1)[0] for path in (folder / "plots").iterdir()} == {
        "segmentation",
        "confusion",
        "roc",
        "precision_recall",
    } or not list((folder / "plots").iterdir())
    cfg = load_config("segmentation", config=folder / "config.yaml", use_personal=False)
    assert cfg.task.classes == 2 and cfg.dataset.path == str(prepared)


def test_a_published_name_may_be_monitored(prepared, tmp_path):
    quick = [f"dataset.path={prepared}", "hparams.epochs=1", "hparams.valid_interval=1", f"out_dir={tmp_path / 'r'}"]
    run = spectrain.train("segmentation", overrides=[*quick, "hparams.monitor=val0/JaccardIndex"])
    assert (run.folder / "checkpoints" / "best.pt").is_file()
    with pytest.raises(SpectrainError, match="no value 'val/JacardIndex'"):
        spectrain.train("segmentation", overrides=[*quick[:3], "hparams.monitor=val/JacardIndex"])


def test_a_run_is_not_continued_by_an_option():
    with pytest.raises(SpectrainError, match=r"spectrain train --resume x\.ckpt"):
        load_config("segmentation", flags=["--continue-from-checkpoint", "x.ckpt"], use_personal=False)
