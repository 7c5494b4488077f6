"""The U-Net of the regression: the contract, its sizes, and the published network's function of published weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_contract import ModelContract, batch_of, images, part_of, statistics
from published_unet import published_forward, published_weights, shapes

from spectrain import UNet
from spectrain.core.bands import Bands
from spectrain.core.errors import DataError
from spectrain.models.banded import build_banded
from spectrain.training.processes.recompute import recompute_blocks


class TestUNet(ModelContract):
    name = "unet"
    size = (16, 16)

    def output_shape(self, count, size):
        return (count, 2, *size)


class TestLearnedUpsampling(ModelContract):
    name = "unet"
    options = {"bilinear": False}  # noqa: RUF012
    size = (16, 16)

    def output_shape(self, count, size):
        return (count, 2, *size)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_count_of_parameters():
    assert parameters(UNet(num_ch=14)) == 17_250_818
    assert parameters(UNet(num_ch=14, bilinear=False)) == 31_043_970 + 2 * 32  # heads of 64 channels, not of 32


def test_names_and_shapes_are_the_published_ones():
    own = {name: tuple(value.shape) for name, value in UNet(num_ch=5).state_dict().items()}
    assert own == shapes(5) and list(own) == list(shapes(5))


@pytest.mark.parametrize("size", [(16, 16), (37, 22), (51, 47)])
def test_published_weights_give_the_published_numbers(size):
    weights, image = published_weights(3), images(2, 3, size)
    network = UNet(num_ch=3).eval()
    network.load_state_dict(weights)
    with torch.no_grad():
        found = network(image)
    mean, spread = published_forward(weights, image.numpy())
    np.testing.assert_allclose(found[:, 0].numpy(), mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(torch.nn.functional.softplus(found[:, 1]).numpy(), spread, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bilinear", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (33, 95)])
def test_any_size_in_and_the_same_out(size, bilinear, monkeypatch):
    monkeypatch.setattr("spectrain.models.unet.WIDTH", 8)
    network = UNet(num_ch=2, bilinear=bilinear).to(memory_format=torch.channels_last)
    x = images(3, 2, size).contiguous(memory_format=torch.channels_last)
    found = network(x)
    assert found.shape == (3, 2, *size) and found.isfinite().all()
    found.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_maps_of_the_encoder():
    found = UNet(num_ch=1).eval().features(images(1, 1, (48, 32)))
    assert [(stride, *one.shape[1:]) for stride, one in found] == [
        (1, 64, 48, 32), (2, 128, 24, 16), (4, 256, 12, 8), (8, 512, 6, 4), (16, 512, 3, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_other_numbers_a_pixel_come_from_one_head(channels):
    part = part_of("unet")
    model = build_banded(
        part, bands=Bands.unnamed(4), statistics=statistics(4), image_size=None, seed=0, channels=channels
    )
    assert model(batch_of(images(2, 4, (16, 16)))).shape == (2, channels, 16, 16)
    assert not any(name.startswith("stdlayer") for name, _ in model.network.named_parameters())


def test_another_number_of_bands_than_said_is_refused():
    with pytest.raises(DataError, match=r"for 14 bands, the data have 4(.|\n)*--num_ch 4"):
        TestUNet().build(4, num_ch=14)
    assert TestUNet().build(4, num_ch=4, mask_channel=True).network.num_ch == 8


def test_recomputed_blocks_give_the_same_gradients(monkeypatch):
    monkeypatch.setattr("spectrain.models.unet.WIDTH", 8)
    torch.manual_seed(0)
    one, other = UNet(num_ch=2), UNet(num_ch=2)
    other.load_state_dict(one.state_dict())
    recompute_blocks(other)
    for network in (one, other):
        network(images(2, 2, (32, 20))).square().mean().backward()
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name
