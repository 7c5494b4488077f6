"""Sums that figures of a regression are drawn of: predicted against true, and errors by their size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_regression_metric import Waits, batch_of, drawn, flat

from spectrain.core.regressed import Regressed
from spectrain.metrics.calibration import retention_curve
from spectrain.metrics.regression import RegressionMetric, RegressionSums
from spectrain.metrics.regression_figures import CELLS, figure_sums

LIMITS = [(-6.0, 7.0)]


def sums_of_parts(*parts, limits=LIMITS):
    sums = RegressionSums(limits)
    for one in parts:
        sums.update(one, batch_of(one))
    return sums.sums()


def test_the_joint_histogram_is_that_of_numpy():
    parts = drawn(seed=0), drawn(seed=1)
    p, y, _ = flat(*parts)
    joint = sums_of_parts(*parts)["joint"][0].numpy()
    edges = np.linspace(*LIMITS[0], CELLS + 1)
    outer = np.concatenate([[-np.inf], edges, [np.inf]])
    np.testing.assert_array_equal(joint, np.histogram2d(y, p, (outer, outer))[0])
    assert joint.sum() == len(y) and 0 < joint[0].sum() + joint[-1].sum() < len(y)


def test_values_that_are_not_finite_lie_beyond():
    mean = torch.tensor([[[[torch.nan, torch.inf, -torch.inf, 1.0, torch.nan]]]])
    valid = torch.tensor([[[[True, True, True, True, False]]]])
    joint = figure_sums(Regressed(mean, None, torch.zeros_like(mean), valid, ("a",)), LIMITS)["joint"][0]
    assert joint.sum() == 4 and joint[1:-1, 1:-1].sum() == 1


def test_dense_and_sparse_values_have_the_same_sums_and_quantities_are_apart():
    dense = drawn(quantities=2)
    limits = [(-6.0, 7.0), (-2.0, 3.0)]
    found = figure_sums(dense, limits)
    for number in (0, 1):
        kept = dense.valid[:, number]
        parts = [x[:, number][kept][:, None] for x in (dense.mean, dense.log_variance, dense.y, dense.valid)]
        row = torch.nonzero(kept)[:, 0]
        alone = figure_sums(Regressed(*parts, ("a",), "gaussian", row), limits[number : number + 1])
        for name, values in alone.items():
            torch.testing.assert_close(found[name][number], values[0])


def test_the_least_errors_give_the_best_retention():
    parts = drawn(seed=0, size=40), drawn(seed=1, size=40)
    p, y, _ = flat(*parts)
    sums = sums_of_parts(*parts)
    curve = retention_curve(sums["error_count"][0], sums["error_square"][0])
    squares = np.sort((p - y) ** 2)
    for kept, rmse in zip(curve["kept"], curve["rmse"], strict=True):
        count = round(kept * len(squares))
        assert rmse == pytest.approx(np.sqrt(squares[:count].mean()), rel=1e-4)
    ranked = retention_curve(sums["fine_count"][0], sums["fine_square"][0])
    assert np.interp(0.5, curve["kept"], curve["rmse"]) < np.interp(0.5, ranked["kept"], ranked["rmse"])


def test_metrics_are_the_same_with_them_and_no_sums_are_made_where_none_are_drawn():
    one = drawn()
    plain, figured = RegressionMetric().start(), RegressionSums(LIMITS)
    for sums in (plain, figured):
        sums.update(one, batch_of(one))
    assert plain.compute(plain.sums()) == figured.compute(figured.sums())
    assert set(figured.sums()) - set(plain.sums()) == {"joint", "error_count", "error_square"}
    with Waits() as waits:
        figured.update(one, batch_of(one))
    assert waits.seen == []
    bare = drawn("none")
    assert set(figure_sums(bare, LIMITS)) == {"joint"}


def test_limits_are_copied_to_the_device_once(monkeypatch):
    copied, one = [], drawn()
    sums, real = RegressionSums(LIMITS), torch.tensor
    monkeypatch.setattr(torch, "tensor", lambda *given, **how: copied.append(given) or real(*given, **how))
    sums.update(one, batch_of(one))
    assert copied
    copied.clear()
    sums.update(one, batch_of(one))
    assert copied == []
