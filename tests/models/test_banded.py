"""Standardising, filling and masking around a network, in the order that is promised."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from model_contract import batch_of, images, part_of
from torch import nn

from spectrain.core.bands import Band, Bands
from spectrain.core.errors import SpectrainError
from spectrain.models.banded import BandedModel, ModelConfig, build_banded

BANDS = Bands([Band("red", wavelength=665.0, scale=1e-4), Band("nir", wavelength=842.0, nodata=0.0)])
STATISTICS = SimpleNamespace(mean=[10.0, -2.0], std=[4.0, 0.5])


class Echo(nn.Module):
    """Returns what it is given."""

    def forward(self, x):
        return x

    def features(self, x):
        return [(1, x)]


def banded(**options):
    return BandedModel(Echo(), BANDS, options.pop("statistics", STATISTICS), **options)


@pytest.mark.parametrize(
    ("standardise", "mean", "std"),
    [("mean_std", (10, -2), (4, 0.5)), ("std", (0, 0), (4, 0.5)), ("none", (0, 0), (1, 1))],
)
def test_standardises_each_band(standardise, mean, std):
    image = images(2, 2, (3, 5))
    expected = torch.stack([(image[:, band] - mean[band]) / std[band] for band in range(2)], dim=1)
    model = banded(standardise=standardise)
    torch.testing.assert_close(model(batch_of(image)), expected)
    torch.testing.assert_close(model.features(batch_of(image))[0][1], expected)


def test_filling_is_the_last_act():
    image, valid = images(2, 2, (3, 5)), images(2, 2, (3, 5), seed=1) > 0
    whole = banded()(batch_of(image))
    for stuff in (math.nan, math.inf, 7.0):
        holed = banded()(batch_of(torch.where(valid, image, stuff), valid))
        assert torch.equal(holed[valid], whole[valid])
        assert (holed[~valid] == 0).all()


def test_appends_the_validity_of_each_band():
    image, valid = images(2, 2, (3, 5)), images(2, 2, (3, 5), seed=1) > 0
    model = banded(mask_channel=True)
    output = model(batch_of(image, valid))
    assert output.shape == (2, 4, 3, 5)
    assert torch.equal(output[:, 2:], valid.float())
    assert (model(batch_of(image))[:, 2:] == 1).all()


def test_validity_is_not_looked_at_where_all_is_known_to_be_valid():
    image = images(2, 2, (3, 5))
    batch = batch_of(image, torch.zeros_like(image, dtype=torch.bool)).replace(all_valid=True)
    assert torch.equal(banded()(batch), banded()(batch_of(image)))


@pytest.mark.parametrize("std", [0.0, math.nan, 273.15e-8])
def test_a_constant_band_is_divided_by_one(std):
    model = banded(statistics=SimpleNamespace(mean=[273.15, 0.0], std=[std, 1e-30]))
    assert model.std.tolist() == [1.0, pytest.approx(1e-30)]
    image = torch.full((1, 2, 2, 2), 273.15)
    assert (model(batch_of(image))[:, 0] == 0).all()


def test_a_band_without_a_value_is_left_as_it_is():
    model = banded(statistics=SimpleNamespace(mean=[math.nan, 0.0], std=[math.nan, 1.0]))
    assert model.mean.tolist() == [0.0, 0.0]
    assert model.std.tolist() == [1.0, 1.0]


def test_statistics_travel_in_the_state_dict():
    state = banded().state_dict()
    other = banded(statistics=SimpleNamespace(mean=[0.0, 0.0], std=[1.0, 1.0]))
    other.load_state_dict(state)
    image = images(1, 2, (2, 2))
    assert torch.equal(other(batch_of(image)), banded()(batch_of(image)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="mean_std, std, limits, none, not 'minmax'"):
        banded(standardise="minmax")
    with pytest.raises(ValueError, match="2 bands, but 1 means and 1 deviations"):
        banded(statistics=SimpleNamespace(mean=[0.0], std=[1.0]))


def test_channels_are_counted_with_the_mask():
    assert ModelConfig().in_channels(BANDS) == 2
    assert ModelConfig(mask_channel=True).in_channels(BANDS) == 4


def build(seed=0, **options):
    part = part_of("supcon_resnet", backbone="resnet18", feat_dim=4, **options.pop("part", {}))
    return build_banded(part, bands=BANDS, statistics=STATISTICS, image_size=(8, 8), seed=seed, **options)


def test_building_follows_the_options():
    model = build(part={"standardise": "std", "mask_channel": True})
    assert (model.standardise, model.mask_channel, model.image_size) == ("std", True, (8, 8))
    assert model.network.encoder.conv1.weight.shape[1] == 4
    first = "network.encoder.conv1.weight"
    assert not torch.equal(build(seed=1).state_dict()[first], build(seed=2).state_dict()[first])


def test_a_file_that_is_gone_is_not_needed_where_a_state_is_loaded(tmp_path):
    gone = {"init_from": str(tmp_path / "gone.pt")}
    assert build(part=gone, take_init_from=False).image_size == (8, 8)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (None, "(?s)^Bare has no method features.*give it features.*--what projection"),
        (lambda x: [(4, x.flatten(2).mT)], r"(?s)^the features of Bare are \[3, 4, 2\], and no map.*unflatten"),
    ],
)
def test_a_network_without_a_map_says_what_it_lacks(features, message):
    class Bare(nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    network = Bare()
    if features is not None:
        network.features = features
    model = BandedModel(network, BANDS, SimpleNamespace(mean=[0.0, 0.0], std=[1.0, 1.0]))
    with pytest.raises(SpectrainError, match=message):
        model.pooled(batch_of(images(3, 2, (2, 2))))
