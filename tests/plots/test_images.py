"""Images of any number of bands as colours: which bands, which stretch, and what becomes of holes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps

from spectrain.core.bands import Band, Bands
from spectrain.plots.images import robust_limits, shown_channels, to_rgb

SENTINEL2 = Bands(
    Band(name, wavelength=wavelength)
    for name, wavelength in [("B02", 492.0), ("B03", 560.0), ("B04", 665.0), ("B08", 833.0), ("B11", 1610.0)]
)


def noise(bands, height=12, width=9, seed=0):
    return np.random.default_rng(seed).normal(size=(bands, height, width)).astype(np.float32)


def everywhere(image):
    return np.ones(image.shape, dtype=bool)


def test_true_colours_are_the_nearest_wavelengths():
    assert shown_channels(5, SENTINEL2) == (2, 1, 0)
    radar = Bands([Band("VV"), Band("VH"), *SENTINEL2])
    assert shown_channels(7, radar) == (4, 3, 2)
    grid = Bands(Band(f"b{number}", wavelength=400.0 + 10 * number) for number in range(40))
    assert [grid[channel].wavelength for channel in shown_channels(40, grid)] in ([660, 560, 490], [670, 560, 490])


@pytest.mark.parametrize(
    "bands",
    [None, Bands.unnamed(4), Bands([*SENTINEL2[:2], Band("c"), Band("d")]), Bands([*SENTINEL2[3:], Band("c", 2200.0)])],
)
def test_without_true_colours_the_first_three_are_shown(bands):
    assert shown_channels(4, bands) == (0, 1, 2)


@pytest.mark.parametrize("count", [1, 2])
def test_of_one_or_two_bands_the_first_is_shown(count):
    assert shown_channels(count, Bands(SENTINEL2[:count])) == (0,)
    image = noise(count)
    assert np.array_equal(to_rgb(image, everywhere(image)), to_rgb(image[:1], everywhere(image[:1])))


def test_limits_are_the_percentiles_of_what_is_valid():
    values = np.arange(101.0)
    valid = np.ones(101, dtype=bool)
    assert robust_limits(values, valid) == (2.0, 98.0)
    outliers = np.concatenate((values, [1e9, math.nan]))
    assert robust_limits(outliers, np.append(valid, [False, False])) == (2.0, 98.0)


def test_limits_of_a_constant_and_of_nothing():
    assert robust_limits(np.full(4, 3.0), np.ones(4, dtype=bool)) == (2.5, 3.5)
    assert robust_limits(np.full(4, math.nan), np.zeros(4, dtype=bool)) == (0.0, 1.0)


@pytest.mark.parametrize("value", [0.0, 3e9, -1e30])
def test_a_constant_image_is_drawn_without_a_warning(value, recwarn):
    image = np.full((1, 4, 4), value, dtype=np.float32)
    assert np.isfinite(to_rgb(image, everywhere(image))).all()
    assert not recwarn.list


def test_a_composite_stretches_each_band():
    image = noise(5)
    limits = [(-1.0, 1.0), (0.0, 0.5), (-2.0, 0.0)]
    colours = to_rgb(image, everywhere(image), SENTINEL2, limits)
    for place, (channel, (low, high)) in enumerate(zip((2, 1, 0), limits, strict=True)):
        expected = np.clip((image[channel] - low) / (high - low), 0, 1)
        np.testing.assert_allclose(colours[..., place], expected, atol=1e-6)


def test_one_band_is_drawn_in_the_colour_map():
    image = np.array([[[0.0, 5.0, 10.0]]], dtype=np.float32)
    colours = to_rgb(image, everywhere(image), limits=[(0.0, 10.0)])
    expected = colormaps["viridis"]([0.0, 0.5, 1.0])[:, :3]
    np.testing.assert_allclose(colours[0], expected, atol=0.01)


@pytest.mark.parametrize("bands", [1, 4])
def test_holes_are_striped_grey_and_do_not_change_the_rest(bands):
    image = noise(bands)
    valid = everywhere(image)
    valid[0, 3:7, 2:6] = False
    limits = [(-2.0, 2.0)] * min(bands, 3)
    colours = to_rgb(np.where(valid, image, math.nan), valid, limits=limits)
    hole = ~valid[0]
    greys = colours[hole]
    assert np.array_equal(greys[:, 0], greys[:, 1])
    assert np.array_equal(greys[:, 0], greys[:, 2])
    assert len(np.unique(greys)) == 2
    assert np.array_equal(colours[~hole], to_rgb(image, everywhere(image), limits=limits)[~hole])


def test_a_hole_in_a_band_that_is_not_shown_is_not_drawn():
    image = noise(5)
    valid = everywhere(image)
    valid[4] = False
    assert np.array_equal(to_rgb(image, valid, SENTINEL2), to_rgb(image, everywhere(image), SENTINEL2))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_any_image_becomes_colours(bands, height, width, share, seed):
    image = noise(bands, height, width, seed)
    valid = np.random.default_rng(seed).random(image.shape) < share
    colours = to_rgb(np.where(valid, image, math.nan), valid)
    assert colours.shape == (height, width, 3)
    assert colours.dtype == np.float32
    assert ((colours >= 0) & (colours <= 1)).all()


def test_bands_without_wavelengths_are_known_by_name():
    names = ["B01", "B02", "B03", "B04", "B8A"]
    assert shown_channels(5, Bands(Band(name) for name in names)) == (3, 2, 1)
    assert shown_channels(4, Bands(Band(name) for name in names[:4])) == (0, 1, 2)  # of whatever sensor
    assert shown_channels(4, Bands(Band(name) for name in ("blue", "green", "red", "nir"))) == (2, 1, 0)
