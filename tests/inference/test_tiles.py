"""Windows cover every pixel, their weights add up to one, no seam is left, and memory is that of a strip."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spectrain.core.errors import SpectrainError
from spectrain.inference.mapping.tiles import Agreement, Axis, batches, default_halo, spacing, strips


@st.composite
def axes(draw):
    window = draw(st.integers(1, 70))
    return Axis.cover(draw(st.integers(1, 300)), window, draw(st.integers(0, (window - 1) // 2)))


@given(axes())
def test_every_pixel_is_covered_and_its_weights_add_up_to_one(axis):
    total = np.zeros(axis.size)
    for start, (low, high), weight in zip(axis.starts, axis.cores, axis.weights, strict=True):
        assert 0 <= start <= low < high <= start + axis.window  # of the window
        assert high <= axis.size
        assert len(weight) == high - low
        assert (weight > 0).all()
        total[low:high] += weight
    np.testing.assert_allclose(total, 1, rtol=1e-5)


@given(axes())
def test_windows_lie_within_the_scene_unless_it_is_smaller(axis):
    assert axis.starts[0] == 0
    assert all(one < other for one, other in itertools.pairwise(axis.starts))
    if axis.size >= axis.window:
        assert axis.starts[-1] + axis.window == axis.size
    else:
        assert axis.starts == (0,)


@given(st.integers(1, 600), st.data())
def test_the_halo_counts_only_at_the_edge_of_the_scene(window, data):
    halo = data.draw(st.integers(0, (window - 1) // 2))
    axis = Axis.cover(5 * window, window, halo)
    for start, (low, high) in zip(axis.starts, axis.cores, strict=True):
        assert low == 0 or low == start + halo
        assert high == axis.size or high == start + window - halo


@pytest.mark.parametrize(
    ("window", "halo", "expected"),
    [(256, 64, (16, 112)), (128, 32, (8, 56)), (512, 128, (32, 224)), (256, 16, (16, 208)), (256, 0, (16, 240))],
)
def test_windows_begin_at_multiples_that_strides_of_networks_divide(window, halo, expected):
    assert spacing(window, halo) == expected
    assert expected[1] % (window // 16) == 0


def test_a_halo_that_leaves_nothing():
    with pytest.raises(SpectrainError, match="0 to 15 px"):
        Axis.cover(100, 32, 16)


def image_of(height: int, width: int, bands: int = 2) -> torch.Tensor:
    return torch.randn(bands, height, width, generator=torch.Generator().manual_seed(0))


def joined(network: nn.Module, image: torch.Tensor, window: int, halo: int, at_once: int = 3) -> torch.Tensor:
    """Map an image by windows."""
    rows, columns = (Axis.cover(size, window, halo) for size in image.shape[1:])
    asked = []

    def evaluate(row, starts):
        asked.append((row, starts))
        below, beside = (max(0, window - size) for size in image.shape[1:])
        padded = nn.functional.pad(image, (0, beside, 0, below))
        cut = torch.stack([padded[:, row : row + window, start : start + window] for start in starts])
        return network(cut), torch.ones(len(starts), window, window, dtype=torch.bool)

    found = list(strips(rows, columns, evaluate, at_once))
    assert asked == list(batches(rows, columns, at_once))
    assert [strip.row for strip in found] == np.cumsum([0, *(len(strip.seen) for strip in found)])[:-1].tolist()
    assert all(strip.seen.all() for strip in found)
    assert max(strip.values.shape[1] for strip in found) <= window
    return torch.cat([strip.values for strip in found], dim=1)


def convolutions(reach: int) -> nn.Module:
    """A network that sees ``reach`` px to each side."""
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Tanh()) for _ in range(reach)]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("size", [(60, 75), (32, 32), (33, 100), (131, 40)])
@pytest.mark.parametrize("halo", [4, 8, 15])
@torch.no_grad()
def test_where_the_halo_covers_the_field_of_view_it_is_one_pass(size, halo):
    network, image = convolutions(4), image_of(*size)
    torch.testing.assert_close(joined(network, image, 32, halo), network(image[None])[0], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_halo_one_too_narrow_is_seen():
    network, image = convolutions(4), image_of(90, 90)
    away = (joined(network, image, 32, 3) - network(image[None])[0]).abs().max()
    assert away > 1e-6


class Strided(nn.Module):
    """Down by 4 and up again: what it says of a pixel depends on where the window begins."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.tanh(self.down(x)), 4)
        return nn.functional.interpolate(x, scale_factor=4, mode="nearest")


@torch.no_grad()
def test_a_network_of_strides_too():
    network, image = Strided(), image_of(64 + 28 * 2, 64 + 28 * 3)
    torch.testing.assert_close(joined(network, image, 64, 16), network(image[None])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("halo", [0, 2, 8])
@torch.no_grad()
def test_elsewhere_a_pixel_lies_between_its_windows_and_steps_are_bounded(halo):
    """What the module promises of a network that sees the whole window: a bound for every pixel and every step."""
    y, x = torch.meshgrid(torch.arange(70.0), torch.arange(85.0), indexing="ij")
    window, image = 32, torch.stack([torch.sin(x / 30 + y / 40), torch.cos(x / 50 - y / 20)])
    network = Swayed()
    found = joined(network, image, window, halo)
    low, high = torch.full_like(found, torch.inf), torch.full_like(found, -torch.inf)
    steepest = 0.0
    rows, columns = (Axis.cover(size, window, halo) for size in image.shape[1:])
    for row, column in itertools.product(range(len(rows.starts)), range(len(columns.starts))):
        top, left = rows.starts[row], columns.starts[column]
        seen = network(image[None, :, top : top + window, left : left + window])[0]
        steepest = max(steepest, seen.diff(dim=1).abs().max().item(), seen.diff(dim=2).abs().max().item())
        (a, b), (c, d) = rows.cores[row], columns.cores[column]
        core = seen[:, a - top : b - top, c - left : d - left]
        low[:, a:b, c:d] = low[:, a:b, c:d].minimum(core)
        high[:, a:b, c:d] = high[:, a:b, c:d].maximum(core)
    assert (high - low).max() > 4 * steepest  # windows do differ: put side by side they would leave a seam
    assert (found >= low - 1e-5).all()
    assert (found <= high + 1e-5).all()
    ramp, _ = spacing(window, halo)
    most = steepest + 2 * (high - low).max().item() / ramp
    assert max(found.diff(dim=1).abs().max().item(), found.diff(dim=2).abs().max().item()) <= most + 1e-5


class Swayed(nn.Module):
    """Adds the mean of the window, as far as a network can see."""

    def forward(self, x):
        return x + 5 * x.mean((2, 3), keepdim=True)


@pytest.mark.parametrize(("network", "least", "most"), [(convolutions(4), 0, 1e-5), (Swayed(), 0.3, 10)])
@torch.no_grad()
def test_it_is_measured_how_far_windows_agree(network, least, most):
    y, x = torch.meshgrid(torch.arange(70.0), torch.arange(85.0), indexing="ij")
    image = torch.stack([torch.sin(x / 9 + y / 12), torch.cos(x / 13 - y / 7)])
    rows, columns = (Axis.cover(size, 32, 8) for size in image.shape[1:])

    def evaluate(row, starts):
        cut = torch.stack([image[:, row : row + 32, start : start + 32] for start in starts])
        return network(cut), torch.ones(len(starts), 32, 32, dtype=torch.bool)

    agreement = Agreement()
    list(strips(rows, columns, evaluate, 3, agreement))
    assert least <= agreement.share() <= most
    assert Agreement().share() == 0


def test_a_quarter_by_default():
    assert [default_halo(window) for window in (256, 64, 30, 3)] == [64, 16, 7, 0]
