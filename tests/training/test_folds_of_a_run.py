"""A training on folds: what is kept of them, and which labels of the data do not count."""

from __future__ import annotations

import json

import numpy as np
import pytest
from memory_patches import MemoryPatches
from reader_contract import Content
from test_prepared import prepare, published

import spectrain
from spectrain.config import load_config
from spectrain.data.opening import open_patches
from spectrain.inspection.data_set import inspect
from spectrain.training.inputs.classes import with_classes
from spectrain.training.session import build_session
from spectrain.training.train import train

pytestmark = pytest.mark.usefixtures("undrawn")

SMALL = (
    *("hparams.epochs=1", "hparams.batch_size=4", "general.device=cpu", "model.encoder_weights=null"),
    *("hparams.valid_interval=1", "model.encoder=tu-test_resnet", "augmentation=none", "show_prediction=none"),
)


def scene(labels=(0, 1), count=10):
    """Return patches of 32 px whose labels follow from their first band."""
    random = np.random.default_rng(0)
    image = random.random((count, 3, 32, 32)).astype("f4")
    truth = (image[:, 0] > 0.5).astype("u1")
    truth[:, :4] = labels[-1]
    return Content(image, labels=truth)


def config(path, *overrides):
    return load_config("segmentation", overrides=[f"dataset.path={path}", *SMALL, *overrides], use_personal=False)


def test_the_folder_of_a_preparation_trains_at_once_by_its_documented_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = [f"p{row}" for row in range(10)]
    path = prepare(tmp_path / "prepared", scene(), folds=[(ids[:6], ids[6:])])
    run = train("segmentation", flags=["--train-data-dir", str(path)], overrides=SMALL)
    assert run.info["status"] == "finished"
    assert run.info["data"]["train"][0] == 6 and run.info["data"]["valid"][0] == 4
    assert not (run.folder / "splits.json").exists()  # these are with the data
    # other data are tested by their own word on what does not count
    found = spectrain.test(run.folder, published(tmp_path / "published", scene((0, 1, 2))), device="cpu")
    assert [one.split for one in found] == ["test"] and found[0].count == 10


def test_published_patches_train_with_two_ignored_and_folds_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = published(tmp_path / "published", scene((0, 1, 2)))
    cfg = ["dataset.fold_method=published", "dataset.fold=1", *SMALL]
    run = train("segmentation", overrides=[f"dataset.path={path}", *cfg])
    assert run.cfg.task.ignore == [255, 2] and run.cfg.task.classes == 2
    kept = json.loads((run.folder / "splits.json").read_text())
    assert len(kept["folds"]) == 5 and kept["folds"][1]["valid"] == ["cross-val/2", "cross-val/3"]
    again = config(path, f"dataset.splits={run.folder / 'splits.json'}", "dataset.fold=1").dataset
    valid = open_patches(path, "valid", again)
    assert valid.metadata()["patch_id"].tolist() == ["cross-val/2", "cross-val/3"]


def test_what_data_declare_is_ignored_beside_what_the_options_say(tmp_path):
    labels = np.zeros((4, 8, 8), "u1")
    labels[:, 0], labels[:, 1], labels[:, 2] = 1, 2, 7
    patches = MemoryPatches(np.ones((4, 1, 8, 8), "f4"), labels=labels)
    patches.labels = lambda index: labels[index]
    patches.preparation = {"labels": {"kind": "classes", "ignored": [2, 255]}}
    found = with_classes(config(tmp_path, "task.ignore=[7]"), [patches])
    assert found.task.ignore == [7, 2, 255] and found.task.classes == 2
    assert found.origins["task.ignore"].endswith("and 2, 255 of the data")
    again = with_classes(found, [patches])
    assert again.task == found.task and again.origins == found.origins


@pytest.mark.parametrize(
    ("make", "said", "command"),
    [
        (
            lambda folder: prepare(folder, scene(), folds=[(["p0"], ["p1", "p2"])]),
            ["`spectrain prepare` wrote", "0: 1 + 2", "cross-val: 10 patches", "test: 10 patches"],
            "spectrain train segmentation dataset.path={}",
        ),
        (
            lambda folder: published(folder, scene((0, 1, 2))),
            ["folder of DARTS patches", "ignored 12.5% (2)", "labels: 0 "],
            "spectrain train segmentation dataset.path={} dataset.fold_method=published",
        ),
    ],
)
def test_inspect_says_what_it_is_and_how_to_train_on_it(tmp_path, make, said, command):
    path = make(tmp_path / "data")
    text = str(inspect(path))
    for words in said:
        assert words in text
    assert f"train on it: {command.format(path)}" in text
    build_session(config(path, *command.split()[4:])).close()  # it does
