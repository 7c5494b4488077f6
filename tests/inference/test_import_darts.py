"""Models of DARTS, converted or as Lightning wrote them: the same function, and nothing in the file is run."""

from __future__ import annotations

import contextlib
import os
import pathlib

import numpy as np
import pytest
import rasterio
import segmentation_models_pytorch as smp
import torch
from exported_runs import BANDS, train, write_patches

import spectrain
from spectrain.cli import main
from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.core.targets import NoTarget
from spectrain.inference.exports.check import samples_of
from spectrain.inference.import_weights import import_weights
from spectrain.training.trained.model import load_trained

NAMES = ["red", "nir", "ndvi", "slope"]
FACTORS = {"red": 1 / 3000, "nir": 1 / 3000, "ndvi": 1 / 20000, "slope": 1 / 90}
MODEL = {"arch": "Unet", "encoder_name": "tu-test_resnet", "in_channels": 4, "classes": 1}


def network():
    torch.manual_seed(3)
    net = smp.create_model(**MODEL, encoder_weights=None, activation="sigmoid")
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def converted(path, **changes):
    config = {
        "input_combination": NAMES,
        "norm_factors": FACTORS,
        "model": dict(MODEL),
        "time": "2025-04-02",
        "name": "slumps",
        "model_framework": "smp",
    }
    torch.save({"config": {**config, **changes}, "statedict": network().state_dict()}, path)
    return path


class AttributeDict(dict):
    """Stands for Lightning's dict of hyperparameters, a class of its own."""


def lightning(path, config=None, extra=None, hyper=None):
    given = {
        "config": config
        or {"input_combination": NAMES, "model": {**MODEL, "encoder_weights": "imagenet"}, "norm_factors": FACTORS},
        "learning_rate": 3e-4,
        "gamma": 0.95,
        "focal_loss_alpha": 0.8,
        "focal_loss_gamma": 3.0,
        "run_id": "abc",
        "run_name": "slumps",
        "trial_name": None,
        "random_seed": 7,
        **(hyper or {}),
    }
    record = {
        "epoch": 41,
        "global_step": 4200,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{name}": value for name, value in network().state_dict().items()},
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"dirpath": pathlib.PurePosixPath("lightning_logs")}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-3}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": AttributeDict(given),
        **(extra or {}),
    }
    torch.save(record, path)
    return path


def probabilities(path, numbers):
    """The published prediction for numbers [B,C,H,W] as the pipeline has them."""
    factors = torch.tensor([FACTORS[name] for name in NAMES])[:, None, None]
    with torch.no_grad():
        return network()(numbers * factors)


@pytest.mark.parametrize("write", [converted, lightning])
def test_the_imported_model_is_the_same_function_of_physical_values(tmp_path, write):
    found = import_weights(write(tmp_path / "theirs.ckpt"), "darts", tmp_path / "ours.pt")
    top = torch.tensor([3000.0, 3000, 20000, 90])[:, None, None]
    numbers = torch.rand(2, 4, 64, 64, generator=torch.Generator().manual_seed(1)) * top
    image = numbers * torch.tensor([1e-4, 1e-4, 1e-4, 1])[:, None, None]
    image[:, 2] -= 1  # ndvi from its numbers
    batch = spectrain.Batch(image, torch.ones_like(image, dtype=bool), NoTarget(), torch.arange(2), all_valid=True)
    model = spectrain.load_trained_model(found.path)
    with torch.no_grad():
        torch.testing.assert_close(model(batch).sigmoid(), probabilities(found.path, numbers), atol=1e-5, rtol=0)
    assert [band.limits for band in model.bands] == [(0.0, 0.3), (0.0, 0.3), (-1.0, 1.0), (0.0, 90.0)]
    assert "ndvi -1 to 1" in str(found) and "spectrain predict" in str(found)


def test_what_the_training_was_is_kept(tmp_path):
    found = import_weights(lightning(tmp_path / "epoch=41.ckpt"), "darts", tmp_path / "ours.pt")
    trained = load_trained(found.path)
    cfg = trained.cfg
    assert (cfg.optimizer.lr, cfg.scheduler.name, cfg.scheduler.gamma) == (3e-4, "exponential", 0.95)
    loss = cfg.loss.build()
    assert (loss.weights, loss.gamma) == ({"focal": 1.0}, 3.0) and cfg.loss.alpha == 0.8
    assert (cfg.task.classes, cfg.task.ignore) == (2, [255, 2])
    assert (cfg.model.arch, cfg.model.encoder, cfg.model.standardise) == ("Unet", "tu-test_resnet", "limits")
    assert found.epoch == 41 and trained.meta["imported"]["options"]["run_id"] == "abc"


def test_bands_without_factors_are_those_of_later_versions(tmp_path):
    config = {"bands": ["red", "nir", "ndvi", "hillshade"], "model": MODEL}
    path = lightning(tmp_path / "later.ckpt", config)
    with pytest.raises(DataError, match="--limits hillshade=LOW:HIGH"):
        import_weights(path, "darts", tmp_path / "ours.pt")
    found = import_weights(path, "darts", tmp_path / "ours.pt", limits=["hillshade=0:255"])
    assert [band.limits for band in found.bands] == [(-0.1, 0.5), (-0.1, 0.5), (-1.0, 1.0), (0.0, 255.0)]
    renamed = import_weights(path, "darts", tmp_path / "b.pt", bands=["red", "nir", "ndvi", "slope"])
    assert renamed.bands.names == ("red", "nir", "ndvi", "slope")
    with pytest.raises(DataError, match="there is no band 'hilshade'"):
        import_weights(path, "darts", tmp_path / "c.pt", limits=["hilshade=0:255"])


def test_it_tests_predicts_and_trains_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = import_weights(converted(tmp_path / "theirs.ckpt"), "darts", tmp_path / "ours.pt").path
    patches = write_patches(tmp_path)
    (tested,) = spectrain.test(ours, patches, tmp_path / "tested", splits=["valid"])
    assert np.isfinite(tested["loss"]) and "jaccard" in " ".join(tested)
    rows = spectrain.open_patches(patches, "valid").read(np.array([0])).image[0]
    profile = {"count": 4, "height": 64, "width": 64, "dtype": "uint16", "crs": "EPSG:32633"}
    place = rasterio.transform.from_origin(360000, 5800000, 10, 10)
    with rasterio.open(tmp_path / "scene.tif", "w", "GTiff", transform=place, **profile) as file:
        file.write(rows)
        file.scales, file.offsets = (1e-4, 1e-4, 1e-4, 1e-2), (0, 0, -1, 0)
        for number, name in enumerate(NAMES, start=1):
            file.set_band_description(number, name)
    done = spectrain.predict(ours, tmp_path / "scene.tif", tmp_path / "map.tif", window=64)
    assert all(path.is_file() for path in done.paths)
    words = ["model.standardise=limits", f"model.init_from={ours}", "optimizer.lr=1e-12", "optimizer.weight_decay=0"]
    run = train(patches, tmp_path / "run", *words)
    on = load_trained(run).model.network.state_dict()
    for name, value in network().state_dict().items():
        if name.endswith("conv1.weight"):
            torch.testing.assert_close(on[name], value)


def test_a_scene_that_says_nothing_stores_reflectance_as_the_pipeline_has_it(tmp_path):
    config = {"bands": ["red", "nir"], "model": {**MODEL, "in_channels": 2}}
    torch.manual_seed(0)
    net = smp.create_model(**config["model"], encoder_weights=None)
    torch.save({"config": config, "statedict": net.state_dict()}, tmp_path / "theirs.ckpt")
    ours = import_weights(tmp_path / "theirs.ckpt", "darts", tmp_path / "ours.pt").path
    numbers = np.random.default_rng(0).integers(1, 5000, (2, 64, 64)).astype(np.uint16)
    place = rasterio.transform.from_origin(360000, 5800000, 10, 10)
    profile = {"count": 2, "height": 64, "width": 64, "dtype": "uint16", "crs": "EPSG:32633", "transform": place}
    with rasterio.open(tmp_path / "scene.tif", "w", "GTiff", **profile) as file:
        file.write(numbers)
        for number, name in enumerate(config["bands"], start=1):
            file.set_band_description(number, name)
    done = spectrain.predict(ours, tmp_path / "scene.tif", tmp_path / "map.tif", window=64, layers=["probability"])
    with rasterio.open(done.paths[0]) as file:
        found = file.read(1)
    x = torch.from_numpy((numbers * 1e-4 + 0.1) / 0.6)[None].float()  # reflectance from -0.1 to 0.5
    with torch.no_grad():
        wanted = net.eval()(x).sigmoid()[0, 0].numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_an_imported_model_is_exported_on_noise(tmp_path):
    ours = import_weights(converted(tmp_path / "theirs.ckpt"), "darts", tmp_path / "ours.pt").path
    made = spectrain.export(ours, "safetensors", tmp_path / "model")
    assert made.samples.startswith("noise within the statistics, for want of the run's data: ")
    back = spectrain.export(made.path, "pipeline", tmp_path, name="slumps")
    record = torch.load(back.path, weights_only=True)
    assert record["config"]["norm_factors"] == pytest.approx(FACTORS, rel=1e-6)
    for name, value in network().state_dict().items():
        assert torch.equal(record["statedict"][name], value), name


def test_what_is_not_known_of_an_imported_model_is_not_taken_for_granted(tmp_path):
    """Whether values were missing decides on folding, and the size of the training's images is that of no file."""
    later = {"bands": NAMES, "model": {**MODEL, "encoder_name": "tu-test_convnext"}}
    net = smp.create_model(**later["model"], encoder_weights=None)
    torch.save({"config": later, "statedict": net.state_dict()}, tmp_path / "theirs.ckpt")
    ours = import_weights(tmp_path / "theirs.ckpt", "darts", tmp_path / "ours.pt").path
    with pytest.raises(DataError, match="what is missing is 0"):
        spectrain.export(ours, "pipeline", tmp_path / "out")
    windows = {**MODEL, "encoder_name": "tu-test_maxvit"}
    net = smp.create_model(**windows, encoder_weights=None)
    torch.save({"config": {"bands": NAMES, "model": windows}, "statedict": net.state_dict()}, tmp_path / "w.ckpt")
    trained = load_trained(import_weights(tmp_path / "w.ckpt", "darts", tmp_path / "w.pt").path)
    step = trained.model.network.multiple
    assert samples_of(trained).image.shape[2:] == (-(-64 // step) * step,) * 2


def test_patches_stored_normalised_are_the_same_as_physical_ones(tmp_path):
    """The published layout stores values between 0 and 1: bands of limits 0 and 1 mean the same to the model."""
    ours = import_weights(converted(tmp_path / "theirs.ckpt"), "darts", tmp_path / "ours.pt").path
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    physical = write_patches(tmp_path / "a")
    widths = [1e-4 / 0.3, 1e-4 / 0.3, 1e-4 / 2, 0.01 / 90]
    bands = [
        Band(band.name, scale=width, nodata=band.nodata, limits=(0.0, 1.0))
        for band, width in zip(BANDS, widths, strict=True)
    ]
    normalised = write_patches(tmp_path / "b", bands=Bands(bands))
    one, other = (
        spectrain.test(ours, place, tmp_path / f"tested_{number}", splits=["valid"])[0]["loss"]
        for number, place in enumerate((physical, normalised))
    )
    assert other == pytest.approx(one, rel=1e-5)


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("place", ["beside", "in the hyperparameters", "as the weights"])
@pytest.mark.parametrize("how", ["system", "eval"])
def test_nothing_in_a_file_is_run(tmp_path, place, how):
    marker = tmp_path / "run"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    evil = Evil(os.system, f"touch {marker}") if how == "system" else Evil(eval, code)
    path = tmp_path / "theirs.ckpt"
    if place == "beside":
        lightning(path, extra={"callbacks": evil})
    elif place == "in the hyperparameters":
        lightning(path, hyper={"trial_name": evil})
    else:
        torch.save({"config": {"model": MODEL, "bands": NAMES}, "statedict": evil}, path)
    refused = how == "system" or place == "as the weights"
    with pytest.raises(DataError, match=r"refused|no weights") if refused else contextlib.nullcontext():
        import_weights(path, "darts", tmp_path / "ours.pt")
    assert not marker.exists()
    assert (tmp_path / "ours.pt").exists() != refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {**MODEL, "classes": 3}}, "has 3 outputs"),
        ({"model": {**MODEL, "decoder_channels": [1, 2]}}, "was built with decoder_channels"),
        ({"model": {**MODEL, "arch": "Unett"}}, "no decoder 'Unett'; did you mean 'Unet"),
        ({"model": {**MODEL, "arch": "FPN"}}, "weights do not fit the model"),
        ({"model": {"arch": "Unet"}}, "does not say which network"),
        ({"model_framework": "keras"}, "does not say which network"),
        ({"input_combination": NAMES[:3]}, "names 3 bands, and its network takes 4"),
        ({"norm_factors": {"red": 1 / 3000}}, "no factor for the band 'nir'"),
        ({"norm_factors": {**FACTORS, "nir": 0}}, "factor 0 of the band 'nir'"),
    ],
)
def test_what_is_no_such_model_is_told_in_one_message(tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        import_weights(converted(tmp_path / "theirs.ckpt", **changes), "darts", tmp_path / "ours.pt")
    assert not (tmp_path / "ours.pt").exists()


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    converted(tmp_path / "theirs.ckpt")
    with pytest.raises(SystemExit) as stopped:
        main(["import-weights", "theirs.ckpt", "--from", "darts", "-o", "ours.pt"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "Unet on tu-test_resnet, 4 bands (red, nir, ndvi, slope)" in said
    assert "spectrain predict ours.pt SCENE -o MAP.tif --window 1024" in said
