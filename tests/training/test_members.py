"""Several models by several seeds: trained, stopped and gone on with, recalibrated, tested and mapped as one."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import regression_runs as small

import spectrain
from spectrain.core.errors import RunError, UsageError
from spectrain.inspection.data_set import inspect
from spectrain.metrics.calibration import Recalibration
from spectrain.training import api, several
from spectrain.training.checkpoint import load_checkpoint, save_checkpoint
from spectrain.training.testing import test as run_test
from spectrain.training.trained.ensembles import read_ensemble
from spectrain.training.whole_run import StoppedError

pytestmark = pytest.mark.usefixtures("undrawn")

WORDS = ["model=pixel_net", "hparams.epochs=3", "hparams.batch_size=2", "trackers=[]", "general.device=cpu"]
WORDS += ["general.threads=1", "general.seed=7", "hparams.save_freq=0", "show_prediction=none", "optimizer.lr=3e-2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    small.write_pairs(folder, counts=(6, 4, 3))
    return folder


def begin(place, out, *more, **options):
    data = [f"dataset.path={place / 'A'}", f"dataset.labels_path={place / 'B'}", f"out_dir={out}"]
    return spectrain.train("regression", overrides=[*WORDS, *data, *more], **options)


@pytest.fixture(scope="module")
def made(place):
    return begin(place, place / "E", members=3)


def npy(folder, name):
    return np.load(folder / f"{name}.npy")


def test_members_differ_in_their_seed_alone(made):
    configs = [run.cfg for run in made.runs]
    assert [cfg.general.seed for cfg in configs] == [7, 8, 9]
    assert len({str(cfg.dataset) for cfg in configs}) == 1
    each = [npy(run.folder, "predictions") for run in made.runs]
    assert all(np.array_equal(npy(run.folder, "targets"), npy(made.folder, "targets")) for run in made.runs)
    assert not np.array_equal(each[0], each[1])
    np.testing.assert_allclose(npy(made.folder, "predictions"), np.mean(each, axis=0), rtol=1e-5)


def test_variances_are_those_of_the_mixture_recalibrated_as_one(made):
    record = read_ensemble(made.folder)
    fitted = Recalibration.from_json(record.recalibration)
    alone = [run_test(run.folder, output=made.folder / "raw" / run.run_id)[-1].folder for run in made.runs]
    factors = [Recalibration.from_json(meta_of(run)["recalibration"]).factors[0] for run in made.runs]
    variances = [npy(one, "variances") / factor for one, factor in zip(alone, factors, strict=True)]
    raw = np.mean(variances, axis=0) + np.var([npy(one, "predictions") for one in alone], axis=0)
    np.testing.assert_allclose(npy(made.folder, "variances"), raw * fitted.factors[0], rtol=1e-4)
    with (made.folder / "test" / "A" / "test" / "calibration.csv").open() as file:
        rows = {row["interval"]: row for row in csv.DictReader(file)}
    assert float(rows["model"]["z_rms"]) == pytest.approx(float(rows["scaled"]["z_rms"]) * fitted.factors[0] ** 0.5)
    found = json.loads((made.folder / "test_results.json").read_text())
    assert found["RMSE"] < max(json.loads((run.folder / "test_results.json").read_text())["RMSE"] for run in made.runs)
    assert "3 models as one" in (made.folder / "test" / "A" / "index.html").read_text()


def meta_of(run):
    return load_checkpoint(run.checkpoint("best"))["meta"]


def test_an_ensemble_maps_with_its_recalibration(made, tmp_path):
    image = small.write_scene(tmp_path / "scene.tif", 20, 30)
    seen = np.isfinite(image).any(0)
    whole = spectrain.predict(made.folder, tmp_path / "scene.tif", tmp_path / "one.tif", interval=0.68)
    loose = spectrain.predict([run.folder for run in made.runs], tmp_path / "scene.tif", tmp_path / "two.tif")
    (ours, names), (theirs, _) = read(whole.paths[0]), read(loose.paths[0])
    assert names == (
        "mean",
        "aleatoric",
        "epistemic",
        "predictive",
        *(f"{x} bound of 68 %" for x in ("lower", "upper")),
    )
    fitted = Recalibration.from_json(read_ensemble(made.folder).recalibration)
    np.testing.assert_allclose(ours[0][seen], theirs[0][seen], rtol=1e-6)
    np.testing.assert_allclose(ours[1:4, seen], theirs[1:4, seen] * fitted.factors[0] ** 0.5, rtol=1e-4)
    width = fitted.widths[0][1]
    np.testing.assert_allclose((ours[5] - ours[4])[seen], 2 * width * theirs[3][seen], rtol=1e-3)


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.descriptions


def test_stopped_members_go_on_where_they_were(made, place, monkeypatch, tmp_path):
    real, seen = several.whole_run, []

    def stopping(cfg, folder):
        seen.append(folder.name)
        if seen == ["model_1", "model_2"]:
            raise StoppedError
        return real(cfg, folder)

    monkeypatch.setattr(several, "whole_run", stopping)
    first = begin(place, tmp_path / "E", members=3)
    assert first.status == "interrupted" and not (tmp_path / "E" / "ensemble.json").exists()
    with pytest.raises(UsageError, match="go on with the options they began with"):
        spectrain.train(resume=tmp_path / "E", members=3)
    moved = shutil.move(tmp_path / "E", tmp_path / "moved")
    again = spectrain.train(resume=moved)
    assert again.status == "finished" and seen == ["model_1", "model_2", "model_1", "model_2", "model_3"]
    for name in ("predictions", "variances"):
        np.testing.assert_array_equal(npy(again.folder, name), npy(made.folder, name))


def interrupt(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_ctrl_c_after_the_training_of_a_member_is_gone_on_with(place, monkeypatch, tmp_path, caplog):
    """While it is recalibrated and tested, and while all are; what it says is of the whole."""
    caplog.set_level("INFO", logger="spectrain")
    out = tmp_path / "E"
    with monkeypatch.context() as patched:
        patched.setattr(api, "conclude", interrupt)
        first = begin(place, out, members=2)
    assert first.status == "interrupted" and json.loads((out / "model_1" / "run.json").read_text())["status"] == (
        "interrupted"
    )
    with monkeypatch.context() as patched:
        patched.setattr(several, "recalibration", interrupt)
        (tmp_path / "more.py").write_text("from pathlib import Path\nPath(__file__).with_suffix('.seen').touch()\n")
        second = spectrain.train(resume=out, plugins=[str(tmp_path / "more.py")])
    assert (tmp_path / "more.seen").exists()
    assert second.status == "interrupted" and not (out / "ensemble.json").exists()
    assert (out / "model_1" / "results.txt").is_file()
    said = [record.getMessage() for record in caplog.records if "continue with" in record.getMessage()]
    assert said == 2 * [f"stopped; continue with: spectrain train --resume {out}"]
    assert spectrain.train(resume=out).status == "finished" and read_ensemble(out).recalibration


@pytest.mark.parametrize("tried", ["debug", "overfit_batches"])
def test_an_ensemble_is_tested_where_a_run_would_be(made, tmp_path, monkeypatch, tried):
    """A run that only tries the code is not tested, whatever test_at_end says."""
    cfg = made.runs[0].cfg
    if tried == "debug":
        cfg = replace(cfg, general=replace(cfg.general, debug=True))
    else:
        cfg = replace(cfg, hparams=replace(cfg.hparams, overfit_batches=1))
    assert cfg.hparams.test_at_end and (made.folder / "test").is_dir()
    copy = shutil.copytree(made.folder, tmp_path / "E", ignore=shutil.ignore_patterns("test"))
    monkeypatch.setattr(several, "recalibration", lambda *given: None)
    several._conclude(cfg, copy, made.runs)
    assert read_ensemble(copy).checkpoints and not (copy / "test").exists()


def test_what_is_no_ensemble_is_refused(made, place, tmp_path):
    with pytest.raises(UsageError, match="1 members are no ensemble"):
        begin(place, tmp_path / "E", members=1)
    with pytest.raises(UsageError, match="a single run is continued as one"):
        spectrain.train(resume=made.runs[0].folder, members=2)
    with pytest.raises(RunError, match="the folder is not empty"):
        begin(place, made.folder, members=2)
    with pytest.raises(RunError, match="the task 'contrastive' are not put together"):
        spectrain.train("contrastive", overrides=[f"dataset.path={place}"], members=2)
    copy = shutil.copytree(made.folder, tmp_path / "copy")
    (copy / "model_2" / "checkpoints" / "best.pt").unlink()
    with pytest.raises(RunError, match=r"the ensemble lacks best.pt"):
        spectrain.test(copy)


def test_runs_that_keep_other_patches_are_refused(made, place, tmp_path):
    elsewhere = tmp_path / "other"
    small.write_pairs(elsewhere, counts=(4, 2, 2))
    (elsewhere / "A" / "test" / "0.npy").rename(elsewhere / "A" / "test" / "x.npy")
    (elsewhere / "B" / "test" / "0.npy").rename(elsewhere / "B" / "test" / "x.npy")
    other = begin(elsewhere, tmp_path / "run")
    with pytest.raises(RunError, match="keep different patches for 'test'"):
        spectrain.test([made.runs[0].folder, other.folder], output=tmp_path / "t")
    with pytest.raises(RunError, match="several runs have no folder of their own"):
        spectrain.test([run.folder for run in made.runs])


def test_a_model_that_is_named_twice_is_refused(made, tmp_path):
    one, two = made.runs[0].folder, made.runs[1].folder
    small.write_scene(tmp_path / "scene.tif", 20, 30)
    for runs in ([one, two, one], [made.folder, two], [one, one / "checkpoints" / "best.pt"]):
        with pytest.raises(RunError, match="is named twice"):
            spectrain.predict(runs, tmp_path / "scene.tif", tmp_path / "map.tif")
        with pytest.raises(RunError, match="is named twice"):
            run_test(runs, output=tmp_path / "test")


def test_runs_of_other_labels_or_units_are_refused(made, place, tmp_path):
    for root in ("A", "B"):
        shutil.copytree(place / root, tmp_path / root)
    one, other = made.runs[0].folder, begin(tmp_path, tmp_path / "X", "task.unit=m").folder
    run_test([one, other], output=tmp_path / "same")  # the same labels in another place
    for file in (tmp_path / "B" / "test").iterdir():
        np.save(file, np.load(file) / 3)
    with pytest.raises(RunError, match="other labels for the same patches of 'test'"):
        run_test([one, other], output=tmp_path / "test")
    small.write_scene(tmp_path / "scene.tif", 20, 30)
    feet = begin(place, tmp_path / "Y", "task.unit=ft").folder
    with pytest.raises(RunError, match="different units: ft and m"):
        spectrain.predict([feet, other], tmp_path / "scene.tif", tmp_path / "map.tif")


def test_runs_that_say_other_shares_are_mapped_by_one_that_is_named(made, tmp_path):
    one, other = made.runs[0].folder, tmp_path / "other.pt"
    record = load_checkpoint(made.runs[1].checkpoint("best"))
    record["meta"]["config"]["task"]["interval"] = 0.5
    save_checkpoint(
        other, {name: record[name] for name in ("model", "optimizer", "progress", "curves")}, record["meta"]
    )
    small.write_scene(tmp_path / "scene.tif", 20, 30)
    with pytest.raises(RunError, match="different shares") as caught:
        spectrain.predict([one, other], tmp_path / "scene.tif", tmp_path / "map.tif")
    assert "0.5" in caught.value.where and "0.9" in caught.value.where and "--interval" in caught.value.fix
    found = spectrain.predict([one, other], tmp_path / "scene.tif", tmp_path / "map.tif", interval=0.68)
    assert read(found.paths[0])[1][-1] == "upper bound of 68 %"
    run_test([one, other], output=tmp_path / "test")  # whose scores are of all shares


def test_where_one_run_is_wanted_an_ensemble_says_what_it_is(made, place, tmp_path):
    with pytest.raises(RunError, match="this is an ensemble of several runs"):
        spectrain.train("regression", overrides=["hparams.skip_training=true", f"out_dir={made.folder}"])
    with pytest.raises(RunError, match="ensemble of several runs"):
        inspect(made.folder)
    (tmp_path / "half").mkdir()
    shutil.copy(made.folder / "members.json", tmp_path / "half")
    for use in (inspect, run_test, lambda run: spectrain.predict(run, "scene.tif", tmp_path / "map.tif")):
        with pytest.raises(RunError, match="not all trained yet") as caught:
            use(tmp_path / "half")
        assert "spectrain train --resume" in str(caught.value.fix)
