"""Recalibration and its curves against brute force and their promises."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from test_regression_metric import computed, drawn, flat

from spectrain.core.errors import DataError, RunError
from spectrain.metrics.calibration import (
    Recalibration,
    calibration_curve,
    conformal_widths,
    coverage_curve,
    fit_recalibration,
    retention_curve,
    variance_factor,
)
from spectrain.metrics.regression import LEVELS, sums_of


def residuals(seed=0, size=4000, factor=3.0):
    draw = np.random.default_rng(seed)
    v = np.exp(draw.uniform(-2, 3, size))
    y = draw.normal(0, 5, size)
    return y + np.sqrt(factor * v) * draw.normal(size=size), v, y


def fitted(*seeds, **options):
    parts = [residuals(seed, **options) for seed in seeds]
    named = [{f"q{number}": part[at] for number, part in enumerate(parts)} for at in range(3)]
    return fit_recalibration(*named)


def test_the_factor_of_the_variance_is_where_the_likelihood_is_greatest():
    p, v, y = residuals()
    best = minimize_scalar(
        lambda c: np.mean((p - y) ** 2 / (2 * c * v) + np.log(c * v) / 2), bounds=(0.1, 20), method="bounded"
    )
    assert variance_factor((p - y) ** 2 / v) == pytest.approx(best.x, rel=1e-5)
    assert fitted(0).factors[0] == pytest.approx(3, rel=0.06)
    assert variance_factor(np.zeros(3)) > 0


def test_of_laplace_errors_it_is_where_theirs_is():
    draw = np.random.default_rng(0)
    b = np.exp(draw.uniform(-2, 3, 4000))
    off = np.abs(1.7 * b * draw.laplace(size=b.size))
    best = minimize_scalar(lambda k: np.mean(off / (k * b) + np.log(k * b)), bounds=(0.1, 20), method="bounded")
    assert variance_factor(off**2 / (2 * b**2), "laplace") == pytest.approx(best.x**2, rel=1e-5)
    assert best.x == pytest.approx(1.7, rel=0.05)


def test_conformal_widths_by_hand():
    sizes = np.arange(1.0, 10.0)[::-1]
    assert conformal_widths(sizes, [0.5, 0.68, 0.9, 0.95]) == [5, 7, 9, math.inf]
    assert conformal_widths(np.arange(1.0, 20.0), [0.95, 0.9]) == [19, 18]


def test_conformal_intervals_hold_what_they_promise_of_errors_that_are_not_gaussian():
    draw = np.random.default_rng(0)
    held = []
    for _ in range(2000):
        fit, new = np.abs(draw.standard_t(2, 30)), abs(draw.standard_t(2))
        held.append(new <= conformal_widths(fit, [0.9])[0])
    assert 0.9 - 0.02 < np.mean(held) < 0.9 + 1 / 31 + 0.02


def test_it_mends_other_labels():
    found = fitted(0, 1)
    p, v, y = (torch.from_numpy(x).view(-1, 1, 1, 1).expand(-1, 2, 1, 1) for x in residuals(7))
    z = (p - y) / found.variance(v).sqrt()
    assert float(z.square().mean()) == pytest.approx(1, abs=0.06)
    for level in LEVELS:
        assert float(((p - y).abs() <= found.half_width(v, level)).double().mean()) == pytest.approx(level, abs=0.02)


def test_each_quantity_has_its_own():
    found = Recalibration(("a", "b"), (2.0, 3.0), (0.9,), ((1.0,), (math.inf,)), (5, 6))
    assert found.variance(torch.ones(1, 2, 2, 1)).flatten().tolist() == [2, 2, 3, 3]
    assert found.variance(torch.ones(2, 4), axis=0)[:, 0].tolist() == [2, 3]
    assert found.half_width(4 * torch.ones(1, 2), 0.9).tolist() == [[2, math.inf]]
    with pytest.raises(ValueError, match="3 quantities"):
        found.variance(torch.ones(1, 3, 1, 1))


def test_a_record_comes_back_as_it_was():
    found = fitted(0, 1, size=10)
    assert math.isinf(found.widths[0][-1])
    assert Recalibration.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_what_cannot_be_is_refused():
    with pytest.raises(RunError, match="no record of a recalibration"):
        Recalibration.from_json({"names": ["a"]})
    with pytest.raises(RunError, match="different lengths"):
        Recalibration.from_json(fitted(0, 1).to_json() | {"labels": [1]})
    with pytest.raises(RunError, match=r"fitted for 0\.8"):
        fitted(0).half_width(torch.ones(1, 1), 0.8)
    with pytest.raises(DataError, match="'h' has no labels"):
        fit_recalibration({"h": []}, {"h": []}, {"h": []})
    with pytest.raises(DataError, match="not finite"):
        fit_recalibration({"h": [1.0]}, {"h": [0.0]}, {"h": [2.0]})


def test_curves_are_those_of_sorted_labels():
    one = drawn(size=64, share=1.0)
    p, y, v = flat(one)
    sums = {name: x[0] for name, x in sums_of(one).items() if name.startswith("fine")}
    curve = calibration_curve(sums["fine_count"], sums["fine_variance"], sums["fine_square"], groups=5)
    order = np.argsort(v)
    for number, at in enumerate(np.array_split(order, 5)):
        assert curve["sigma"][number] == pytest.approx(math.sqrt(v[at].mean()), rel=0.02)
        assert curve["rmse"][number] == pytest.approx(math.sqrt(np.mean((p - y)[at] ** 2)), rel=0.03)
    assert sum(curve["count"]) == len(y)
    kept = retention_curve(sums["fine_count"], sums["fine_square"])
    rmse = np.sqrt(np.cumsum((p - y)[order] ** 2) / np.arange(1, len(y) + 1))
    assert kept["kept"][-1] == 1 and kept["rmse"][-1] == pytest.approx(rmse[-1], rel=1e-6)
    half = int(np.searchsorted(kept["kept"], 0.5))
    assert kept["rmse"][half] == pytest.approx(rmse[round(kept["kept"][half] * len(y)) - 1], rel=1e-6)
    assert coverage_curve(computed(one))["found"] == pytest.approx(LEVELS, abs=0.02)
