"""Bad and unusual input to contrastive training: one clear message and nothing left behind, or it simply works."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import h5py
import numpy as np
import pytest

import spectrain
from spectrain.cli import main

pytestmark = pytest.mark.usefixtures("narrow")

SMALL = [
    "model.backbone=resnet18",
    "model.stem=large",
    "model.feat_dim=8",
    "augmentation.crop=12",
    "augmentation.jitter=2",
    "hparams.batch_size=4",
    "hparams.epochs=1",
    "general.device=cpu",
    "show_prediction=none",
]


def images(path: Path, shape=(8, 1, 16, 16), labels=None, holes=None) -> Path:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for split in ("train", "valid"):
            values = rng.normal(size=shape).astype(np.float32)
            if holes is not None:
                values[holes] = np.nan
            file[split] = values
            if labels is not None:
                file[f"{split}_labels"] = labels
    return path


def words(path: Path, *more: str) -> list[str]:
    changed = {item.split("=", 1)[0] for item in more}
    return [f"dataset.path={path}", *(item for item in SMALL if item.split("=", 1)[0] not in changed), *more]


@pytest.fixture
def failure(tmp_path, monkeypatch, capsys):
    """Train by the command in an empty folder; return its message, after checking that nothing was left."""
    monkeypatch.chdir(tmp_path)

    def fails(*given: str) -> str:
        before = {item.name for item in tmp_path.iterdir()}
        with pytest.raises(SystemExit) as stopped:
            main(["train", "contrastive", *given])
        assert stopped.value.code == 1
        assert {item.name for item in tmp_path.iterdir()} == before
        message = capsys.readouterr().err
        assert "Traceback" not in message and "fault of spectrain" not in message
        return message

    return fails


def test_supcon_without_labels(tmp_path, failure):
    message = failure(*words(images(tmp_path / "a.h5"), "task.method=supcon"))
    assert "supcon needs one integer class an image" in message
    assert "dataset.labels_key" in message


def test_supcon_with_labels_that_are_no_classes(tmp_path, failure):
    path = images(tmp_path / "a.h5", labels=np.linspace(0, 1, 8).astype(np.float32))
    assert "supcon needs one integer class an image" in failure(*words(path, "task.method=supcon"))


def test_a_crop_larger_than_the_image(tmp_path, failure):
    message = failure(*words(images(tmp_path / "a.h5"), "augmentation.crop=40"))
    assert "a crop of 40 px does not fit into images of 16 x 16 px" in message
    assert "augmentation.crop" in message and "16 or less" in message


def test_cutouts_that_are_nothing_but_nan(tmp_path, failure):
    assert "no valid value" in failure(*words(images(tmp_path / "a.h5", holes=np.s_[:])))


def test_a_batch_of_one_is_warned_of(tmp_path, caplog):
    path = images(tmp_path / "a.h5")
    with caplog.at_level(logging.WARNING):
        run = spectrain.train("contrastive", overrides=words(path, "hparams.batch_size=1", f"out_dir={tmp_path / 'r'}"))
    assert "a batch of one image has no negatives" in caplog.text
    with h5py.File(run.folder / "curves.h5") as file:
        assert abs(file["loss_train"][0]) < 1e-5
        assert file["loss_valid"][0] > 0  # validation compares images all the same


@pytest.mark.parametrize("corners", ["reflect", "zero"])
def test_images_that_are_not_square(tmp_path, corners):
    path = images(tmp_path / "a.h5", shape=(8, 2, 16, 28))
    more = [f"augmentation.corners={corners}", f"out_dir={tmp_path / 'r'}"]
    run = spectrain.train("contrastive", overrides=words(path, *more))
    assert run.info["status"] == "finished"
    assert run.info["data"]["train"] == [8, 2, 16, 28]


def test_some_cutouts_that_are_nothing_but_nan(tmp_path):
    path = images(tmp_path / "a.h5", shape=(8, 3, 16, 16), holes=np.s_[2:4])
    run = spectrain.train("contrastive", overrides=words(path, "hparams.epochs=2", f"out_dir={tmp_path / 'r'}"))
    with h5py.File(run.folder / "curves.h5") as file:
        assert np.isfinite(file["loss_step_train"]).all()
        assert np.isfinite(file["alignment_valid"]).all()


def test_a_band_that_is_missing_in_some_cutouts(tmp_path):
    path = images(tmp_path / "a.h5", shape=(8, 3, 16, 16), holes=np.s_[::2, 1])
    more = ["augmentation.noise=[0.1,0.2,0.3]", "augmentation.demean=band", f"out_dir={tmp_path / 'r'}"]
    run = spectrain.train("contrastive", overrides=words(path, *more))
    assert math.isfinite(run.info["best"]["value"])
