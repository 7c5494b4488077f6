"""What is known of the data before a training: looked at once, by one process, and not at all where a run goes on."""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torch.distributed as dist
from steps_of import TASKS, config, write_data
from warm_processes import together

import spectrain
from spectrain.config import load_config
from spectrain.core.errors import DataError, RunError
from spectrain.data import statistics_cache
from spectrain.data.opening import open_patches
from spectrain.training.api import train_config
from spectrain.training.inputs import measured
from spectrain.training.processes.shared_work import from_main, on_each
from spectrain.training.session import build_session

WORLD = 2


@pytest.fixture
def passes(monkeypatch) -> list:
    """The split of each pass over data; nothing is kept between trainings."""
    return watched(monkeypatch)


def watched(patch) -> list:
    done = []
    original = statistics_cache.patches_statistics
    patch.setenv("SPECTRAIN_CACHE", "")
    patch.setattr(
        statistics_cache, "patches_statistics", lambda one, values: (done.append(one.split), original(one, values))[1]
    )
    return done


@pytest.fixture
def data(tmp_path) -> Path:
    return write_data(tmp_path / "toy.h5")


def of(data, *more):
    session = build_session(config(data, "toy_mean", *more))
    session.close()
    return session


def trained(data, folder, *more):
    cfg = config(data, "toy_mean", f"out_dir={folder}", "hparams.epochs=1", "scheduler=none", "trackers=[]", *more)
    return train_config(cfg)


def test_each_split_is_looked_at_once(passes, data):
    session = of(data)
    assert passes == ["train", "valid"]
    assert session.train.values.all_valid is session.valid.values.all_valid is False
    assert session.measured.complete == session.measured.valid["all_valid"] == [False]


def test_an_overfitted_batch_is_looked_at_once_for_both_its_uses(passes, data):
    session = of(data, "hparams.overfit_batches=1")
    assert passes == ["train"]
    assert session.measured.valid["all_valid"] == session.measured.complete


@pytest.mark.parametrize(("nodata", "looks"), [([], ["train"]), (["dataset.nodata=7"], ["train", "valid"])])
def test_integers_that_cannot_have_holes_are_not_looked_at_for_any(passes, tmp_path, nodata, looks):
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w") as file:
        file["train"] = file["valid"] = np.random.default_rng(0).integers(8, 90, (16, 2, 16, 16)).astype("u2")
    assert of(path, *nodata).valid.values.all_valid
    assert passes == looks


def test_patches_without_any_value_are_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SPECTRAIN_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).normal(size=(5, 2, 8, 8)).astype("f4")
    images[1:3], images[3, 0], images[4, :, 1:] = np.nan, np.nan, np.nan
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["train"] = images
    cfg = load_config("mae", overrides=[f"dataset.path={tmp_path / 'data.h5'}"])
    for _ in range(2):  # the second time from what was kept
        caplog.clear()
        measured.measure(cfg, open_patches(cfg.dataset.path, "train"), None, None)
        assert "data.h5, train: 2 of 5 patches have no valid value and teach nothing" in caplog.text
    assert list((tmp_path / "cache").rglob("*.json"))


def test_a_run_that_goes_on_looks_at_nothing(passes, data, tmp_path):
    run = trained(data, tmp_path / "run")
    before = list(passes)
    assert before == ["train", "valid"]
    meta = spectrain.load_checkpoint(run.checkpoint("last"))["meta"]
    assert meta["valid"]["all_valid"] == [False]
    spectrain.train(resume=run.folder, overrides=["hparams.epochs=2"], plugins=[str(TASKS)])
    assert passes == before


def test_a_checkpoint_of_before_and_other_validation_data_are_looked_at(passes, data):
    session = of(data)
    record = {"meta": {"fingerprint": session.measured.fingerprint, "statistics": session.statistics[0].to_json()}}
    known = session.measured.valid
    for valid, looks in (
        (None, 1),
        (known | {"fingerprint": "of others"}, 1),
        (known | {"transform": "log10"}, 1),
        (known, 0),
    ):
        passes.clear()
        record["meta"]["valid"] = valid
        found = measure(data, record)
        assert found.valid == known and found.statistics == session.statistics
        assert passes == ["valid"] * looks
    with pytest.raises(RunError, match="the data changed since the run began"):
        measure(data, {"meta": record["meta"] | {"fingerprint": "of others"}})


def measure(data, record):
    cfg = config(data, "toy_mean")
    train, valid = (open_patches(data, name, cfg.dataset) for name in ("train", "valid"))
    return measured.measure(cfg, train, valid, record)


def process(folder):
    """Say what this process found and looked at, and how each failure came to it."""
    dist.init_process_group("gloo")
    number = dist.get_rank()
    with pytest.MonkeyPatch.context() as patch:
        passes = watched(patch)
        session = of(Path(folder) / "toy.h5", "hparams.batch_size=4")
        result = {"passes": passes, "valid": session.measured.valid, "mean": session.statistics[0].mean}
    empty = Path(folder) / f"empty{number}.h5"
    for name, work in {
        "main, ours": lambda: from_main(lambda: fail(DataError("torn", where="here", fix="sew"))),
        "main, other": lambda: from_main(lambda: fail(OSError("no disk"))),
        "second alone": lambda: on_each(lambda: number == 1 and fail(DataError("torn", where="there"))),
        "empty band": lambda: of(Path(folder) / "empty.h5", "hparams.batch_size=4"),
        "no file": lambda: of(empty, "hparams.batch_size=4"),
    }.items():
        begin = time.monotonic()
        try:
            work()
        except Exception as error:
            result[name] = (type(error).__name__, str(error), time.monotonic() - begin)
    result["after"] = from_main(lambda: "still together")
    torch.save(result, f"{folder}/{number}.pt")
    dist.destroy_process_group()


def fail(error):
    raise error


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    write_data(folder / "toy.h5")
    with h5py.File(folder / "empty.h5", "w") as file:
        file["train"] = file["valid"] = np.full((8, 2, 16, 16), np.nan, np.float32)
    write_data(folder / "empty0.h5")  # the first machine has the data, the second does not
    together(process, str(folder), world=WORLD)
    return [torch.load(folder / f"{number}.pt") for number in range(WORLD)]


def test_the_main_process_looks_for_all(of_two):
    assert [one["passes"] for one in of_two] == [["train", "valid"], []]
    assert of_two[0]["mean"] == of_two[1]["mean"]
    assert of_two[0]["valid"] == of_two[1]["valid"]


@pytest.mark.parametrize(
    ("name", "kinds", "said"),
    [
        ("main, ours", ["DataError", "DataError"], "torn\n  where: here\n  mend:  sew"),
        ("main, other", ["OSError", "RunError"], "no disk"),
        ("second alone", ["DataError", "DataError"], "torn\n  where: there"),
        ("empty band", ["DataError", "DataError"], "has no valid value"),
        ("no file", ["DataError", "DataError"], "there is no such file or folder"),
    ],
)
def test_a_failure_of_one_process_reaches_all_at_once(of_two, name, kinds, said):
    found = [one[name] for one in of_two]
    assert [kind for kind, _, _ in found] == kinds
    assert all(said in text for _, text, _ in found)
    assert max(seconds for _, _, seconds in found) < 10
    assert [one["after"] for one in of_two] == ["still together"] * 2
