"""The encoder: its size, strides, first weights, and the arithmetic of a block."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spectrain.models.resnet import BasicBlock, Bottleneck, ResNet


@pytest.mark.parametrize(
    ("name", "dim", "parameters"),
    [
        ("resnet18", 512, 11_176_512),
        ("resnet34", 512, 21_284_672),
        ("resnet50", 2048, 23_508_032),
        ("resnet101", 2048, 42_500_160),
    ],
)
def test_is_as_large_as_torchvisions_without_its_classifier(name, dim, parameters):
    with torch.device("meta"):
        model = ResNet(name, in_channels=3, stem="large")
    assert model.dim == dim
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize(("stem", "strides"), [("small", (1, 2, 4, 8)), ("large", (2, 4, 8, 16, 32))])
def test_says_what_its_maps_are(name, stem, strides):
    with torch.device("meta"):
        model = ResNet(name, in_channels=2, stem=stem)
        maps = model.features(torch.empty(1, 2, 65, 40))
    assert tuple(stride for stride, _ in maps) == model.strides == strides
    assert tuple(each.shape[1] for _, each in maps) == model.channels
    for stride, each in maps:
        assert each.shape[2:] == (math.ceil(65 / stride), math.ceil(40 / stride))


def test_pooled_vector_is_the_mean_of_the_last_map():
    model = ResNet("resnet18").eval()
    x = torch.randn(2, 1, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.features(x)[-1][1].flatten(2).mean(dim=2))


def test_first_weights_are_he_normal_by_fan_out():
    model = ResNet("resnet18")
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            expected = math.sqrt(2 / fan_out)
            assert module.bias is None
            assert module.weight.std().item() == pytest.approx(expected, rel=0.1), name
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


@pytest.mark.parametrize(("block", "inside", "width", "stride"), [(BasicBlock, 8, 8, 1), (Bottleneck, 8, 4, 2)])
def test_a_block_adds_its_residual_to_its_shortcut(block, inside, width, stride):
    module = block(inside, width, stride).eval()
    x = torch.randn(2, inside, 7, 7)
    residual = x
    convolutions = [(module.conv1, module.bn1), (module.conv2, module.bn2)]
    convolutions += [(module.conv3, module.bn3)] if block is Bottleneck else []
    for number, (conv, norm) in enumerate(convolutions):
        residual = norm(conv(residual if number == 0 else F.relu(residual)))
    with torch.no_grad():
        torch.testing.assert_close(module(x), F.relu(residual + module.shortcut(x)))
    carries = module.conv2 if block is Bottleneck else module.conv1
    assert carries.stride == (stride, stride)


def test_shards_by_residual_blocks():
    with torch.device("meta"):
        blocks = list(ResNet("resnet50").fsdp_blocks())
    assert len(blocks) == 16
    assert all(isinstance(block, Bottleneck) for block in blocks)
