from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrain.runs.report.chart import apart
from spectrain.runs.report.scales import Scale, fit, number
from spectrain.runs.report.series import thin

FLOATS = st.lists(st.floats(), min_size=1, max_size=8)


@given(FLOATS, st.booleans())
def test_every_axis_holds_its_values_and_has_rising_ticks_inside(values, zero):
    values = np.array(values)
    axis = fit(values, log=False if zero else None, zero=zero)
    assert math.isfinite(axis.low)
    assert axis.low < axis.high < math.inf
    good = values[np.abs(values) <= 1e250]
    places = axis.position(good)
    assert np.all((places >= -0.06) & (places <= 1.06))
    labels = axis.labels()
    where = [place for place, _ in labels]
    assert where == sorted(where)
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in where)
    assert len(labels) <= 20


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, ["0", "2", "4", "6", "8", "10"]), (-0.3, 0.31, ["−0.2", "0.0", "0.2"]), (0, 30000, None)],
)
def test_linear_ticks_are_round(low, high, ticks):
    texts = [text for _, text in Scale(low, high).labels(5)]
    if ticks is None:
        assert texts == ["0", "10,000", "20,000", "30,000"]
    else:
        assert texts == ticks


def test_epochs_are_counted_whole_where_there_is_a_whole_one():
    assert Scale(0.5, 3.0).ticks(6, whole=True) == [1, 2, 3]
    assert Scale(0.1, 0.4).ticks(3, whole=True) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_an_axis_is_logarithmic_where_values_span_two_decades():
    assert fit(np.array([1e-5, 0.1])).log
    assert not fit(np.array([0.0, 100.0])).log
    assert not fit(np.array([1.0, 50.0])).log
    texts = [text for _, text in fit(np.array([1e-5, 0.1])).labels()]
    assert texts == ["10⁻⁵", "10⁻⁴", "0.001", "0.01", "0.1"]
    assert fit(np.array([0.5, 100.0]), log=True).position(np.array([math.nan]))[0] != 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.25, "−0.25"),
        (12345.6, "12,346"),
        (1.0, "1"),
        (1e-5, "10⁻⁵"),
        (-1.25e-7, "−1.25×10⁻⁷"),
        (5e-324, "4.941×10⁻³²⁴"),
        (1e300, "10³⁰⁰"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (999999.9, "10⁶"),
    ],
)
def test_numbers_for_people(value, text):
    assert number(value) == text


def test_thinning_keeps_each_spike_the_ends_and_the_order():
    x = np.arange(100_000.0)
    y = np.sin(x / 1000)
    y[12_345], y[70_000], y[50_000] = 40.0, -40.0, math.nan
    few_x, few_y = thin(x, y, columns=200)
    assert few_x.size <= 800
    assert np.all(np.diff(few_x) > 0)
    assert {12_345.0, 70_000.0, 0.0, 99_999.0} <= set(few_x)
    assert (few_y.max(), few_y.min()) == (40.0, -40.0)
    assert not np.isnan(few_y).any()


def test_thinning_keeps_a_gap_that_fills_a_column_and_leaves_few_points_alone():
    x = np.arange(10_000.0)
    y = np.where((x > 3000) & (x < 5000), math.nan, 1.0)
    _, few_y = thin(x, y, columns=100)
    assert np.isnan(few_y).any()
    same_x, same_y = thin(x[:300], y[:300], columns=100)
    assert same_x.size == same_y.size == 300


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.01, 0.2))
def test_labels_move_apart_and_stay_on_the_chart(places, room):
    moved = apart(sorted(places), room)
    room = min(room, 1 / max(len(places) - 1, 1))
    assert all(second - first >= room - 1e-9 for first, second in pairwise(moved))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in moved)
    if all(second - first >= room for first, second in pairwise(sorted(places))):
        assert moved == pytest.approx(sorted(places), abs=1e-9)
