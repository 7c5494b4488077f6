"""The contrastive model: its contract, its size, its names, its unit vectors."""

from __future__ import annotations

import pytest
import torch
from model_contract import ModelContract, images
from torch import nn

from spectrain.core.registry import lookup
from spectrain.models.supcon_resnet import SupConResNet


class TestSmallStem(ModelContract):
    name = "supcon_resnet"
    options = {"backbone": "resnet18", "feat_dim": 8}  # noqa: RUF012
    size = (8, 8)

    def output_shape(self, count, size):
        return (count, 8)


class TestLargeStem(ModelContract):
    name = "supcon_resnet"
    options = {"backbone": "resnet50", "stem": "large", "head": "linear", "feat_dim": 5}  # noqa: RUF012
    size = (32, 32)

    def output_shape(self, count, size):
        return (count, 5)


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet18", 11_496_000), ("resnet34", 21_604_160), ("resnet50", 27_957_824), ("resnet101", 46_949_952)],
)
def test_has_the_published_number_of_parameters(name, count):
    with torch.device("meta"):
        model = SupConResNet(name, feat_dim=128, in_channels=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_has_the_published_names():
    with torch.device("meta"):
        names = set(SupConResNet("resnet50").state_dict())
    assert {"encoder.conv1.weight", "encoder.bn1.running_mean", "encoder.layer4.2.bn3.weight"} <= names
    assert {"encoder.layer1.0.shortcut.0.weight", "encoder.layer1.0.shortcut.1.bias"} <= names
    assert not any(name.startswith("encoder.layer1.1.shortcut") for name in names)
    assert {name for name in names if name.startswith("head")} == {
        f"head.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }


def test_gives_unit_vectors():
    model = SupConResNet("resnet18", feat_dim=16, in_channels=3)
    output = model(images(5, 3, (8, 8)))
    torch.testing.assert_close(output.norm(dim=1), torch.ones(5))


def test_normalises_in_float32_under_autocast():
    model = SupConResNet("resnet18", feat_dim=16)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        output = model(images(2, 1, (8, 8)))
    assert output.dtype == torch.float32
    torch.testing.assert_close(output.norm(dim=1), torch.ones(2), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("head", "kind"), [("mlp", nn.Sequential), ("linear", nn.Linear)])
def test_is_built_by_its_options(head, kind):
    part = lookup("model", "supcon_resnet")
    config = part.Config(backbone="resnet34", head=head, feat_dim=7, mask_channel=True, stem="large")
    with torch.device("meta"):
        model = part.from_config(config, bands=("a", "b"), image_size=(8, 8))
    assert isinstance(model.head, kind)
    assert model.encoder.conv1.weight.shape == (64, 4, 7, 7)
    assert len(model.encoder.layer3) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet19"}, "resnet18, resnet34, resnet50, resnet101, not 'resnet19'"),
        ({"stem": "tiny"}, "small, large, not 'tiny'"),
        ({"head": "none"}, "mlp, linear, not 'none'"),
    ],
)
def test_unknown_names_are_refused(options, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        SupConResNet(**options)
