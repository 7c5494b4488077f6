"""The command line of the published regression: train, test and predict, one after the other."""

from __future__ import annotations

import csv
import json
import math
import shutil

import numpy as np
import pytest
import rasterio
import regression_runs as small
import torch
from test_classes import Labelled

import spectrain
from spectrain import UNet
from spectrain.cli import main
from spectrain.config import load_config
from spectrain.core.errors import DataError, RunError
from spectrain.metrics.calibration import Recalibration
from spectrain.metrics.regression import LEVELS
from spectrain.tasks.regression import Regression
from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.inputs.measured_labels import with_measured
from spectrain.training.tested import Tested
from spectrain.training.testing import test as run_test

BOUNDS = ("lower bound of 90 %", "upper bound of 90 %")


def command(*words):
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    assert not stopped.value.code


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regression")
    a, b = small.write_pairs(folder)
    nothing = np.full((1, small.SIDE, small.SIDE), np.nan, "f4")  # a tile that no laser shot fell on
    np.save(b / "train" / "1.npy", nothing)
    words = f"--train_input_data_dir {a} --train_label_data_dir {b} --all_checkpoint_dir {folder / 'C'}"
    words += f" --out_dir {folder / 'D'} --nb_epoch 1 --batch_size 1 --num_ch 3 --num_workers 0"
    more = ["task.unit=Mg", "metric.bins=[80]"]
    command("train", "regression", *words.split(), *more, "general.device=cpu", "general.threads=1")
    return folder


def test_training_leaves_weights_and_validates(place):
    assert (place / "C" / "epoch_0001.pt").is_file()
    with (place / "D" / "metrics.csv").open() as file:
        row = {name: float(value) for name, value in list(csv.DictReader(file))[-1].items() if value}
    assert row["val/RMSE"] == row["rmse_valid"] > 0 and 0 <= row["coverage_90_valid"] <= 1
    meta = load_checkpoint(place / "D" / "checkpoints" / "best.pt")["meta"]
    labels = [np.load(path) for path in sorted((place / "B" / "train").iterdir())]
    assert meta["config"]["task"]["centre"] == pytest.approx([np.nanmean(labels, dtype=float)])
    assert meta["config"]["task"]["spread"] == pytest.approx([np.nanstd(np.array(labels, float))])


def test_training_ends_by_a_test_of_the_best_weights(place, tmp_path):
    """What the document promises in ``--out_dir``, and what the published trainer wrote there."""
    out = place / "D"
    found = json.loads((out / "test_results.json").read_text())
    predictions, targets, variances = (np.load(out / f"{name}.npy") for name in ("predictions", "targets", "variances"))
    labels = np.concatenate([np.load(path).ravel() for path in sorted((place / "B" / "test").iterdir())])
    np.testing.assert_array_equal(targets, labels[np.isfinite(labels)])
    assert found["RMSE"] == pytest.approx(np.sqrt(np.mean((predictions - targets) ** 2)), rel=1e-5)
    assert found["ME"] == pytest.approx(np.mean(predictions - targets), rel=1e-4)
    nll = np.mean((predictions - targets) ** 2 / variances + np.log(variances)) / 2
    assert found["gaussian_nll"] == pytest.approx(nll, rel=1e-4)
    assert {"MSE", "RMSE", "MAE", "ME", "gaussian_nll", "laplacian_nll", "loss"} <= set(found)
    assert f"RMSE: {found['RMSE']:.6g}\n" in (out / "results.txt").read_text()
    assert list((out / "log").glob("events.out.tfevents*"))
    command("test", out, "-o", tmp_path)
    tests = json.loads((tmp_path / "tests.json").read_text())
    assert tests["format"] == {"name": "spectrain.tests", "version": 1}
    again = tests["splits"]["test"]
    assert again["images"] == 2 and again["metrics"]["rmse"]["value"] == found["RMSE"]
    np.testing.assert_array_equal(np.load(tmp_path / "test" / "predictions.npy"), predictions)
    with (tmp_path / "test" / "calibration.csv").open() as file:
        rows = {row["interval"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["model", "scaled", "conformal"]
    assert float(rows["model"]["gaussian_nll"]) == pytest.approx(found["loss"], rel=1e-4)  # which is not scaled
    assert float(rows["scaled"]["gaussian_nll"]) == pytest.approx(nll, rel=1e-4)


def test_what_was_fitted_is_said_of_variances_and_of_values_alone(place, tmp_path, caplog):
    data = [f"dataset.path={place / 'A'}", f"dataset.labels_path={place / 'B'}", "general.device=cpu"]
    words = [*data, "general.threads=1", "hparams.epochs=1", "hparams.test_at_end=false", "model=pixel_net"]
    with caplog.at_level("INFO", logger="spectrain"):
        spectrain.train("regression", overrides=[*words, f"out_dir={tmp_path / 'V'}"])
        assert "variances times" in caplog.text and "90 % of them" not in caplog.text
        caplog.clear()
        spectrain.train("regression", overrides=[*words, "loss=mse", f"out_dir={tmp_path / 'M'}"])
    assert "variances times" not in caplog.text and "90 % of them lie within ± " in caplog.text
    found = {"loss": 1.0, "loss_mse": 2.0, "rmse": math.nan, "mae": 0.5, "mse": 2.0, "coverage_90": 0.8125}
    one = Tested(found, {}, {}, tmp_path, headline=Regression.headline)
    assert one.line() == "loss 1, mae 0.5, coverage_90 0.8125"
    assert Tested({"a": 1.0}, {}, {}, tmp_path).line() == "a 1"


def test_weights_are_tested_without_a_training(place, tmp_path):
    words = f"--train_input_data_dir {place / 'A'} --train_label_data_dir {place / 'B'} --all_checkpoint_dir {tmp_path}"
    words += " --skip_training true --num_ch 3 general.device=cpu general.threads=1 "
    trained = json.loads((place / "D" / "test_results.json").read_text())
    best = place / "D" / "checkpoints" / "best.pt"
    command("train", "regression", *words.split(), "--out_dir", tmp_path / "E", "--model_weights_path", best)
    found = json.loads((tmp_path / "E" / "test_results.json").read_text())
    assert found == pytest.approx(trained, rel=1e-4)
    assert json.loads((tmp_path / "E" / "run.json").read_text())["steps"] == 0

    (tmp_path / "E" / "results.txt").unlink()
    command("train", "regression", *words.split(), "--out_dir", tmp_path / "E")  # of the run that is there
    assert (tmp_path / "E" / "results.txt").is_file()

    with pytest.raises(RunError, match="nothing to test: no run in out_dir, and no weights"):
        flags = [word for word in words.split() if "=" not in word]
        spectrain.train("regression", flags=[*flags, "--out_dir", str(tmp_path / "F")])


def test_weights_that_are_tested_on_other_data_see_them_by_their_own_statistics(place, tmp_path):
    """As `spectrain test --data` does: those of other images would be other numbers."""
    for split in ("train", "val", "test"):
        for root in ("A", "B"):
            (tmp_path / root / split).mkdir(parents=True)
            for file in (place / root / split).iterdir():
                values = np.load(file)
                np.save(tmp_path / root / split / file.name, values + 3 if (root, split) == ("A", "train") else values)
    data = ["--train_input_data_dir", str(tmp_path / "A"), "--train_label_data_dir", str(tmp_path / "B")]
    words = [*data, "--skip_training", "true", "--num_ch", "3", "--out_dir", str(tmp_path / "D")]
    words += ["--model_weights_path", str(place / "D")]
    spectrain.train("regression", flags=words, overrides=["general.device=cpu", "general.threads=1"])
    ours, theirs = (np.load(folder / "D" / "predictions.npy") for folder in (tmp_path, place))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_other_data_are_tested_with_labels_that_lie_apart(place, tmp_path):
    for root in ("A", "B"):
        shutil.copytree(place / root / "test", tmp_path / root / "test")
    command("test", place / "D", "--data", tmp_path / "A", "--labels", tmp_path / "B", "-o", tmp_path / "T")
    found = [np.load(folder / "predictions.npy") for folder in (tmp_path / "T" / "test", place / "D")]
    np.testing.assert_array_equal(*found)
    with pytest.raises(RunError, match="labels are named without their images"):
        run_test(place / "D", labels=tmp_path / "B")
    with pytest.raises(DataError, match="regression needs labels") as caught:
        run_test(place / "D", tmp_path / "A", tmp_path / "U")
    assert "--labels" in str(caught.value.fix)


def test_the_test_is_drawn(place, tmp_path):
    command("test", place / "D", "-o", tmp_path)
    drawn = sorted(path.stem for path in (tmp_path / "test" / "pictures").iterdir())
    assert drawn == ["calibration", "confusion", "coverage", "regression_01", "regression_02", "retention"]
    page = (tmp_path / "index.html").read_text()
    for words in (
        "90 % holds",
        "as the model says",
        "of scaled variances",
        "conformal",
        "Predicted against true",
        "RMSE, Mg",
        "MSE, Mg²",
        "target, Mg",
        "2 bins of the target of test",
    ):
        assert words in page


def test_the_run_is_drawn(place):
    names = sorted(path.stem for path in (place / "D" / "plots").iterdir())
    assert names == [f"{name}_0001" for name in ("calibration", "confusion", "coverage", "regression", "retention")]
    page = (place / "D" / "report.html").read_text()
    headings = ["Predictions", "Error against predicted deviation", "Predicted against true", "Coverage of intervals"]
    at = [page.index(f">{heading}<") for heading in [*headings, "Error against the share kept"]]
    assert at == sorted(at)
    for title in ("RMSE, validation", "Coverage at 90 %, validation", "R², validation"):
        assert title in page


def test_a_scene_is_predicted(place, tmp_path):
    image = small.write_scene(tmp_path / "scene.tif")
    command("predict", place / "D", tmp_path / "scene.tif", "-o", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.descriptions == ("mean", "aleatoric", *BOUNDS) and set(file.dtypes) == {"float32"}
        mean, aleatoric, lower, upper = file.read()
    missing = np.isnan(image).all(0)
    assert missing.any() and (np.isnan(mean) == missing).all() and (np.isnan(aleatoric) == missing).all()
    labels = np.array([np.load(path) for path in (place / "B" / "train").iterdir()])
    assert abs(np.nanmean(mean) - np.nanmean(labels)) < 3 * np.nanstd(labels)  # in the unit of the labels
    assert (aleatoric[~missing] > 0).all()
    fitted = Recalibration.from_json(load_checkpoint(place / "D" / "checkpoints" / "best.pt")["meta"]["recalibration"])
    width = fitted.widths[0][LEVELS.index(0.9)] / fitted.factors[0] ** 0.5  # in deviations that are scaled
    assert np.isfinite(width)
    np.testing.assert_allclose((upper - lower)[~missing], 2 * width * aleatoric[~missing], rtol=1e-3)


def test_several_members_make_four_bands(place, tmp_path):
    small.write_scene(tmp_path / "scene.tif", 20, 30)
    copy = tmp_path / "copy.pt"
    shutil.copy(place / "D" / "checkpoints" / "last.pt", copy)
    made = spectrain.predict([place / "D", copy], tmp_path / "scene.tif", tmp_path / "map.tif")
    with rasterio.open(made.paths[0]) as file:
        assert file.descriptions == ("mean", "aleatoric", "epistemic", "predictive", *BOUNDS)
        mean, aleatoric, epistemic, predictive, _, _ = file.read()
    seen = np.isfinite(mean)
    np.testing.assert_allclose(predictive[seen] ** 2, aleatoric[seen] ** 2 + epistemic[seen] ** 2, rtol=1e-3)


def test_training_begins_from_weights_in_their_numbers(place, tmp_path):
    """As `--train_mode resume` means it: these weights, a fresh optimiser, and labels of elsewhere."""
    elsewhere = tmp_path / "y"
    for file in (place / "B").glob("*/*.npy"):
        (elsewhere / file.parent.name).mkdir(parents=True, exist_ok=True)
        np.save(elsewhere / file.parent.name / file.name, np.load(file) * 3)
    ours = place / "D" / "checkpoints" / "best.pt"
    words = f"--train_input_data_dir {place / 'A'} --train_label_data_dir {elsewhere} --all_checkpoint_dir {tmp_path}"
    words += f" --out_dir {tmp_path / 'D'} --nb_epoch 1 --train_mode resume --model_weights_path {ours}"
    words += " --optimizer SGD --save_checkpoint False optimizer.lr=1e-30 general.device=cpu general.threads=1"
    command("train", "regression", *words.split())
    before, after = load_checkpoint(ours), load_checkpoint(tmp_path / "D" / "checkpoints" / "last.pt")
    for name in ("centre", "spread"):
        assert after["meta"]["config"]["task"][name] == before["meta"]["config"]["task"][name]
    name = "network.meanlayer.conv.weight"
    torch.testing.assert_close(after["model"][name], before["model"][name], rtol=0, atol=0)
    assert not list(tmp_path.glob("epoch_*"))


def test_published_weights_speak_of_labels_as_they_are(tmp_path):
    torch.save({"epoch": 3, "model": UNet(num_ch=3).state_dict()}, tmp_path / "theirs.pth")
    words = ["--train_mode", "resume", "--model_weights_path", str(tmp_path / "theirs.pth")]
    cfg = with_measured(load_config("regression", flags=words), Labelled(np.array([[[30, 50]]], "f4")))
    assert (cfg.task.centre, cfg.task.spread) == ([0.0], [1.0])
    assert cfg.origins["task.centre"] == "the weights of model.init_from"


def test_tiles_that_batch_norm_cannot_take(tmp_path):
    a, b = small.write_pairs(tmp_path, side=16)
    words = [f"dataset.path={a}", f"dataset.labels_path={b}", "hparams.batch_size=1", "trackers=[]"]
    with pytest.raises(RunError, match="batch norm is left with one value a channel") as error:
        spectrain.train("regression", overrides=[*words, f"out_dir={tmp_path / 'R'}", "general.device=cpu"])
    assert error.value.where == "hparams.batch_size"


@pytest.mark.parametrize("words", ["general.debug=true", "hparams.overfit_batches=1"])
def test_a_trial_of_the_code_is_neither_recalibrated_nor_tested(place, tmp_path, words):
    data = [f"dataset.path={place / 'A'}", f"dataset.labels_path={place / 'B'}", "model=pixel_net", "trackers=[]"]
    data += [f"out_dir={tmp_path / 'R'}", "hparams.epochs=1", "hparams.batch_size=2", "general.device=cpu", words]
    run = spectrain.train("regression", overrides=data)
    assert run.status == "finished" and not (run.folder / "results.txt").exists()
    assert "recalibration" not in load_checkpoint(run.checkpoint("best"))["meta"]
