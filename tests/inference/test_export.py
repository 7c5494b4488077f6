"""Exports: each is the run's own function, says what it is, and is not left behind where it is not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported_runs import SIZE, train, write_patches

import spectrain
from spectrain.cli import main
from spectrain.core.batch import Batch
from spectrain.core.errors import DataError, RunError, SpectrainError
from spectrain.core.targets import NoTarget
from spectrain.inference.exports import check as export_check
from spectrain.inference.exports import graph as export_graph
from spectrain.inference.exports.check import TOLERANCE, difference, samples_of
from spectrain.training.trained.model import load_trained


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return write_patches(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(patches, tmp_path_factory):
    return train(patches, tmp_path_factory.mktemp("runs") / "smp", "run_name=slumps")


@pytest.fixture(scope="module")
def by_limits(patches, tmp_path_factory):
    return train(patches, tmp_path_factory.mktemp("runs") / "limits", "run_name=slumps", "model.standardise=limits")


def stored_batch(patches, split="valid"):
    """Physical images [B,C,H,W] and where they are valid, from the stored numbers by hand."""
    rows = spectrain.open_patches(patches, split)
    stored = rows.read(np.arange(len(rows))).image.astype(np.float64)
    valid = np.ones(stored.shape, bool)
    valid[:, :3] = stored[:, :3] != 0
    scale, offset = np.array([1e-4, 1e-4, 1e-4, 0.01]), np.array([0, 0, -1.0, 0])
    image = stored * scale[:, None, None] + offset[:, None, None]
    return torch.from_numpy(image).float(), torch.from_numpy(valid)


def logits_of(folder, patches):
    image, valid = stored_batch(patches)
    batch = Batch(image, valid, NoTarget(), torch.arange(len(image)), all_valid=False)
    with torch.no_grad():
        return spectrain.load_trained_model(folder)(batch)


# --- safetensors


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    return spectrain.export(run, "safetensors", tmp_path_factory.mktemp("exported") / "slumps").path


def test_an_exported_model_is_two_files_that_say_all(run, folder):
    from safetensors import safe_open

    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    said = json.loads((folder / "model.json").read_text())
    meta = load_trained(run).meta
    assert said["format"] == {"name": "spectrain.model", "version": 1}
    assert (said["task"], said["activation"], said["classes"]) == ("segmentation", "logits", ["class 0", "class 1"])
    assert [band["name"] for band in said["bands"]] == ["red", "nir", "ndvi", "slope"]
    assert said["standardisation"]["subtracted"] == pytest.approx(meta["statistics"]["mean"])
    for name in ("statistics", "config", "fingerprint", "run_name", "run_id", "preparation", "spectrain", "seed"):
        assert said[name] == meta[name], name
    held = spectrain.load_checkpoint(run / "checkpoints" / "best.pt")["model"]
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(held)
        assert all(torch.equal(file.get_tensor(name), value) for name, value in held.items())


def test_every_verb_takes_an_exported_model(run, folder, patches, tmp_path):
    assert torch.equal(logits_of(folder, patches), logits_of(run, patches))
    assert torch.equal(logits_of(folder / "model.json", patches), logits_of(run, patches))
    one, other = (spectrain.test(place, output=tmp_path / name) for place, name in ((run, "a"), (folder, "b")))
    assert one[0]["loss"] == other[0]["loss"]
    done = spectrain.embed(folder, output=tmp_path / "e.h5")
    assert done.paths[0].is_file()
    again = spectrain.export(folder, "safetensors", tmp_path / "again")
    assert (again.path / "model.json").read_text() == (folder / "model.json").read_text()


def test_a_training_begins_from_an_exported_model(folder, patches, tmp_path, caplog):
    made = train(
        patches, tmp_path / "on", f"model.init_from={folder}", "optimizer.lr=1e-12", "optimizer.weight_decay=0"
    )
    given = load_trained(folder).model.network.state_dict()
    trained = load_trained(made).model.network.state_dict()
    weights = [name for name in given if name.endswith("weight")]
    assert all(torch.allclose(given[name], trained[name], atol=1e-9) for name in weights)


def test_an_encoder_comes_from_an_exported_model(patches, tmp_path):
    words = ["model.backbone=resnet18", "model.stem=large", "model.feat_dim=8", "hparams.epochs=1"]
    words += ["hparams.batch_size=4", "general.device=cpu", "show_prediction=none", "metric=none"]
    first = train(patches, tmp_path / "one", *words, "augmentation=none", recipe="contrastive")
    shutil.rmtree(tmp_path / "model", ignore_errors=True)
    place = spectrain.export(first, "safetensors", tmp_path / "model").path
    from spectrain.config import load_config
    from spectrain.training.session import build_session

    cfg = load_config("contrastive", overrides=[f"dataset.path={patches}", *words[1:], f"model.backbone={place}"])
    assert cfg.model.backbone == str(place)
    model = build_session(cfg).model
    assert model.network.encoder.conv1.weight.shape[1] == 4
    given = load_trained(first).model.network.encoder.conv1.weight
    assert torch.equal(model.network.encoder.conv1.weight, given)


def test_a_newer_or_damaged_description_is_refused(folder, tmp_path):
    def changed(**what):
        place = tmp_path / "changed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
        said = json.loads((place / "model.json").read_text())
        (place / "model.json").write_text(json.dumps({**said, **what}))
        return place

    with pytest.raises(RunError, match=r"has version 2 of the format"):
        load_trained(changed(format={"name": "spectrain.model", "version": 2}))
    place = changed()
    (place / "model.json").write_text('{"format": ')
    with pytest.raises(RunError, match="cannot be read"):
        load_trained(place)
    (place / "model.json").write_text('{"format": {"name": "spectrain.model", "version": 1}}')
    with pytest.raises(RunError, match="lacks recipe, bands"):
        load_trained(place)
    place = changed()
    (place / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1000])
    with pytest.raises(RunError, match="weights of the exported model cannot be read"):
        load_trained(place)
    (place / "model.safetensors").unlink()
    with pytest.raises(RunError, match="weights of the exported model are missing"):
        load_trained(place)
    with pytest.raises(DataError, match=r"(?s)no statistics of version.*changed"):
        load_trained(changed(statistics={}))
    place = changed(bands=json.loads((folder / "model.json").read_text())["bands"][:3])
    with pytest.raises((RunError, ValueError, DataError)):
        load_trained(place)


# --- graphs


@pytest.fixture(scope="module")
def onnx_file(run, tmp_path_factory):
    return spectrain.export(run, "onnx", tmp_path_factory.mktemp("onnx") / "slumps.onnx")


def test_onnx_is_the_runs_function_of_physical_values(run, onnx_file, patches):
    image, valid = stored_batch(patches)
    session = onnxruntime.InferenceSession(str(onnx_file.path), providers=["CPUExecutionProvider"])
    given = torch.where(valid, image, torch.nan)
    found = session.run(["logits"], {"image": given.numpy()})[0]
    wanted = logits_of(run, patches)
    assert difference(torch.from_numpy(found), wanted) < TOLERANCE
    assert onnx_file.difference < TOLERANCE and "4 patches of the split 'valid'" in onnx_file.samples
    (taken,) = session.get_inputs()
    assert taken.shape == ["batch", 4, "height", "width"]


def test_onnx_takes_any_size(run, onnx_file):
    """It does not notice a size that it is wrong for, so a graph that was traced without padding would pass here."""
    session = onnxruntime.InferenceSession(str(onnx_file.path), providers=["CPUExecutionProvider"])
    model = spectrain.load_trained_model(run)
    assert "any size" in str(onnx_file)
    for count, height, width in ((1, 50, 71), (3, 96, 64), (2, 33, 128)):
        image = torch.rand(count, 4, height, width)
        batch = Batch(image, torch.ones_like(image, dtype=torch.bool), NoTarget(), torch.arange(count), all_valid=True)
        with torch.no_grad():
            wanted = model(batch)
        found = torch.from_numpy(session.run(None, {"image": image.numpy()})[0])
        assert difference(found, wanted) < TOLERANCE


def test_onnx_carries_bands_and_classes(onnx_file):
    said = {one.key: one.value for one in onnx.load(onnx_file.path).metadata_props}
    assert [band["name"] for band in json.loads(said["bands"])] == ["red", "nir", "ndvi", "slope"]
    assert json.loads(said["classes"]) == ["class 0", "class 1"]
    assert (said["task"], said["activation"]) == ("segmentation", "logits")


@pytest.mark.slow  # a second graph of the same network
def test_weights_that_are_too_large_for_an_onnx_file_lie_beside_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export_graph, "MOST_INLINE", 0)
    made = spectrain.export(run, "onnx", tmp_path / "m.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "m.onnx.data"}
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    assert session.run(None, {"image": np.zeros((1, 4, 40, 40), "f4")})[0].shape == (1, 1, 40, 40)
    assert made.size > 9e6


@pytest.mark.slow  # the masked autoencoder below goes the same way
def test_a_network_that_is_wrong_at_other_sizes_has_a_graph_of_its_own_size(patches, tmp_path):
    """UPerNet pools to fixed grids, which a tracer writes down for the size that it saw."""
    words = ["model.arch=UPerNet", "model.encoder=tu-test_convnext"]
    made = spectrain.export(train(patches, tmp_path / "run", *words), "onnx")
    assert made.remarks[0] == "takes images of 64 × 64 px" and made.difference < TOLERANCE
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 4, 64, 64]


def test_torch_export_is_the_same_and_carries_the_same(run, patches):
    made = spectrain.export(run, "torch-export")
    assert made.path == run / "export" / "model.pt2" and made.difference < TOLERANCE
    said = {"metadata.json": ""}
    module = torch.export.load(made.path, extra_files=said).module()
    image, valid = stored_batch(patches)
    found = module(torch.where(valid, image, torch.nan)).detach()
    assert difference(found, logits_of(run, patches)) < TOLERANCE
    assert json.loads(said["metadata.json"])["bands"][2]["limits"] == [-1.0, 1.0]
    assert made.remarks[0] == "takes any size of multiples of 32 px"
    assert module(torch.rand(3, 4, 96, 128)).shape == (3, 1, 96, 128)


SMP = ["model=smp", "model.encoder=tu-test_resnet"]


@pytest.mark.parametrize(
    ("words", "to", "layers"),
    [
        (SMP, "onnx", 2),
        pytest.param([*SMP, "loss=quantile", "loss.levels=[0.1,0.5,0.9]"], "torch-export", 2, marks=pytest.mark.slow),
        pytest.param(["model=unet", "loss=mse"], "onnx", 1, marks=pytest.mark.slow),
        pytest.param(["model=unet", "loss.variance=published"], "torch-export", 2, marks=pytest.mark.slow),
    ],
    ids=["smp-gaussian-onnx", "smp-quantile-torch", "unet-mse-onnx", "unet-published-torch"],
)
def test_a_regressions_values_and_variances_are_in_the_unit_of_the_labels(words, to, layers, tmp_path):
    patches = write_patches(tmp_path, values=True)
    run = train(patches, tmp_path / "run", *words, "task.names=[height]", "task.unit=m", recipe="regression")
    made = spectrain.export(run, to)
    assert made.difference < TOLERANCE
    image, valid = stored_batch(patches)
    given = torch.where(valid, image, torch.nan)
    if to == "onnx":
        (node,) = onnx.load(made.path).graph.output
        said = {one.key: one.value for one in onnx.load(made.path).metadata_props}
        session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
        assert node.name == "values" and json.loads(said["layers"]) == ["height", "variance of height"][:layers]
        found = torch.from_numpy(session.run(["values"], {"image": given.numpy()})[0])
    else:
        said = {"metadata.json": ""}
        found = torch.export.load(made.path, extra_files=said).module()(given).detach()
        assert json.loads(said["metadata.json"])["unit"] == "m"
    spectrain.test(run, splits=["valid"], output=tmp_path / "test")
    assert found.shape == (4, layers, SIZE, SIZE)
    # what the run's own test says of the same labelled pixels
    rows = spectrain.open_patches(patches, "valid")
    labels = torch.from_numpy(np.asarray(rows.read(np.arange(len(rows))).labels))
    counted = torch.isfinite(labels) & valid.any(1)
    wanted = np.load(next((tmp_path / "test").rglob("predictions.npy"))).ravel()
    torch.testing.assert_close(found[:, 0][counted], torch.from_numpy(wanted), rtol=1e-3, atol=1e-2)
    if layers == 2:
        variances = np.load(next((tmp_path / "test").rglob("variances.npy"))).ravel()
        torch.testing.assert_close(found[:, 1][counted], torch.from_numpy(variances), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("recipe", "to"),
    [
        pytest.param("mae", "torch-export", marks=pytest.mark.slow),
        pytest.param("mae", "onnx", marks=pytest.mark.slow),
        pytest.param("contrastive", "onnx", marks=pytest.mark.slow),
    ],
)
def test_models_without_labels_give_the_encoders_vector(recipe, to, patches, tmp_path):
    import h5py

    words = ["hparams.epochs=1", "hparams.batch_size=4", "general.device=cpu", "show_prediction=none", "metric=none"]
    if recipe == "contrastive":
        words += ["augmentation.crop=null", "augmentation.jitter=0", "augmentation.demean=band"]
        words += ["model.backbone=resnet18", "model.stem=large", "model.standardise=std"]
    else:
        words += ["model=mae_tiny", "model.patch_size=[16,2]", "model.encoder_depth=2", "model.decoder_depth=1"]
    run = train(patches, tmp_path / "run", *words, recipe=recipe)
    made = spectrain.export(run, to)
    assert made.remarks[0] == ("takes images of 64 × 64 px" if recipe == "mae" else "takes any size")
    image, valid = stored_batch(patches)
    given = torch.where(valid, image, torch.nan)
    if to == "onnx":
        session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(["embedding"], {"image": given.numpy()})[0])
    else:
        found = torch.export.load(made.path).module()(given).detach()
    with h5py.File(spectrain.embed(run, splits=["valid"], output=tmp_path / "e.h5").path) as file:
        wanted = torch.from_numpy(file["valid"][:])
    assert difference(found, wanted) < TOLERANCE


# --- what is compared, and what becomes of a failure


def test_logarithms_are_inside_and_physical_values_outside(patches, tmp_path):
    words = ["dataset.transform=[log10,none,none,log10]"]
    run = train(patches, tmp_path / "run", *words)
    made = spectrain.export(run, "torch-export")
    image, valid = stored_batch(patches)
    samples = samples_of(load_trained(run))
    torch.testing.assert_close(samples.image, torch.where(valid, image, torch.nan), equal_nan=True)
    assert torch.allclose(samples.batch.image[:, 3], image[:, 3].log10(), atol=1e-5)
    assert made.difference < TOLERANCE


def test_noise_stands_in_where_the_data_are_gone(run, tmp_path):
    trained = load_trained(run)
    cfg = replace(trained.cfg, dataset=replace(trained.cfg.dataset, path=str(tmp_path / "gone")))
    trained = replace(trained, cfg=cfg)
    samples = samples_of(trained)
    assert "noise" in samples.of and samples.image.shape[2:] == (SIZE, SIZE)
    low, high = (torch.tensor(trained.meta["statistics"][one])[:, None, None] for one in ("minimum", "maximum"))
    there = ~samples.image.isnan()
    assert ((samples.image >= low) | ~there).all() and ((samples.image <= high) | ~there).all()
    assert not there.all()


def test_a_difference_is_seen():
    wanted = torch.tensor([0.0, 2.0, torch.nan])
    assert difference(wanted, wanted) == 0
    assert difference(torch.tensor([0.0, 2.001, torch.nan]), wanted) == pytest.approx(5e-4, rel=1e-3)
    assert difference(torch.tensor([0.0, 2.0, 1.0]), wanted) == float("inf")
    assert difference(torch.tensor([0.0, torch.nan, torch.nan]), wanted) == float("inf")
    assert difference(torch.zeros(2), wanted) == float("inf")


@pytest.mark.parametrize(
    ("to", "name"),
    [("safetensors", "m"), pytest.param("torch-export", "m.pt2", marks=pytest.mark.slow), ("pipeline", "m.ckpt")],
)
def test_what_differs_is_not_kept(by_limits, to, name, tmp_path, monkeypatch):
    monkeypatch.setattr(export_check, "TOLERANCE", -1.0)
    with pytest.raises(RunError, match=r"differs from the run's model by .* of its output's range"):
        spectrain.export(by_limits, to, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_traced_says_so(run, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("no operator\nlong tail")

    monkeypatch.setattr(export_graph.torch.export, "export", fail)
    with pytest.raises(RunError, match="SmpNetwork cannot be made a graph: no operator\n"):
        spectrain.export(run, "onnx", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("to", "name"),
    [("safetensors", "m"), pytest.param("torch-export", "m.pt2", marks=pytest.mark.slow), ("pipeline", "m.ckpt")],
)
def test_a_full_disk_is_told_and_leaves_nothing(by_limits, to, name, tmp_path, monkeypatch):
    from spectrain.core import atomic

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic._Watched, "write", full)
    with pytest.raises(RunError, match="disk is full"):
        spectrain.export(by_limits, to, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_nothing_is_replaced_without_being_told(by_limits, tmp_path):
    first = spectrain.export(by_limits, "safetensors", tmp_path / "m")
    with pytest.raises(RunError, match="is there already"):
        spectrain.export(by_limits, "safetensors", tmp_path / "m")
    assert spectrain.export(by_limits, "safetensors", tmp_path / "m", overwrite=True).size == first.size
    with pytest.raises(RunError, match=r"ends in .pt2"):
        spectrain.export(by_limits, "torch-export", tmp_path / "m.pt")
    with pytest.raises(RunError, match="writes a folder"):
        spectrain.export(by_limits, "safetensors", tmp_path / "m.safetensors")
    with pytest.raises(RunError, match="did you mean 'onnx'"):
        spectrain.export(by_limits, "onx")


def test_the_command_says_what_it_wrote(by_limits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(by_limits), "--to", "pipeline", "-o", "out"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out.splitlines()
    (file,) = (tmp_path / "out").iterdir()
    assert said[0].startswith(f"out/{file.name}: pipeline, ") and said[0].endswith(" MB")
    assert "differs from the run's model by at most" in said[1] and "4 patches of the split 'valid'" in said[1]
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert "export" in capsys.readouterr().out


def test_a_missing_package_is_named(monkeypatch, run):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SpectrainError, match=r"'onnxruntime' is needed for --to onnx\n.*spectrain\[export\]"):
        spectrain.export(run, "onnx")
