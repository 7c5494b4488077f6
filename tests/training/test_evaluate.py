"""What validation says depends on the data and the weights, not on how the data were cut into batches."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from validation_of import validation_of, validation_of_all
from warm_processes import together

import spectrain
from spectrain.config import load_config
from spectrain.core.errors import DataError, RunError
from spectrain.training import probe
from spectrain.training.evaluate import evaluate
from spectrain.training.session import build_session

pytestmark = pytest.mark.usefixtures("narrow")

SMALL = [
    "model.backbone=resnet18",
    "model.stem=large",
    "model.feat_dim=8",
    "augmentation.crop=12",
    "augmentation.jitter=2",
    "hparams.batch_size=8",
    "general.device=cpu",
    "show_prediction=none",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Images whose slope is a column of the metadata and whose sign is their class."""
    path = tmp_path_factory.mktemp("slopes") / "slopes.h5"
    rng = np.random.default_rng(0)
    rows = []
    with h5py.File(path, "w") as file:
        for split, count in (("train", 40), ("valid", 22)):
            slope = rng.normal(size=count).astype(np.float32)
            column = np.linspace(-1, 1, 16, dtype=np.float32)
            noise = 0.05 * rng.normal(size=(count, 1, 16, 16)).astype(np.float32)
            file[split] = slope[:, None, None, None] * column + noise
            file[f"{split}_labels"] = (slope > 0).astype(np.uint8)
            names = np.where(slope > 0, "up", "down")
            rows.append(
                pd.DataFrame(
                    {
                        "split": split,
                        "index_in_split": np.arange(count),
                        "slope": slope,
                        "names": names,
                        "sign": (slope > 0).astype(int),
                        "holed": np.where(np.arange(count) % 3 == 0, np.nan, slope),
                        "constant": 1.0,
                    }
                )
            )
    pd.concat(rows).to_csv(path.with_name("slopes_meta.csv"), index=False)
    return path


def config(data: Path, *more: str):
    changed = {item.split("=", 1)[0] for item in more}
    ours = [item for item in SMALL if item.split("=", 1)[0] not in changed]
    return load_config("contrastive", overrides=[f"dataset.path={data}", *ours, *more], use_personal=False)


def evaluated(data: Path, *more: str) -> dict[str, float]:
    session = build_session(config(data, *more))
    try:
        return evaluate(session, session.valid, session.valid_order).values("valid")
    finally:
        session.close()


@pytest.mark.parametrize("method", ["simclr", "supcon"])
def test_a_validation_loss_does_not_depend_on_the_batch_size(data, method):
    found = [
        evaluated(data, f"task.method={method}", "task.valid_group=10", f"hparams.batch_size_valid={size}")
        for size in (2, 3, 5, 22, 64)
    ]
    for values in found[1:]:
        assert values == pytest.approx(found[0], rel=1e-5)


def test_a_validation_loss_depends_on_how_many_images_are_compared(data):
    few, many = (evaluated(data, f"task.valid_group={size}")["loss_valid"] for size in (4, 22))
    assert few < many < math.log(2 * 22 - 1) + 0.1


def test_an_image_without_a_valid_pixel_is_neither_anchor_nor_negative(data, tmp_path):
    """The loss is that of the data without it."""
    with h5py.File(data) as file:
        valid = file["valid"][()]
    values = []
    for name, fill in (("without", None), ("with", np.nan)):
        images = valid.copy()
        if fill is not None:
            # last, so that the other images keep their numbers, and with them their views
            images = np.concatenate([images, np.full((1, 1, 16, 16), fill, np.float32)])
        images[0, 0, 0, 0] = np.nan  # so that both know of missing values
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file["train"], file["valid"] = valid, images
        values.append(evaluated(path))
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_probes_are_in_the_curves(data, tmp_path):
    columns = ["slope", "names", "sign", "label", "holed", "constant"]
    more = [f"metric.probe=[{','.join(columns)}]", "metric.neighbours=5", "hparams.epochs=2"]
    more += ["optimizer.lr=1e-4", "augmentation.rotate=false", "augmentation.flip=false"]
    run = spectrain.train("contrastive", overrides=config_words(data, *more, f"out_dir={tmp_path / 'run'}"))
    with h5py.File(run.folder / "curves.h5") as file:
        curves = {name: file[name][()] for name in file}
    for column in columns:
        for kind in ("knn", "linear"):
            assert curves[f"{kind}_{column}_valid"].shape == (2,)
    assert curves["knn_slope_valid"][-1] > 0.5
    assert curves["linear_slope_valid"][-1] > 0.8
    for column in ("names", "sign", "label"):  # the same classes by three ways
        assert curves[f"knn_{column}_valid"][-1] == curves["knn_label_valid"][-1] > 0.8
        assert curves[f"linear_{column}_valid"][-1] > 0.8
    assert curves["linear_holed_valid"][-1] > 0.8
    assert np.isnan(curves["knn_constant_valid"]).all()


def config_words(data: Path, *more: str) -> list[str]:
    return [f"dataset.path={data}", *SMALL, *more]


def test_a_probe_can_decide_which_checkpoint_is_best(data, tmp_path):
    more = ["metric.probe=[slope]", "hparams.monitor=linear_slope_valid", "hparams.monitor_mode=max"]
    run = spectrain.train(
        "contrastive", overrides=config_words(data, *more, "hparams.epochs=1", f"out_dir={tmp_path / 'run'}")
    )
    assert run.info["best"]["monitor"] == "linear_slope_valid"
    with pytest.raises(RunError, match="linear_slope_valid"):
        spectrain.train("contrastive", overrides=config_words(data, "metric.probe=[slope]", "hparams.monitor=slope"))


def test_probes_do_not_disturb_the_training(data, tmp_path):
    weights = []
    for name, more in (("a", []), ("b", ["metric.probe=[slope,label]"])):
        words = config_words(data, *more, "hparams.epochs=2", f"out_dir={tmp_path / name}")
        run = spectrain.train("contrastive", overrides=words)
        weights.append(spectrain.load_checkpoint(run.checkpoint("last"))["model"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_probe_of_what_is_not_there(data):
    with pytest.raises(DataError, match=r"no column 'slopes'; did you mean 'slope'") as raised:
        build_session(config(data, "metric.probe=[slopes]"))
    assert "sign" in str(raised.value) and "label" in str(raised.value)


def test_the_labels_of_a_probe_are_read_without_their_images(monkeypatch):
    rows = np.arange(0, 1000, 3)
    asked = []

    class Labelled(SimpleNamespace):
        def labels(self, index):
            asked.append(len(index))
            return (index % 7).astype(self.dtype)

        def read(self, index):
            raise AssertionError("whole images are read for their labels")

    monkeypatch.setattr(probe, "_VALUES", 100 * 2 * 8 * 8)
    table = pd.DataFrame({"patch_id": np.arange(1000)})
    patches = Labelled(shape=(1000, 2, 8, 8), has_labels=True, metadata=lambda: table, split="train", dtype=np.uint8)
    np.testing.assert_array_equal(probe._column("label", patches, rows), rows % 7)
    assert asked == [100, 100, 100, 34]
    patches.dtype = np.float32
    with pytest.raises(DataError, match="not one class an image"):
        probe._column("label", patches, rows)


def test_a_probe_without_validation(data):
    with pytest.raises(DataError, match="judged on validation images"):
        build_session(config(data, "metric.probe=[slope]", "dataset.valid_key=null"))


def test_few_images_are_probed_evenly(data):
    session = build_session(config(data, "metric.probe=[slope]", "metric.probe_images=4"))
    assert session.probe.train_rows.tolist() == [0, 10, 20, 30]
    assert session.probe.valid_rows.tolist() == [0, 5, 11, 16]
    assert session.probe.names == ["knn_slope_valid", "linear_slope_valid"]
    assert all(math.isfinite(value) for value in session.probe(session).values())
    session.close()


@pytest.fixture(scope="module")
def cases(data) -> dict[str, list[str]]:
    more = ["task.method=supcon", "task.valid_group=9", "metric.probe=[slope,label]", "hparams.batch_size_valid=3"]
    return {parallel: config_words(data, *more, f"general.parallel={parallel}") for parallel in ("ddp", "fsdp")}


@pytest.fixture(scope="module")
def two_processes(cases, tmp_path_factory) -> dict[str, dict[str, float]]:
    """Every case once in a world of two processes, in one start."""
    out = tmp_path_factory.mktemp("two") / "found.json"
    together(validation_of_all, cases, out)
    return json.loads(out.read_text())


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_say_the_same_as_one(cases, two_processes, parallel):
    """The same images meet, although 22 are no multiple of anything; only uniformity looks at pairs of a process."""
    two, one = two_processes[parallel], validation_of(cases[parallel])
    assert {*two} == {*one} >= {"loss_valid", "knn_slope_valid", "linear_label_valid"}
    for name in {*one} - {"uniformity_valid"}:
        assert two[name] == pytest.approx(one[name], rel=1e-4, abs=1e-6), name
