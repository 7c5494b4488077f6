"""Published weights become a checkpoint of ours: the same function, and nothing in the file is run."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from published import OPTIONS, shapes, weights_of, write_published
from torch.nn import functional as F

import spectrain
from spectrain.cli import main
from spectrain.core.errors import DataError, RunError
from spectrain.inference.import_weights import import_weights
from spectrain.training.trained.model import load_trained

pytestmark = pytest.mark.usefixtures("narrow")


def forward(weights, x):
    """The published ResNet-18 in eval mode, from its raw weights: a slow, independent reading of its description."""

    def norm(x, name):
        parts = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts, training=False)

    def convolve(x, name, stride, padding):
        return F.conv2d(x, weights[f"{name}.weight"], stride=stride, padding=padding)

    x = F.relu(norm(convolve(x, "encoder.conv1", 1, 1), "encoder.bn1"))
    for stage in range(1, 5):
        for number in range(2):
            block = f"encoder.layer{stage}.{number}"
            stride = 2 if stage > 1 and number == 0 else 1
            y = F.relu(norm(convolve(x, f"{block}.conv1", stride, 1), f"{block}.bn1"))
            y = norm(convolve(y, f"{block}.conv2", 1, 1), f"{block}.bn2")
            if f"{block}.shortcut.0.weight" in weights:
                x = norm(convolve(x, f"{block}.shortcut.0", stride, 0), f"{block}.shortcut.1")
            x = F.relu(x + y)
    x = F.adaptive_avg_pool2d(x, 1).flatten(1)
    x = F.relu(F.linear(x, weights["head.0.weight"], weights["head.0.bias"]))
    return F.normalize(F.linear(x, weights["head.2.weight"], weights["head.2.bias"]), dim=1)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(("backbone", "millions"), [("resnet18", 11.496), ("resnet50", 27.958)])
def test_the_models_are_of_the_published_size(backbone, millions):
    counted = sum(
        torch.Size(shape).numel()
        for name, shape in shapes(backbone).items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    )
    ours = spectrain.SupConResNet(backbone)
    assert counted == sum(parameter.numel() for parameter in ours.parameters())
    # the description counts the ResNet-18 with a head of its own width; ours has the same layers
    assert counted / 1e6 == pytest.approx(millions, abs=0.003)
    assert {name: tuple(value.shape) for name, value in ours.state_dict().items()} == shapes(backbone)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("prefix", ["encoder.", "encoder.module.", "module.encoder."])
def test_the_imported_model_is_the_same_function(tmp_path, prefix):
    weights = write_published(tmp_path / "last.pth", "resnet18", prefix=prefix)
    found = import_weights(tmp_path / "last.pth", "nenya", tmp_path / "ours.pt")
    assert (found.backbone, found.feat_dim, found.epoch, len(found.bands)) == ("resnet18", 128, 12, 1)
    trained = load_trained(found.path)
    images = torch.randn(3, 1, 40, 40, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(trained.model.network(images), forward(weights, images), rtol=1e-4, atol=1e-5)


def test_the_configuration_is_that_of_the_options_in_the_file(tmp_path):
    write_published(tmp_path / "last.pth", "resnet18")
    found = import_weights(tmp_path / "last.pth", "nenya", tmp_path / "ours.pt", bands=["sst"])
    trained = load_trained(found.path)
    assert (trained.cfg.augmentation.crop, trained.cfg.augmentation.jitter) == (40, 5)
    assert (trained.cfg.scheduler.name, trained.cfg.scheduler.warm) == ("nenya", True)
    assert (trained.cfg.model.stem, trained.cfg.model.standardise) == ("small", "none")
    assert trained.cfg.dataset.path is None
    assert trained.model.bands.names == ("sst",)
    assert trained.meta["imported"]["epoch"] == 12
    assert trained.meta["imported"]["options"]["images_file"] == "x.h5"
    assert "optimiser is left out" in str(found)


def test_the_shapes_win_over_the_options(tmp_path):
    write_published(tmp_path / "last.pth", "resnet18", options={**OPTIONS, "ssl_model": "resnet50", "feat_dim": 7})
    found = import_weights(tmp_path / "last.pth", "nenya", tmp_path / "ours.pt")
    assert (found.backbone, found.feat_dim) == ("resnet18", 128)
    assert "ssl_model = resnet50" in str(found) and "feat_dim = 7" in str(found)


@pytest.mark.parametrize("options", [{}, {"temp": "hot", "learning_rate": [1]}, {"unheard_of": 3}])
def test_options_that_say_nothing_or_nonsense_do_not_matter(tmp_path, options):
    write_published(tmp_path / "last.pth", "resnet18", options=options)
    trained = load_trained(import_weights(tmp_path / "last.pth", "nenya", tmp_path / "ours.pt").path)
    assert trained.cfg.augmentation.crop is None


@pytest.mark.parametrize("epoch", ["last", 3.5, True, torch.tensor(3)])
def test_an_epoch_that_is_no_number_is_none(tmp_path, epoch):
    write_published(tmp_path / "last.pth", "resnet18", extra={"epoch": epoch})
    found = import_weights(tmp_path / "last.pth", "nenya", tmp_path / "ours.pt")
    assert found.epoch is None
    assert load_trained(found.path).meta["imported"]["epoch"] is None


def test_what_is_there_is_replaced_only_where_that_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_published(tmp_path / "last.pth", "resnet18")
    (tmp_path / "ours.pt").write_bytes(b"mine")
    with pytest.raises(RunError, match="is there already"):
        import_weights("last.pth", "nenya", "ours.pt")
    with pytest.raises(RunError, match="is a folder"):
        import_weights("last.pth", "nenya", tmp_path, overwrite=True)
    words = ["import-weights", "last.pth", "--from", "nenya", "-o", "ours.pt"]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 1 and "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "ours.pt").read_bytes() == b"mine"
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--overwrite"])
    assert not stopped.value.code
    assert load_trained("ours.pt").meta["imported"]["system"] == "nenya"


def test_a_bare_state_dict_will_do(tmp_path):
    torch.save(weights_of("resnet18", channels=4), tmp_path / "bare.pth")
    found = import_weights(tmp_path / "bare.pth", "nenya", tmp_path / "ours.pt")
    assert (len(found.bands), found.epoch) == (4, None)


def test_a_linear_head(tmp_path):
    weights = {name: value for name, value in weights_of("resnet18").items() if not name.startswith("head")}
    weights |= {"head.weight": torch.randn(20, 64), "head.bias": torch.zeros(20)}
    write_published(tmp_path / "last.pth", "resnet18", weights=weights)
    found = import_weights(tmp_path / "last.pth", "nenya", tmp_path / "ours.pt")
    assert (found.feat_dim, load_trained(found.path).cfg.model.head) == (20, "linear")


def test_a_grey_image_shown_three_times_is_folded_into_one_band(tmp_path):
    weights = write_published(tmp_path / "last.pth", "resnet18", weights=weights_of("resnet18", channels=3))
    found = import_weights(tmp_path / "last.pth", "nenya", tmp_path / "ours.pt", fold_grey=True)
    grey = torch.randn(2, 1, 24, 24, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ours = load_trained(found.path).model.network(grey)
        torch.testing.assert_close(ours, forward(weights, grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)
    write_published(tmp_path / "one.pth", "resnet18")
    with pytest.raises(DataError, match="1 channels: there is no repeated grey"):
        import_weights(tmp_path / "one.pth", "nenya", tmp_path / "x.pt", fold_grey=True)


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("place", ["beside", "within the options", "instead of the weights"])
@pytest.mark.parametrize("how", ["system", "eval", "open"])
def test_nothing_in_a_file_is_run(tmp_path, place, how):
    marker = tmp_path / "run"
    evil = {
        "system": Evil(os.system, f"touch {marker}"),
        "eval": Evil(eval, f"__import__('pathlib').Path({str(marker)!r}).touch()"),
        "open": Evil(open, str(marker), "w"),
    }[how]
    path = tmp_path / "last.pth"
    if place == "beside":
        write_published(path, "resnet18", extra={"surprise": evil})
    elif place == "within the options":
        write_published(path, "resnet18", options={**OPTIONS, "temp": evil})
    else:
        torch.save({"model": evil}, path)
    # torch refuses a module such as os outright; all other names become objects that do nothing
    refused = how == "system" or place == "instead of the weights"
    with pytest.raises(DataError, match=r"refused|no weights") if refused else contextlib.nullcontext():
        import_weights(path, "nenya", tmp_path / "ours.pt")
    assert not marker.exists()
    assert (tmp_path / "ours.pt").exists() != refused


def damaged(path: Path, kind: str) -> None:
    weights = weights_of("resnet18")
    if kind == "nothing there":
        return
    if kind == "truncated":
        write_published(path, "resnet18")
        path.write_bytes(path.read_bytes()[:100_000])
    elif kind == "no checkpoint":
        path.write_bytes(b"just some text")
    elif kind == "a list":
        torch.save([1, 2], path)
    elif kind == "of another model":
        torch.save({"model": {"layer.weight": torch.ones(2)}}, path)
    elif kind == "a weight missing":
        del weights["encoder.layer2.0.conv2.weight"]
        torch.save({"model": weights}, path)
    elif kind == "a weight too many":
        torch.save({"model": {**weights, "encoder.layer2.0.conv9.weight": torch.ones(2)}}, path)
    elif kind == "a wrong shape":
        torch.save({"model": {**weights, "encoder.layer2.0.conv2.weight": torch.ones(2)}}, path)
    elif kind == "a large stem":
        torch.save({"model": {**weights, "encoder.conv1.weight": torch.ones(8, 1, 7, 7)}}, path)
    else:
        torch.save(OrderedDict(model=OrderedDict(weights)), path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nothing there", "there is no such file"),
        ("truncated", "damaged"),
        ("no checkpoint", "damaged, or was not written by torch 1.6"),
        ("a list", "holds no checkpoint"),
        ("of another model", "not the weights of a contrastive ResNet"),
        ("a weight missing", "encoder.layer2.0.conv2.weight is missing"),
        ("a weight too many", "conv9.weight is of no such model"),
        ("a wrong shape", r"is \[2\], not \[16, 16, 3, 3\]"),
        ("a large stem", r"behind a first layer \[8, 1, 7, 7\]"),
        ("older than torch 1.6", "saved anew"),
    ],
)
def test_what_is_no_such_file_is_told_in_one_message(tmp_path, kind, words):
    path = tmp_path / "last.pth"
    damaged(path, kind)
    with pytest.raises(DataError, match=words) as raised:
        import_weights(path, "nenya", tmp_path / "ours.pt")
    assert "last.pth" in str(raised.value)
    assert not (tmp_path / "ours.pt").exists()


def test_a_system_or_bands_that_are_not_known(tmp_path):
    write_published(tmp_path / "last.pth", "resnet18")
    with pytest.raises(DataError, match="did you mean 'nenya'"):
        import_weights(tmp_path / "last.pth", "nenja", tmp_path / "ours.pt")
    with pytest.raises(DataError, match="2 bands are named, and the model takes 1"):
        import_weights(tmp_path / "last.pth", "nenya", tmp_path / "ours.pt", bands=["a", "b"])


def test_the_command_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_published(tmp_path / "last.pth", "resnet18")
    with pytest.raises(SystemExit) as stopped:
        main(["import-weights", "last.pth", "--from", "nenya", "-o", "ours.pt"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "resnet18, 1 bands (band_1), projection of 128, epoch 12" in said
    assert "spectrain embed ours.pt DATA" in said
