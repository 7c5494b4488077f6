"""The best trial trained on all folds: on which patches, for how long, tested on what, and going on after a stop."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from real_sweep import data, plan_of, trained

from spectrain.core.errors import DataError, SpectrainError
from spectrain.data.opening import open_patches
from spectrain.runs.run import Run
from spectrain.sweeps import retrain as module
from spectrain.sweeps.chosen import chosen_trial
from spectrain.sweeps.results import results_of
from spectrain.sweeps.retrain import retrain, retrain_config
from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.testing import held_out

DIES = """
import os, sys
from spectrain.sweeps.retrain import retrain
from spectrain.sweeps.sweep import open_sweep
from spectrain.training.loop import Training
end = Training.end_epoch
Training.end_epoch = lambda self: (end(self), self.save("last"), os._exit(9))
retrain(open_sweep(sys.argv[1]), device="cpu", seed=5)
"""
"""Ends without a word after its first epoch."""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrain")
    return trained(plan_of(data(folder / "data"), folder / "runs"), folder / "runs")


@pytest.fixture(scope="module")
def again(sweep):
    return retrain(sweep, device="cpu")


def test_all_folds_are_trained_on_and_nothing_is_held_out(sweep, again):
    run = Run.open(again)
    best = results_of(sweep).best[0]
    assert again.parent == sweep.folder.absolute() / "retrained" and again.name.startswith(f"tiny-{best}-")
    sizes = [Run.open(sweep.folder / one.folder).info["data"] for one in results_of(sweep).trials[best].runs]
    assert run.info["data"] == {"train": [sizes[0]["train"][0] + sizes[0]["valid"][0], *sizes[0]["train"][1:]]}
    assert run.cfg.dataset.fold == "all" and run.cfg.dataset.valid_key is None
    assert "dataset.fold" in run.cfg.origins and "sweep retrain" in (again / "config.yaml").read_text()
    whole = open_patches(run.cfg.dataset.path, "train", replace(run.cfg.dataset, fold=None, fold_method="given"))
    ours = open_patches(run.cfg.dataset.path, "train", run.cfg.dataset)
    assert ours.metadata()["patch_id"].tolist() == whole.metadata()["patch_id"].tolist()
    with pytest.raises(DataError, match=r"none is left to validate on(.|\n)*valid_key=null"):
        open_patches(run.cfg.dataset.path, "val", replace(run.cfg.dataset, valid_key="val"))


def test_the_last_epoch_is_the_model(again):
    best, last = (load_checkpoint(again / "checkpoints" / f"{name}.pt") for name in ("best", "last"))
    assert best["progress"]["epoch"] == last["progress"]["epoch"] == Run.open(again).cfg.hparams.epochs
    assert all((best["model"][name] == value).all() for name, value in last["model"].items())


def test_it_is_tested_on_what_is_held_out(again):
    record = json.loads((again / "test" / "data" / "tests.json").read_text())
    assert list(record["splits"]) == ["test"] and record["splits"]["test"]["images"] == 8


def test_a_finished_one_is_not_trained_again(sweep, again, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in again.rglob("*") if path.is_file()}
    assert retrain(sweep, device="cpu") == again
    assert {path: path.stat().st_mtime_ns for path in again.rglob("*") if path.is_file()} == before
    (again / "test" / "data" / "tests.json").unlink()  # it was killed while it was tested
    retrain(sweep, device="cpu")
    assert (again / "test" / "data" / "tests.json").is_file()


def test_one_that_was_killed_goes_on_in_its_folder(sweep, again):
    trial = results_of(sweep).trials[results_of(sweep).best[0]]
    cfg = retrain_config(sweep, trial, device="cpu", seed=5)
    folder = again.parent / f"{cfg.run_name}-{cfg.run_id}"
    paths = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", DIES, str(sweep.folder)]
    died = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=300)
    assert died.returncode == 9, died.stderr
    assert Run.open(folder).info["status"] == "running"
    assert retrain(sweep, device="cpu", seed=5) == folder != again
    assert Run.open(folder).info["status"] == "finished"
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + cfg.hparams.epochs


def test_epochs_are_the_mean_of_the_best_ones(sweep, monkeypatch):
    trial = results_of(sweep).trials[0]
    given = iter([1, 2])
    monkeypatch.setattr(module, "scored_epoch", lambda *_: next(given))
    cfg = retrain_config(sweep, trial)
    assert cfg.hparams.epochs == cfg.hparams.valid_interval == 2 and cfg.hparams.early_stopping_patience == 0
    last = replace(sweep, plan=replace(sweep.plan, score="last"))
    assert retrain_config(last, trial).hparams.epochs == 3


def test_a_schedule_that_waits_for_validations_is_warned_of(sweep, caplog):
    plan = replace(
        sweep.plan, overrides=(*(o for o in sweep.plan.overrides if "scheduler" not in o), "scheduler=plateau")
    )
    with caplog.at_level(logging.WARNING, "spectrain"):
        retrain_config(replace(sweep, plan=plan), results_of(sweep).trials[0])
    assert "scheduler=plateau waits for validations" in caplog.text


def test_tests_are_on_what_spectrain_prepare_kept(tmp_path):
    from test_prepared import prepare

    path = prepare(tmp_path / "prepared")
    plan = plan_of(path, tmp_path / "runs")
    assert held_out(plan.config().dataset) == ["val-test", "test"]
    assert held_out(replace(plan.config().dataset, path=str(prepare(tmp_path / "b", names=("cross-val",))))) == []


def test_without_folds_the_data_keep_their_validation(tmp_path, sweep):
    path = next(word for word in sweep.plan.overrides if word.startswith("dataset.path=")).partition("=")[2]
    single = trained(plan_of(path, tmp_path / "runs", folds=1), tmp_path / "runs")
    folder = retrain(single, trial=0, device="cpu")
    run = Run.open(folder)
    assert run.cfg.dataset.fold is None and run.info["data"]["valid"] and run.cfg.hparams.monitor == "loss_valid"
    assert (folder / "test" / "data" / "tests.json").is_file()


@pytest.mark.parametrize(
    ("number", "message"), [(7, "there is no trial 7"), (2, "trial 2 is waiting: 0 of its 2 runs are done")]
)
def test_trials_that_cannot_be_taken(sweep, number, message):
    found = results_of(sweep)
    found = replace(
        found, trials=(*found.trials, replace(found.trials[0], number=2, state="waiting", runs=sweep_runs(sweep)))
    )
    with pytest.raises(SpectrainError, match=rf"{message}(.|\n)*complete are"):
        chosen_trial(found, number)
    with pytest.raises(SpectrainError, match="no trial is complete yet"):
        chosen_trial(replace(found, trials=(), best=()), None)
    with pytest.raises(SpectrainError, match=r"the Pareto front is 0, 1(.|\n)*--trial 0"):
        chosen_trial(replace(found, best=(0, 1)), None)


def sweep_runs(sweep):
    return tuple(sweep.plan.runs)
