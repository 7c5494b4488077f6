"""The folds' models as one ensemble: what is in its folder, that it maps as its members do, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from map_runs import field, write_scene
from real_sweep import data, plan_of, trained

from spectrain.core.errors import RunError, SpectrainError
from spectrain.inference.predict import predict
from spectrain.sweeps import ensemble as module
from spectrain.sweeps.ensemble import ensemble
from spectrain.sweeps.results import results_of
from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.trained.ensembles import FILE, read_ensemble
from spectrain.training.trained.model import load_trained


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    return trained(plan_of(data(folder / "data"), folder / "runs"), folder / "runs")


@pytest.fixture
def made(sweep, tmp_path):
    return ensemble(sweep, output=tmp_path / "made")


def test_it_holds_the_best_checkpoint_of_each_run(sweep, made):
    runs = results_of(sweep).trials[results_of(sweep).best[0]].runs
    record = json.loads((made / FILE).read_text())
    assert record["format"] == {"name": "spectrain.ensemble", "version": 1} and record["sweep_id"] == "s1"
    assert [one["fold"] for one in record["members"]] == [0, 1] == [run.fold for run in runs]
    for one, run in zip(read_ensemble(made).checkpoints, runs, strict=True):
        assert one.name == f"{run.folder.rpartition('/')[2]}.pt"
        ours, theirs = load_checkpoint(one), load_checkpoint(sweep.folder / run.folder / "checkpoints" / "best.pt")
        assert ours["meta"] == theirs["meta"] and "optimizer" not in ours
        assert all(torch.equal(ours["model"][name], value) for name, value in theirs["model"].items())
    assert sorted(path.name for path in made.iterdir()) == sorted(
        [FILE, *(one.name for one in read_ensemble(made).checkpoints)]
    )


def test_it_maps_as_its_members_do_wherever_it_is(made, tmp_path):
    elsewhere = shutil.move(made, tmp_path / "else where")
    scene = write_scene(tmp_path / "scene.tif", field(64, 64, seed=3))
    one = predict(elsewhere, scene, tmp_path / "one.tif", device="cpu", plugins=["map_runs"])
    several = predict(
        read_ensemble(elsewhere).checkpoints, scene, tmp_path / "two.tif", device="cpu", plugins=["map_runs"]
    )
    for a, b in zip(one.paths, several.paths, strict=True):
        with rasterio.open(a) as ours, rasterio.open(b) as theirs:
            assert np.array_equal(ours.read(), theirs.read(), equal_nan=True)
            assert ours.tags()["SPECTRAIN_RUNS"].count("/") == 2
    assert "spread" in str(one.maps)


def test_by_default_it_lies_in_the_sweeps_folder_and_is_replaced(sweep):
    folder = ensemble(sweep)
    assert folder == sweep.folder / "ensemble" / f"tiny-{results_of(sweep).best[0]}"
    (folder / "of-an-older-one.pt").write_bytes(b"")
    assert ensemble(sweep) == folder and not (folder / "of-an-older-one.pt").exists()
    last = ensemble(replace(sweep, plan=replace(sweep.plan, score="last")), trial=0)
    assert last.name == "tiny-0" and len(read_ensemble(last).checkpoints) == 2


def test_one_model_is_wanted_and_it_is_several(made):
    with pytest.raises(RunError, match=r"an ensemble of several models(.|\n)*one of its checkpoints"):
        load_trained(made, ["map_runs"])


def test_a_run_or_checkpoint_that_is_gone(sweep, tmp_path):
    copy = replace(sweep, folder=tmp_path / "s1")
    shutil.copytree(sweep.folder, copy.folder, ignore=shutil.ignore_patterns("ensemble"))
    runs = results_of(sweep).trials[results_of(sweep).best[0]].runs
    (copy.folder / runs[1].folder / "checkpoints" / "best.pt").unlink()
    with pytest.raises(SpectrainError, match=r"no checkpoint best.pt"):
        ensemble(copy)
    shutil.rmtree(copy.folder / runs[0].folder)
    with pytest.raises(SpectrainError, match=r"1 of 2 run folders of the trial are not there(.|\n)*f0r42"):
        ensemble(copy)
    assert not (copy.folder / "ensemble" / f"tiny-{results_of(sweep).best[0]}").exists()


def test_another_folder_is_left_alone(sweep, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("mine")
    with pytest.raises(RunError, match="something else than an ensemble"):
        ensemble(sweep, output=tmp_path / "letters")
    assert (tmp_path / "letters" / "a.txt").read_text() == "mine"


def test_runs_of_several_tasks_are_refused(sweep, monkeypatch, tmp_path):
    tasks = iter(["segmentation", "map_regression"])
    before = module.load_checkpoint

    def loaded(path):
        found = before(path)
        found["meta"]["config"]["task"]["name"] = next(tasks)
        return found

    monkeypatch.setattr(module, "load_checkpoint", loaded)
    with pytest.raises(SpectrainError, match="several tasks: map_regression and segmentation"):
        ensemble(sweep, output=tmp_path / "e")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: next(folder.glob("*.pt")).unlink(), r"the ensemble lacks tiny-1-f"),
        (lambda folder: (folder / FILE).write_text("{"), "the ensemble cannot be read"),
        (lambda folder: (folder / FILE).write_text("[]"), "the ensemble cannot be read"),
        (lambda folder: (folder / FILE).write_text('{"format": {}}'), "does not say which format"),
        (lambda folder: change(folder, members=[]), "has no member"),
        (
            lambda folder: change(folder, format={"name": "spectrain.ensemble", "version": 2}),
            "has version 2 of the format",
        ),
    ],
)
def test_an_ensemble_that_is_damaged(made, tmp_path, spoil, message):
    spoil(made)
    scene = write_scene(tmp_path / "scene.tif", field(64, 64, seed=3))
    with pytest.raises(RunError, match=message):
        predict(made, scene, tmp_path / "one.tif", device="cpu", plugins=["map_runs"])


def change(folder, **facts):
    record = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(record | facts))
