"""Labelled pixels are those that count, and a recalibration is fitted on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_regression_metric import batch_of, drawn, flat

from spectrain.core.regressed import Regressed
from spectrain.metrics.labelled import LabelledPixels


def collected(*parts):
    found = LabelledPixels()
    for number, one in enumerate(parts):
        found.update(one, batch_of(one, [10 * number + row for row in range(len(one.y))]))
    return found


def test_they_are_those_that_count():
    parts = drawn(seed=0), drawn(seed=1)
    one = collected(*parts).of("a")
    for got, expected in zip((one.mean, one.y, one.variance), flat(*parts), strict=True):
        np.testing.assert_array_equal(got, expected)
    expected = [10 * number + torch.nonzero(part.valid)[:, 0] for number, part in enumerate(parts)]
    assert one.index.tolist() == torch.cat(expected).tolist()


def test_measured_pixels_alone_give_the_same():
    found = drawn()
    row, _, y, x = torch.nonzero(found.valid, as_tuple=True)
    values = [getattr(found, name)[row, :, y, x] for name in ("mean", "log_variance", "y", "valid")]
    one, other = collected(found).of("a"), collected(Regressed(*values, found.names, "gaussian", row)).of("a")
    for name in ("index", "mean", "variance", "y"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_variances_twice_too_small_are_mended():
    found = collected(drawn(size=64, quantities=2, blown=2**0.5)).recalibration()
    assert found.names == ("a", "b")
    assert found.factors == pytest.approx((2, 2), rel=0.1)
    assert collected(drawn("none")).recalibration() is None
    assert collected().recalibration() is None
