"""Quantiles of other levels than a model's own."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from spectrain.core.quantiles import central_interval, own_shares, quantile_at, quantile_weights

LEVELS = (0.05, 0.25, 0.5, 0.9)


@pytest.mark.parametrize("level", [0.001, 0.025, 0.1, 0.3, 0.5, 0.8, 0.975])
def test_of_a_gaussian_any_level_is_exact(level):
    given = torch.tensor(stats.norm(7, 3).ppf([*LEVELS])).expand(2, -1)
    torch.testing.assert_close(quantile_at(given, LEVELS, level)[1], torch.tensor(stats.norm(7, 3).ppf(level)))
    assert sum(quantile_weights(LEVELS, level)) == pytest.approx(1)


def test_a_level_of_its_own_is_itself_to_the_last_digit():
    assert quantile_weights((0.05, 0.5, 0.95), (1 - 0.9) / 2) == [1, 0, 0]  # which is 0.04999999999999999
    low, high = central_interval(torch.tensor([[1.0, 2.0, 9.0]]), (0.05, 0.5, 0.95), 0.9)
    assert (float(low), float(high)) == (1, 9)


def test_beyond_the_outermost_each_side_goes_on_with_its_own_deviation():
    low, high = central_interval(torch.tensor([[-1.0, 0.0, 4.0]], dtype=torch.float64), (0.05, 0.5, 0.95), 0.95)
    further = stats.norm.ppf(0.975) / stats.norm.ppf(0.95)
    assert float(low) == pytest.approx(-further) and float(high) == pytest.approx(4 * further)


def test_without_a_median_it_lies_between():
    assert float(quantile_at(torch.tensor([[0.0, 4.0]]), (0.3, 0.7), 0.5)) == pytest.approx(2)


def test_which_intervals_are_its_own():
    assert own_shares((0.05, 0.1, 0.5, 0.9, 0.95, 0.99)) == (0.9, 0.8)
    assert own_shares((0.05, 0.5, 0.9)) == own_shares(()) == ()
