"""A model of quantiles: its maps, metrics and recalibration are of its own quantiles, alone and with others."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import SpectrainError
from spectrain.core.targets import DenseValues
from spectrain.losses.regression import RegressionLoss
from spectrain.metrics.calibration import Recalibration
from spectrain.metrics.regression import LEVELS, RegressionMetric
from spectrain.tasks.regression import Regression

SKEWED = (-1.0, 0.0, 4.0)
"""Quantiles of 5, 50 and 95 %."""


class Fixed(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, batch):
        return self.output


def task(kind="quantile", levels=(0.05, 0.5, 0.95), **options):
    return Regression(RegressionLoss(kind, levels=levels), metric=RegressionMetric(), **options)


def maps_of(one, *outputs):
    return {name: x.flatten() for name, x in one.maps(torch.stack([one.quantities(o)[0] for o in outputs])).items()}


def pixel(*values):
    return torch.tensor(values).view(1, -1, 1, 1)


def batch_of(y):
    image = torch.zeros(len(y), 1, *y.shape[2:])
    target = DenseValues.from_nan(torch.from_numpy(y))
    return Batch(image, everywhere(image.shape, image.device), target, torch.arange(len(image)), True)


def labels_of(scale=1.0, shape=(2, 1, 80, 80), seed=0):
    """Labels that are 0 in the middle and reach four times as far above as below: half-Gaussians of SKEWED."""
    z = np.random.default_rng(seed).normal(size=shape)
    return (scale * z / stats.norm.ppf(0.95) * np.where(z > 0, 4, 1)).astype("f4")


def skewed(shape=(2, 1, 80, 80)):
    return torch.tensor(SKEWED).view(1, 3, 1, 1).expand(shape[0], 3, *shape[2:])


def scored(one, y, output):
    seen = batch_of(y)
    step = one.loss(Fixed(output), seen)
    sums, pixels = one.metrics(), one.pixels()
    sums.update(step.output, seen)
    pixels.update(step.output, seen)
    return sums.compute(sums.sums()), pixels


@pytest.mark.parametrize(("centre", "spread"), [((), ()), ((3000.0,), (0.5,))])
def test_bounds_of_a_map_are_the_models_own_quantiles(centre, spread):
    one = task(centre=centre, spread=spread)
    mean, scale = (*centre, 0.0)[0], (*spread, 1.0)[0]
    found = maps_of(one, pixel(4.0, -1.0, 0.0))  # they may cross
    for name, expected in (("mean", 0), ("lower", -1), ("upper", 4)):
        assert float(found[name]) == pytest.approx(mean + scale * expected, abs=1e-6)
    one.interval_of(0.5)
    found = maps_of(one, pixel(*SKEWED))
    z = stats.norm.ppf(0.75) / stats.norm.ppf(0.95)
    assert float(found["lower"] - mean) == pytest.approx(-scale * z, abs=3e-4)
    assert float(found["upper"] - mean) == pytest.approx(4 * scale * z, abs=3e-4)


def test_intervals_between_two_of_its_own_may_be_asked_for():
    one = task(levels=(0.05, 0.1, 0.5, 0.9, 0.95))
    one.interval_of(0.8)
    found = maps_of(one, pixel(-3.0, -2.0, 0.0, 5.0, 6.0))
    assert (float(found["lower"]), float(found["upper"])) == (-2, 5)
    with pytest.raises(SpectrainError, match=r"no interval of 0\.8") as caught:
        task().interval_of(0.8)
    assert caught.value.fix == "take one of 0.5, 0.68, 0.9, 0.95"


def test_several_quantities_have_their_own():
    one = task(names=["a", "b"])
    found = maps_of(one, pixel(-1.0, -10.0, 0.0, 5.0, 4.0, 30.0))  # both of the first level, then of the next
    assert found["mean"].tolist() == [0, 5] and found["lower"].tolist() == [-1, -10]
    assert found["upper"].tolist() == [4, 30]


def test_coverage_and_crps_are_those_of_the_quantiles():
    y = labels_of()
    found, pixels = scored(task(), y, skewed())
    for level in LEVELS:
        assert found[f"coverage_{100 * level:.0f}"] == pytest.approx(level, abs=0.015)
    for name, share in (("below_5", 0.05), ("below_50", 0.5), ("below_95", 0.95)):
        assert found[name] == pytest.approx(share, abs=0.015)
    # CRPS as twice the integral of the pinball loss over the levels, of the true quantiles
    levels = (np.arange(2000) + 0.5) / 2000
    q = stats.norm.ppf(levels) / stats.norm.ppf(0.95)
    q = np.where(q > 0, 4, 1) * q
    short = y.ravel()[:2000, None] - q
    few = scored(task(), y.ravel()[:2000].reshape(1, 1, 40, 50), skewed((1, 1, 40, 50)))[0]
    assert few["crps"] == pytest.approx(2 * np.maximum(levels * short, (levels - 1) * short).mean(), rel=3e-3)
    table = pixels.calibration()
    assert table["interval"] == ["model"] and table["width_90"] == pytest.approx([5])
    assert table["coverage_90"] == pytest.approx([found["coverage_90"]])


def test_a_recalibration_widens_both_ends_as_far_as_labels_lie_beyond():
    y, new = labels_of(scale=2.0), labels_of(scale=2.0, seed=1)
    one = task()
    fitted = scored(one, y, skewed())[1].recalibration()
    beyond = np.sort(np.maximum(-1 - y, y - 4).ravel())
    assert fitted.widenings[0][2] == pytest.approx(float(beyond[math.ceil(0.9 * (y.size + 1)) - 1]), rel=1e-5)
    one.recalibrate(json.loads(json.dumps(fitted.to_json())))
    found, pixels = scored(one, new, skewed())
    for level in LEVELS:
        assert found[f"coverage_{100 * level:.0f}"] == pytest.approx(level, abs=0.015)
    table = pixels.calibration()
    assert table["interval"] == ["model", "scaled", "conformal"]
    assert table["coverage_90"][0] < 0.65 and table["coverage_90"][2] == pytest.approx(found["coverage_90"])
    assert found["below_95"] == pytest.approx((new <= 4).mean())  # of the model's own
    maps = maps_of(one, pixel(*SKEWED))
    assert float(maps["lower"]) == pytest.approx(-1 - fitted.widenings[0][2])
    assert float(maps["upper"]) == pytest.approx(4 + fitted.widenings[0][2])
    assert table["width_90"][2] == pytest.approx(float(maps["upper"] - maps["lower"]))


def test_intervals_that_are_too_wide_shrink_to_the_median_and_hold_smaller_ones():
    fitted = Recalibration(("value",), (1.0,), (0.9, 0.5), ((9.0, 9.0),), (5,), ((-3.0, 0.5),))
    offsets, levels = fitted.quantiles(torch.tensor(SKEWED).view(1, 3, 1), (0.05, 0.5, 0.95))
    assert levels == pytest.approx((0.05, 0.25, 0.5, 0.75, 0.95))
    z = stats.norm.ppf(0.75) / stats.norm.ppf(0.95)
    expected = (-z - 0.5, -z - 0.5, 0, 4 * z + 0.5, 4 * z + 0.5)  # 90 % alone would be 2 to 1
    assert offsets.flatten().tolist() == pytest.approx(expected)
    few = Recalibration(("value",), (1.0,), (0.9,), ((math.inf,),), (5,), ((math.inf,),))
    assert few.quantiles(torch.tensor(SKEWED).view(1, 3, 1), (0.05, 0.5, 0.95))[0].flatten().tolist() == [-1, 0, 4]


def test_several_models_share_their_quantiles_and_are_less_sure_where_they_differ():
    one, ours, theirs = task(), pixel(-1.0, 0.0, 4.0), pixel(-3.0, 0.0, 2.0)
    alike = maps_of(one, ours, theirs)
    assert (float(alike["lower"]), float(alike["upper"])) == pytest.approx((-2, 3))
    apart = maps_of(one, ours, theirs + 6)
    wider = float(apart["predictive"] / apart["aleatoric"])
    assert wider > 1.5 and float(apart["mean"]) == 3
    assert (float(apart["lower"]), float(apart["upper"])) == pytest.approx((3 - 2 * wider, 3 + 3 * wider))
    seen = batch_of(np.zeros((1, 1, 1, 1), "f4"))
    step = one.ensemble([one.loss(Fixed(x), seen) for x in (ours, theirs + 6)])
    assert step.output.quantiles.flatten().tolist() == pytest.approx([3 - 2 * wider, 3, 3 + 3 * wider], rel=1e-4)


def test_with_models_that_have_none_intervals_are_gaussian():
    one, other = task(), task("gaussian_nll")
    for both in (one, other):
        both.join([one, other])
    values = torch.stack([one.quantities(pixel(*SKEWED))[0], other.quantities(pixel(0.0, 0.0))[0]])
    found = {name: float(x) for name, x in one.maps(values).items()}
    assert found["upper"] == pytest.approx(stats.norm.ppf(0.95) * found["predictive"], rel=1e-5)
    seen = batch_of(np.zeros((1, 1, 1, 1), "f4"))
    steps = [one.loss(Fixed(pixel(*SKEWED)), seen), other.loss(Fixed(pixel(0.0, 0.0)), seen)]
    assert one.ensemble(steps).output.quantiles is None


def test_what_was_fitted_before_there_were_widenings_is_used_as_it_was():
    one = task()
    one.recalibrate(Recalibration(("value",), (1.0,), LEVELS, ((1.0, 1.0, 2.0, 3.0),), (9,)).to_json())
    found = maps_of(one, pixel(*SKEWED))
    assert float(found["upper"]) == pytest.approx(2 * float(found["aleatoric"]))
