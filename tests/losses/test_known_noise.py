"""On a made field with known noise the predicted variance recovers the truth."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spectrain.core.batch import Batch, everywhere
from spectrain.core.targets import NoTarget
from spectrain.losses.regression import RegressionLoss
from spectrain.metrics.regression import LEVELS, RegressionMetric


def field(images, seed):
    """Two bands: the value is linear in one, the log of its noise in the other. 30 % of the pixels are measured."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.rand(images, 2, 32, 32, generator=draw) * 2 - 1
    mean, sigma = 3 + 2 * image[:, :1], (0.5 * image[:, 1:] - 0.7).exp()
    y = mean + sigma * torch.randn(mean.shape, generator=draw)
    return image, mean, sigma, y, torch.rand(mean.shape, generator=draw) < 0.3


@pytest.mark.parametrize(("kind", "options"), [("gaussian_nll", {}), ("beta_nll", {"beta": 0.5})])
def test_the_predicted_variance_is_that_of_the_noise(kind, options):
    torch.manual_seed(0)
    loss = RegressionLoss(kind, **options)
    model = nn.Sequential(nn.Conv2d(2, 16, 1), nn.Tanh(), nn.Conv2d(16, loss.channels(), 1))
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    image, _, _, y, valid = field(20, 1)
    labels = y.masked_fill(~valid, torch.nan)
    for _ in range(200):
        optimizer.zero_grad()
        loss(loss.found(model(image), labels, valid, ("h",))).backward()
        optimizer.step()

    image, mean, sigma, y, _ = field(32, 2)
    with torch.no_grad():
        found = loss.found(model(image), y, everywhere(y.shape, y.device), ("h",))
    assert float((found.mean - mean).abs().mean()) < 0.05
    ratio = found.variance.sqrt() / sigma
    assert float(ratio.mean()) == pytest.approx(1, abs=0.03) and float(ratio.std()) < 0.06
    sums = RegressionMetric().start()
    sums.update(found, Batch(image, everywhere(image.shape, image.device), NoTarget(), torch.arange(len(image)), True))
    metrics = sums.compute(sums.sums())
    for level in LEVELS:
        assert metrics[f"coverage_{100 * level:.0f}"] == pytest.approx(level, abs=0.02)
    assert metrics["ence"] < 0.05 and metrics["z_rms"] == pytest.approx(1, abs=0.03)


def test_the_published_form_cannot_say_that_it_is_sure():
    loss = RegressionLoss(variance="published")
    raw = torch.full((1, 2, 1, 1), -30.0)
    assert float(loss.moments(raw)[1].exp()) == 1.0
    assert float(RegressionLoss().moments(raw)[1].exp()) < 1e-4
