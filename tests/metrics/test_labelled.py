"""Labelled pixels are those that count, and a recalibration is fitted on them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_regression_metric import batch_of, drawn, flat

from spectrain.core.regressed import Regressed
from spectrain.metrics.labelled import LabelledPixels
from spectrain.metrics.regression import LEVELS


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
    assert collected().recalibration() is None


def test_values_alone_get_intervals_of_one_width():
    one = drawn("none", size=64)
    error = np.abs(np.subtract(*flat(one)[:2]))
    found = collected(one).recalibration((0.5, 0.9))
    assert found.factors == pytest.approx([np.mean(error.astype(float) ** 2)], rel=1e-5)
    assert found.widths[0] == pytest.approx(np.quantile(error, [0.5, 0.9]), rel=0.02)


def test_files_hold_all_pixels_in_order(tmp_path):
    parts = drawn(seed=0), drawn(seed=1)
    found = LabelledPixels(tmp_path, most=50)
    for number, one in enumerate(parts):
        found.update(one, batch_of(one, [10 * number + row for row in range(len(one.y))]))
    assert sorted(path.name for path in found.finish()) == ["predictions.npy", "targets.npy", "variances.npy"]
    for name, expected in zip(("predictions", "targets", "variances"), flat(*parts), strict=True):
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected)
    every = next(n for n in (2**k for k in range(20)) if len(range(0, len(expected), n)) <= 50)
    np.testing.assert_array_equal(found.of("a").variance, expected[::every])


def test_each_quantity_has_files_of_its_own(tmp_path):
    one = drawn(quantities=2)
    found = LabelledPixels(tmp_path)
    found.update(one, batch_of(one, list(range(len(one.y)))))
    found.finish()
    assert len(np.load(tmp_path / "predictions_a.npy")) == int(one.valid[:, 0].sum())
    assert len(np.load(tmp_path / "targets_b.npy")) == int(one.valid[:, 1].sum())


def test_names_that_come_to_the_same_file_are_numbered(tmp_path):
    one = replace(drawn(quantities=3), names=("height (m)", "height [m]", "Height_m_"))
    found = LabelledPixels(tmp_path)
    for _ in range(2):
        found.update(one, batch_of(one, list(range(len(one.y)))))
    assert len(found.finish()) == len(list(tmp_path.iterdir())) == 9
    for number, name in enumerate(("height_m_", "height_m__2", "Height_m__3")):
        labels = one.y[:, number][one.valid[:, number]].numpy()
        np.testing.assert_array_equal(np.load(tmp_path / f"targets_{name}.npy"), np.concatenate([labels, labels]))


@pytest.mark.parametrize("error", ["gaussian", "laplace"])
def test_the_table_says_what_intervals_hold(error):
    one = drawn(error, size=128, blown=2.0)
    raw = collected(one)
    fitted = raw.recalibration()
    power = 1 if error == "gaussian" else 0.5
    scaled = replace(one, log_variance=one.log_variance + power * math.log(fitted.factors[0]))
    found = LabelledPixels(fitted=fitted)
    found.update(scaled, batch_of(scaled, list(range(len(one.y)))))
    table = found.calibration()
    assert table["interval"] == ["model", "scaled", "conformal"]
    model, mended, conformal = range(3)
    assert table["z_rms"][model] == pytest.approx(2, rel=0.1) and table["z_rms"][mended] == pytest.approx(
        1, rel=1e-3 if error == "gaussian" else 0.05
    )
    assert table["gaussian_nll"][mended] < table["gaussian_nll"][model]
    for level in LEVELS:
        name = f"coverage_{100 * level:.0f}"
        assert table[name][conformal] == pytest.approx(level, abs=0.01)
        assert table[name][model] < level - 0.1 and table[name][mended] == pytest.approx(level, abs=0.03)
    assert table["width_90"][mended] == pytest.approx(table["width_90"][model] * fitted.factors[0] ** 0.5, rel=1e-3)
    assert raw.calibration()["interval"] == ["model"]
