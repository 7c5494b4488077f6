"""The sheet of a regression: what is drawn of values, dense and sparse, on which colours, and what is grey."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spectrain.config import load_config
from spectrain.core.batch import Batch
from spectrain.core.errors import SpectrainError
from spectrain.core.loss_sum import LossSum
from spectrain.core.registry import lookup
from spectrain.core.regressed import SMALLEST, Regressed
from spectrain.core.step import Step
from spectrain.core.targets import NoTarget
from spectrain.plots.regression import RegressionPlot
from spectrain.plots.regression_sheet import MISSING, dot_points

ZERO = LossSum(torch.zeros(()), torch.zeros(()))
SIDE = 16


def drawn(share=1.0, quantities=1, error="gaussian", index=(4, 5, -1), unit="m", **options):
    draw = np.random.default_rng(0)
    shape = (len(index), quantities, SIDE, SIDE)
    y = torch.from_numpy(draw.normal(20, 5, shape).astype("f4"))
    mean, s = (torch.from_numpy(draw.normal(at, 1, shape).astype("f4")) for at in (20, 0))
    counted = torch.from_numpy(draw.random(shape) < share)
    y[~counted] = math.nan
    valid = torch.ones(len(index), 3, SIDE, SIDE, dtype=torch.bool)
    valid[0, :, :2, :3] = False
    names = tuple("abc"[:quantities])
    found = Regressed(mean, None if error == "none" else s, y, counted, names, error, unit=unit)
    batch = Batch(torch.rand(valid.shape), valid, NoTarget(), torch.tensor(index), False)
    return RegressionPlot(**options)(Step(ZERO, output=found), batch), found


def titled(figure):
    """Return the axes with pictures row by row."""
    axes = [one for one in figure.axes if one.images]
    columns = [one.get_title() for one in axes if one.get_title()]
    width = len(columns) // max(1, columns.count("image"))
    return columns[:width], [axes[at : at + width] for at in range(0, len(axes), width)]


def array(axes):
    return axes.images[0].get_array().filled(np.nan)


def test_dense_labels_prediction_deviation_and_error_are_drawn():
    figure, found = drawn(share=0.9)
    titles, rows = titled(figure)
    assert titles == ["image", "labels", "predicted mean", "predicted deviation", "error at the labels"]
    assert [row[0].get_ylabel() for row in rows] == ["patch 4", "patch 5"]  # padding is left out
    for at, (_, labels, mean, deviation, error) in enumerate(rows):
        seen = np.ones((SIDE, SIDE), bool)
        if at == 0:
            seen[:2, :3] = False
        y, p = found.y[at, 0].numpy(), np.where(seen, found.mean[at, 0].numpy(), np.nan)
        np.testing.assert_array_equal(array(labels), y)
        np.testing.assert_array_equal(array(mean), p)
        sigma = (found.log_variance[at, 0].exp() + SMALLEST).sqrt().numpy()
        np.testing.assert_allclose(array(deviation), np.where(seen, sigma, np.nan), rtol=1e-6)
        np.testing.assert_array_equal(array(error), p - y)


def test_labels_and_prediction_share_their_colours_and_errors_are_symmetric():
    figure, found = drawn()
    for _, labels, mean, _, error in titled(figure)[1]:
        one, other = labels.images[0], mean.images[0]
        assert one.norm is other.norm and one.cmap.name == other.cmap.name == "viridis"
        low, high = np.percentile(found.y[:2].numpy(), (2, 98))
        assert (one.norm.vmin, one.norm.vmax) == pytest.approx((low, high), rel=1e-6)
        norm = error.images[0].norm
        assert norm.vmin == -norm.vmax < 0
        # half-way between the ends is white: no error is no colour
        assert min(error.images[0].cmap(0.5)[:3]) > 0.95
        for picture in (one, other, error.images[0]):
            assert picture.cmap(np.ma.masked)[:3] == pytest.approx((MISSING,) * 3)
    words = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert words == ["a [m]", "standard deviation [m]", "predicted less label [m]"]


def test_few_labels_are_dots_where_they_were_measured():
    figure, found = drawn(share=0.05, unit=None)
    for at, (_, labels, mean, _, error) in enumerate(titled(figure)[1]):
        y, p = found.y[at, 0].numpy(), array(mean)
        for axes, values in ((labels, y), (error, p - y)):
            assert (axes.images[0].get_array() == MISSING).all()  # the ground
            (dots,) = axes.collections
            there = np.isfinite(values)
            assert dots.get_offsets().tolist() == [[x, y] for y, x in np.argwhere(there).tolist()]
            np.testing.assert_array_equal(dots.get_array(), values[there])
            (area,) = set(dots.get_sizes())
            assert area**0.5 == dot_points(there.sum(), values.shape, 2.1)
            assert axes.get_ylim() == (SIDE - 0.5, -0.5)  # the first row above, as in a picture
        assert labels.collections[0].norm is mean.images[0].norm
    words = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert words == ["a", "standard deviation", "predicted less label"]


def test_dots_are_larger_than_pixels_and_do_not_cover_the_map():
    assert dot_points(5, (256, 256), 2.0) > 4 * 144 / 256  # pixels are half a point
    assert dot_points(10_000, (256, 256), 2.0) < 3 * 144 / 256
    assert dot_points(3, (8, 8), 2.0) == 18  # as large as the pixels themselves


def test_without_labels_the_colours_are_those_of_the_prediction():
    figure, _ = drawn(share=0.0)
    (row, _) = titled(figure)[1]
    norm = row[2].images[0].norm
    assert 15 < norm.vmin < norm.vmax < 25
    assert not len(row[1].collections[0].get_offsets()) and np.isfinite(row[4].images[0].norm.vmin)


def test_without_an_error_model_there_is_no_deviation():
    figure, _ = drawn(error="none")
    assert titled(figure)[0] == ["image", "labels", "predicted mean", "error at the labels"]


def test_quantities_have_rows_and_colours_of_their_own():
    figure, found = drawn(quantities=2)
    rows = titled(figure)[1]
    assert len(rows) == 4
    assert [row[1].get_title() for row in rows] == ["labels: a", "", "labels: b", ""]
    np.testing.assert_array_equal(array(rows[3][1]), found.y[1, 1].numpy())
    assert rows[0][1].images[0].norm is rows[1][1].images[0].norm is not rows[2][1].images[0].norm
    lowest = min(axes.get_position().y0 for axes in rows[1])
    assert max(axes.get_position().y1 for axes in rows[2]) < lowest  # below each other


def test_laplace_deviations_are_those_of_the_error():
    figure, found = drawn(error="laplace")
    deviation = array(titled(figure)[1][1][3])
    np.testing.assert_allclose(deviation, math.sqrt(2) * found.log_variance[1, 0].exp().numpy(), rtol=1e-6)


def test_only_padding_and_what_is_no_map():
    assert [text.get_text() for text in drawn(index=(-1, -1, -1))[0].texts] == ["no images"]
    assert len(titled(drawn(nb_to_plot=1)[0])[1]) == 1
    with pytest.raises(SpectrainError, match="show_prediction=none"):
        _, found = drawn()
        RegressionPlot()(Step(ZERO, output=found.mean), None)


def test_it_is_what_the_recipe_draws():
    cfg = load_config("regression", overrides=["show_prediction.nb_to_plot=3"])
    assert isinstance(cfg.show_prediction.build(bands=None), RegressionPlot) and cfg.hparams.plot_interval > 0
    assert lookup("show_prediction", "regression") is RegressionPlot
