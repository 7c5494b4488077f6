"""Weights of the published regression as checkpoints of ours: the same numbers, and nothing in a file is run."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest
import rasterio
import regression_runs as small
import torch
from model_contract import batch_of, images
from published_unet import published_forward, published_weights

import spectrain
from spectrain import UNet
from spectrain.cli import main
from spectrain.core.errors import DataError
from spectrain.inference.weights.agb import import_agb
from spectrain.models.weights import read_tensors
from spectrain.training.trained.model import load_trained

pytestmark = pytest.mark.usefixtures("narrow")

BANDS = 3


def checkpoint(path, scheduler="state", **changes):
    """What the published trainer writes: weights, and the states of Adam and of the cycles."""
    weights = published_weights(BANDS)
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.Adam([parameter], lr=1e-7, weight_decay=1e-8)
    schedule = torch.optim.lr_scheduler.CyclicLR(
        optimizer, 1e-7, 0.1, step_size_up=10, mode="triangular2", cycle_momentum=False
    )
    parameter.sum().backward()
    optimizer.step()
    schedule.step()
    record = {"epoch": 12, "model": weights, "optimizer": optimizer.state_dict()}
    forms = {"state": schedule.state_dict(), "object": schedule}
    forms["method"] = {**schedule.state_dict(), "scale_fn": schedule._triangular2_scale_fn}  # torch before 2.0
    record["lr_sched"] = forms[scheduler]
    torch.save(record | changes, path)
    return weights


@pytest.mark.parametrize("form", ["checkpoint", "bare", "several GPUs", "object", "method"])
def test_a_published_file_gives_the_published_numbers(tmp_path, form):
    path = tmp_path / "theirs.pt"
    weights = published_weights(BANDS)
    if form == "bare":
        torch.save(weights, path)
    elif form == "several GPUs":
        torch.save({"model": {f"module.{name}": value for name, value in weights.items()}, "epoch": 12}, path)
    else:
        checkpoint(path, "state" if form == "checkpoint" else form)
    made = import_agb(path, tmp_path / "ours.pt")
    assert made.epoch == (None if form == "bare" else 12)
    trained = load_trained(tmp_path / "ours.pt")
    assert trained.cfg.model.name == "unet" and trained.cfg.model.bilinear and trained.cfg.model.num_ch == BANDS
    assert trained.model.standardise == "none" and trained.meta["channels"] == 2
    image = images(1, BANDS, (35, 18))
    with torch.no_grad():
        found = trained.model(batch_of(image))
    mean, spread = published_forward(weights, image.numpy())
    np.testing.assert_allclose(found[:, 0], mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(torch.nn.functional.softplus(found[:, 1]), spread, rtol=1e-5, atol=1e-5)


def test_a_published_checkpoint_is_begun_from_as_it_is(tmp_path):
    """`--train_mode resume --model_weights_path FILE` reads it without an import."""
    weights = checkpoint(tmp_path / "theirs.pth")
    found = read_tensors(tmp_path / "theirs.pth")
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_learned_upsampling_is_seen_in_the_names(tmp_path):
    network = UNet(num_ch=2, bilinear=False)
    torch.save(network.state_dict(), tmp_path / "theirs.pt")
    made = import_agb(tmp_path / "theirs.pt", tmp_path / "ours.pt", ["vv", "vh"])
    trained = load_trained(tmp_path / "ours.pt")
    assert made.bands.names == ("vv", "vh") and not trained.cfg.model.bilinear
    image = images(1, 2, (16, 16))
    with torch.no_grad():
        assert torch.equal(trained.model(batch_of(image)), network.eval()(image))


def test_the_command_takes_it_and_the_checkpoint_is_predicted_by_as_it_was_trained(tmp_path, capsys):
    weights = checkpoint(tmp_path / "theirs.pt")
    ours = tmp_path / "ours.pt"
    with pytest.raises(SystemExit) as stopped:
        main(["import-weights", str(tmp_path / "theirs.pt"), "--from", "agb", "-o", str(ours)])
    assert not stopped.value.code
    assert f"spectrain predict {ours} SCENE -o MAP.tif --window 256" in capsys.readouterr().out
    image = images(1, BANDS, (24, 40)).numpy()
    place = rasterio.transform.from_origin(360000, 5800000, 10, 10)
    shape = {"count": BANDS, "height": 24, "width": 40, "dtype": "float32"}
    with rasterio.open(tmp_path / "scene.tif", "w", "GTiff", crs="EPSG:32633", transform=place, **shape) as file:
        file.write(image[0])
    spectrain.predict(ours, tmp_path / "scene.tif", tmp_path / "map.tif", window=64)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.descriptions == ("mean", "aleatoric", "lower bound of 90 %", "upper bound of 90 %")
        mean, deviation, lower, upper = file.read()
    np.testing.assert_allclose(upper - lower, 2 * 1.6448536 * deviation, rtol=1e-4)  # nothing was calibrated
    padded = np.zeros((1, BANDS, 64, 64), "f4")
    padded[:, :, :24, :40] = image
    expected, s = (found[0, :24, :40] for found in published_forward(weights, padded))
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(deviation, np.exp(s / 2), rtol=1e-4)  # s is the softplus, so above 1


def test_what_is_told(tmp_path):
    checkpoint(tmp_path / "theirs.pt")
    said = str(import_agb(tmp_path / "theirs.pt", tmp_path / "ours.pt"))
    assert "unet, 3 bands" in said and "epoch 12" in said
    assert (
        "the state of the optimiser and of its schedule is left out" in said and "above 1 in the squared unit" in said
    )


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("place", ["optimizer", "model", "weight"])
@pytest.mark.parametrize("how", ["system", "eval"])
def test_nothing_in_a_file_is_run(tmp_path, place, how):
    marker = tmp_path / "run"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    evil = Evil(os.system, f"touch {marker}") if how == "system" else Evil(eval, code)
    changes = {"model": {**published_weights(BANDS), "inc.evil": evil}} if place == "weight" else {place: evil}
    checkpoint(tmp_path / "theirs.pt", **changes)
    refused = how == "system" or place != "optimizer"
    with pytest.raises(DataError) if refused else contextlib.nullcontext():
        import_agb(tmp_path / "theirs.pt", tmp_path / "ours.pt")
    assert not marker.exists()
    assert (tmp_path / "ours.pt").exists() != refused


def changed(**changes):
    weights = published_weights(BANDS) | changes
    return {name: value for name, value in weights.items() if value is not None}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (lambda: {"model": "best"}, "holds no weights"),
        (lambda: {"model": {"encoder.conv1.weight": torch.zeros(3)}}, r"not the weights of the published U-Net(.|\n)*"),
        (lambda: {"epoch": 3}, "1 others, first epoch"),
        (lambda: changed(**{"inc.double_conv.0.weight": None}), "is missing or of another shape"),
        (lambda: changed(**{"stdlayer.out.0.bias": None}), "stdlayer.out.0.bias is missing"),
        (lambda: changed(**{"meanlayer.conv.weight": torch.zeros(1, 64, 1, 1)}), r"meanlayer.conv.weight is \[1, 64"),
        (lambda: changed(**{"up5.conv.weight": torch.zeros(1)}), "up5.conv.weight is of no such model"),
    ],
)
def test_what_is_no_such_model_is_told_in_one_message(tmp_path, record, words):
    torch.save(record(), tmp_path / "theirs.pt")
    with pytest.raises(DataError, match=words):
        import_agb(tmp_path / "theirs.pt", tmp_path / "ours.pt")
    assert not (tmp_path / "ours.pt").exists()


def test_a_name_for_each_band(tmp_path):
    checkpoint(tmp_path / "theirs.pt")
    with pytest.raises(DataError, match="2 bands are named, and the model takes 3"):
        import_agb(tmp_path / "theirs.pt", tmp_path / "ours.pt", ["a", "b"])


@pytest.mark.parametrize("imported", [False, True])
def test_weights_that_are_tested_or_trained_further_are_read_as_they_were_trained(tmp_path, imported):
    """Inputs as they are and the soft-plus, though the recipe standardises and bounds: else the numbers are others."""
    a, b = small.write_pairs(tmp_path)
    weights = checkpoint(tmp_path / "theirs.pth")
    file = tmp_path / "theirs.pth"
    if imported:
        file = tmp_path / "ours.pt"
        import_agb(tmp_path / "theirs.pth", file)
    words = ["--train_input_data_dir", str(a), "--train_label_data_dir", str(b), "--skip_training", "true"]
    words += ["--model_weights_path", str(file), "--out_dir", str(tmp_path / "D"), "--batch_size", "2"]
    run = spectrain.train("regression", flags=words, overrides=["general.device=cpu", "general.threads=1"])
    assert (run.cfg.model.standardise, run.cfg.loss.variance) == ("none", "published")
    names = sorted((a / "test").iterdir())
    image, label = (np.stack([np.load(root / "test" / one.name) for one in names]) for root in (a, b))
    mean, _ = published_forward(weights, image)
    kept = np.isfinite(label[:, 0])
    np.testing.assert_allclose(np.load(tmp_path / "D" / "predictions.npy"), mean[kept], rtol=1e-4, atol=1e-4)
