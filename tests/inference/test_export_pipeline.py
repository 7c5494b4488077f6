"""The converted checkpoint of DARTS: its keys, its factors, what it cannot express, and its way back."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from exported_runs import BANDS, train, write_patches

import spectrain
from spectrain.config import load_config
from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.inference.exports.pipeline import as_pipeline, place_pipeline
from spectrain.inference.weights.published_bands import PUBLISHED, from_pipeline, given_limits, limits_of
from spectrain.training.trained.model import load_trained


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return write_patches(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(patches, tmp_path_factory):
    return train(patches, tmp_path_factory.mktemp("runs") / "limits", "run_name=slumps", "model.standardise=limits")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return spectrain.export(run, "pipeline", tmp_path_factory.mktemp("out") / "converted")


def pipeline_numbers(patches):
    """What the pipeline has of the validation patches: reflectance and ndvi as 16-bit numbers, slope in degrees."""
    rows = spectrain.open_patches(patches, "valid")
    stored = rows.read(np.arange(len(rows))).image.astype(np.float64)
    hole = np.zeros(stored.shape, bool)
    hole[:, :3] = stored[:, :3] == 0
    numbers = stored.copy()
    numbers[:, 2] = (stored[:, 2] * 1e-4 - 1 + 1) * 1e4
    numbers[:, 3] = stored[:, 3] * 0.01
    return numbers, hole


def as_the_pipeline_does(record, numbers, hole):
    """Its inference: factors, NaN to 0, the network, the sigmoid."""
    config = record["config"]
    assert list(config["norm_factors"]) == config["input_combination"]
    model = smp.create_model(**config["model"], encoder_weights=None)
    model.load_state_dict(record["statedict"])
    factors = np.array([config["norm_factors"][name] for name in config["input_combination"]])[:, None, None]
    x = np.nan_to_num(np.where(hole, np.nan, numbers * factors))
    with torch.no_grad():
        return model.eval()(torch.from_numpy(x).float()).sigmoid()


def test_the_file_has_the_published_keys_and_factors(exported):
    day = time.strftime("%Y-%m-%d")
    assert exported.path.name == f"slumps_{day}.ckpt" and exported.path.parent.name == "converted"
    record = torch.load(exported.path, weights_only=True)
    assert list(record) == ["config", "statedict"]
    config = record["config"]
    names = ["red", "nir", "ndvi", "slope"]
    assert set(config) == {"input_combination", "norm_factors", "model", "time", "name", "model_framework"}
    assert (config["input_combination"], config["time"], config["name"]) == (names, day, "slumps")
    assert config["model_framework"] == "smp"
    wanted = {"arch": "Unet", "encoder_name": "tu-test_resnet", "in_channels": 4, "classes": 1}
    assert config["model"] == wanted
    assert config["norm_factors"] == pytest.approx({name: PUBLISHED[name].factor for name in names}, rel=1e-6)
    assert {name.partition(".")[0] for name in record["statedict"]} == {"encoder", "decoder", "segmentation_head"}


def test_the_pipeline_makes_of_it_what_the_run_makes_of_its_patches(run, exported, patches):
    numbers, hole = pipeline_numbers(patches)
    factors = np.array([PUBLISHED[name].factor for name in BANDS.names])[:, None, None]
    within = numbers.clip(0, 1 / factors)
    assert (within != numbers).any()
    found = as_the_pipeline_does(torch.load(exported.path, weights_only=True), within, hole)
    from spectrain.data.values import Values
    from spectrain.training.subject import source_of

    trained = load_trained(run)
    patches_valid = spectrain.open_patches(patches, "valid")
    task = trained.cfg.task.build(loss=trained.cfg.loss.build(), metric=None, plot=None)
    source = source_of(trained.cfg, patches_valid, task, torch.device("cpu"))
    with source.loader, torch.no_grad():
        (raw,) = source.loader.load([np.arange(len(patches_valid))])
        wanted = trained.model(Values(patches_valid.bands)(raw)).sigmoid()
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert exported.difference < 1e-4
    # the share that the data have beyond the limits, and that this is said
    assert "lie beyond the limits, where training cuts off and the pipeline does not" in exported.remarks[-1]
    share = float((within != numbers)[~hole].mean()) * 100
    assert exported.remarks[-1].startswith(f"{share:.3g} %")


def test_files_of_one_day_are_numbered(run, exported, tmp_path):
    again = spectrain.export(run, "pipeline", exported.path.parent)
    assert again.path.name == exported.path.name.replace(".ckpt", "_2.ckpt") and exported.path.exists()
    (tmp_path / "m").write_bytes(b"m")
    third = place_pipeline(tmp_path / "m", exported.path.parent, "slumps")
    assert third.name.endswith("_3.ckpt") and third.read_bytes() == b"m"
    named = spectrain.export(run, "pipeline", tmp_path, name="other")
    assert named.path.name.startswith("other_")


def test_a_subtraction_before_a_padded_layer_is_refused(patches, tmp_path):
    made = train(patches, tmp_path / "run")
    with pytest.raises(DataError, match="first layer pads images with 0") as raised:
        spectrain.export(made, "pipeline")
    assert "model.standardise=limits model.init_from=RUN" in str(raised.value)
    assert not (made / "export").exists() or not list((made / "export").iterdir())


def test_limits_whose_lower_one_is_not_the_pipelines_0_are_a_subtraction_too(tmp_path):
    bands = Bands([replace(band, limits=(-0.1, 0.5)) if band.name in ("red", "nir") else band for band in BANDS])
    patches = write_patches(tmp_path, bands=bands)
    made = train(patches, tmp_path / "run", "model.standardise=limits")
    with pytest.raises(DataError, match="limits of which the lower is 0 to the pipeline"):
        spectrain.export(made, "pipeline")


def test_a_subtraction_is_folded_where_nothing_is_padded(tmp_path):
    whole = write_patches(tmp_path, holes=False)
    made = train(whole, tmp_path / "run", "model.encoder=tu-test_convnext")
    exported = spectrain.export(made, "pipeline")
    assert exported.difference < 1e-4
    record = torch.load(exported.path, weights_only=True)
    numbers, hole = pipeline_numbers(whole)
    found = as_the_pipeline_does(record, numbers, hole & False)
    trained = load_trained(made)
    image = torch.from_numpy(numbers * [[[1e-4]], [[1e-4]], [[1e-4]], [[1.0]]] + [[[0]], [[0]], [[-1.0]], [[0]]])
    batch = spectrain.Batch(
        image.float(), torch.ones(image.shape, dtype=torch.bool), None, torch.arange(len(image)), all_valid=True
    )
    with torch.no_grad():
        wanted = trained.model(batch).sigmoid()
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert wanted.std() > 1e-3


def test_a_subtraction_is_not_folded_where_values_are_missing(patches, tmp_path):
    made = train(patches, tmp_path / "run", "model.encoder=tu-test_convnext")
    with pytest.raises(DataError, match="what is missing is 0"):
        spectrain.export(made, "pipeline")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["model.mask_channel=true"], "has no mask"),
        (["task.classes=3"], "two classes, and this model has 3"),
        (["dataset.transform=[log10,none,none,none]"], "'red' is transformed by log10"),
        (["model=dense", "model.stem=large", "model.width=32"], "and this is a DenseNetwork"),
    ],
)
def test_what_the_pipeline_cannot_express_is_refused(patches, tmp_path, words, reason):
    encoder = [] if words[0] == "model=dense" else ["model.standardise=limits"]
    made = train(patches, tmp_path / "run", *words, *encoder)
    with pytest.raises(DataError, match=reason):
        spectrain.export(made, "pipeline")


def test_a_model_of_values_is_refused(run):
    """Two quantities are no two classes."""
    trained, regression = load_trained(run), load_config("regression", use_personal=False).task
    with pytest.raises(DataError, match="the logits of a segmentation, and this is a model of the task 'regression'"):
        as_pipeline(replace(trained, cfg=replace(trained.cfg, task=regression)), 2, "values")


def test_where_the_pipelines_numbers_come_from():
    assert from_pipeline(Band("red", scale=1e-4, limits=(0.0, 0.3)), "none") == (1e-4, 0.0)
    assert from_pipeline(Band("red"), "reflectance") == (1e-4, 0.0)
    assert from_pipeline(Band("red", limits=(0.0, 1.0)), "none") == (1 / 3000, 0.0)  # published patches
    assert from_pipeline(Band("thermal", scale=0.1, offset=-3.0), "none") == (0.1, -3.0)
    scale, offset = from_pipeline(Band("ndvi", scale=5e-5, offset=-1.0, limits=(-1.0, 1.0)), "none")
    assert (scale * 20000 + offset, offset) == pytest.approx((1.0, -1.0))
    with pytest.raises(DataError, match="in numbers of its own"):
        from_pipeline(Band("ndvi"), "none")


def test_the_published_numbers_are_those_of_prepare():
    from spectrain.preparation.ingredients import LIMITS
    from spectrain.preparation.options import NORM_FACTORS, PRESETS

    assert {name: known.factor for name, known in PUBLISHED.items()} == NORM_FACTORS
    for name, known in PUBLISHED.items():
        assert known.limits == (tuple(PRESETS["s2"]["limits"]) if known.as_stored else LIMITS[name])


def test_limits_follow_from_factors():
    for name, known in PUBLISHED.items():
        assert limits_of(name, known.factor, "a") == pytest.approx(known.limits), name
    assert limits_of("red", 1 / 10000, "a") == pytest.approx((0.0, 1.0))
    assert limits_of("relative_elevation", 1 / 60000, "a") == pytest.approx((-50.0, 150.0))
    assert limits_of("thermal", 0.25, "a") == (0.0, 4.0)
    assert limits_of("dem", None, "a") == (-100.0, 3000.0)
    with pytest.raises(DataError, match="--limits hillshade=LOW:HIGH"):
        limits_of("hillshade", None, "a")
    assert given_limits(["a=0:255", "b=-1:1.5"]) == {"a": (0.0, 255.0), "b": (-1.0, 1.5)}
    for word in ("a", "a=1", "a=2:1", "=0:1", "a=x:y"):
        with pytest.raises(DataError, match="is no band with limits"):
            given_limits([word])


def test_it_comes_back_as_the_same_model(run, exported, tmp_path, patches):
    from spectrain.inference.import_weights import import_weights

    found = import_weights(exported.path, "darts", tmp_path / "back.pt")
    ours, back = load_trained(run).model, load_trained(found.path).model
    assert back.bands.names == ours.bands.names
    for one, other in zip(back.bands, ours.bands, strict=True):
        assert one.limits == pytest.approx(other.limits, rel=1e-6)
    for name, value in ours.network.state_dict().items():
        assert torch.equal(value, back.network.state_dict()[name]), name
    one, other = (
        spectrain.test(place, patches, tmp_path / name, splits=["valid"])[0]
        for place, name in ((run, "a"), (found.path, "b"))
    )
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert Bands(back.bands) and other.count == one.count
