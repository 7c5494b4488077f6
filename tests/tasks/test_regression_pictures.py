"""What a regression draws: whole maps of the few images drawn, though labels are sparse, and figures of its sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_regression_metric import Waits
from test_regression_task import Fixed, batch, sparse_labels

from spectrain.core.errors import DataError
from spectrain.core.regressed import Regressed
from spectrain.core.targets import DenseValues, SparseValues
from spectrain.losses.regression import RegressionLoss
from spectrain.metrics.calibration import Recalibration
from spectrain.metrics.regression import LEVELS, RegressionMetric
from spectrain.plots.regression import RegressionPlot
from spectrain.tasks.regression import Regression


def task(kind="gaussian_nll", plot=None, **options):
    return Regression(RegressionLoss(kind), metric=RegressionMetric(), plot=plot, **options)


@pytest.mark.parametrize("kind", ["gaussian_nll", "mse", "quantile"])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_sparse_labels_leave_the_whole_map_of_what_is_drawn(kind, count):
    one = task(kind, RegressionPlot(nb_to_plot=count), centre=[20.0], spread=[5.0], unit="m")
    labels = sparse_labels()
    output = torch.randn(3, one.channels, 12, 12)
    seen = batch(one.targets(labels), labels.shape, index=torch.tensor([4, 7, -1]))
    assert isinstance(seen.target, SparseValues)
    step = one.loss(Fixed(output).eval(), seen)
    found, few = one.shown(step.output, seen)
    dense = batch(DenseValues.from_nan(torch.from_numpy(labels[:, None])), labels.shape, index=seen.index)
    expected, others = one.shown(one.loss(Fixed(output).eval(), dense).output, dense)
    rows = min(count, 3)
    assert found.unit == expected.unit == "m" and len(few.index) == len(others.index) == rows
    for name in ("mean", "log_variance", "valid"):
        if getattr(expected, name) is not None:
            torch.testing.assert_close(getattr(found, name), getattr(expected, name))
    assert found.mean.shape == (rows, 1, 12, 12) and found.valid.sum() == np.isfinite(labels[: min(rows, 2)]).sum()
    torch.testing.assert_close(found.y[found.valid], expected.y[expected.valid])
    again = one.picture(step.__class__(step.loss, step.parts, found), few)
    assert sum(axes.get_ylabel().startswith("patch") for axes in again.axes) == min(rows, 2)


def test_what_is_drawn_does_not_make_the_training_wait():
    one = task(plot=RegressionPlot(nb_to_plot=2))
    labels = sparse_labels()
    seen = batch(one.targets(labels), labels.shape)
    with Waits() as waits:
        one.shown(one.loss(Fixed(torch.randn(3, 2, 12, 12)).eval(), seen).output, seen)
    assert waits.seen == []


def test_of_what_is_not_drawn_nothing_is_kept():
    one = task(plot=RegressionPlot(nb_to_plot=1))
    labels = sparse_labels()
    seen = batch(one.targets(labels), labels.shape)
    step = one.loss(Fixed(torch.randn(3, 2, 12, 12)).eval(), seen)
    found, few = one.shown(step.output, seen)
    one_map = 12 * 12
    for values, each in ((found.mean, 4), (found.log_variance, 4), (few.image, 8)):
        assert values.untyped_storage().nbytes() == each * one_map
    bare = task()
    step = bare.loss(Fixed(torch.randn(3, 2, 12, 12)).eval(), seen)
    assert step.output.whole is None
    output, none = bare.shown(step.output, seen)
    assert output is None and len(none.index) == none.image.numel() == 0


def test_a_label_outside_the_window_does_not_hide_one_at_the_first_pixel():
    """Labels that an augmentation moved out of its window are NaN at pixel 0."""
    target = SparseValues(
        torch.tensor([0, 0, 3]), torch.tensor([7.0, math.nan, 9.0]), torch.tensor([0, 0, 1]), (2, 2, 2)
    )
    for order in ([0, 1, 2], [1, 0, 2]):
        turned = SparseValues(target.index[order], target.value[order], target.row[order], target.shape)
        one = task(plot=RegressionPlot())
        seen = batch(turned, (2, 2, 2))
        found, _ = one.shown(one.loss(Fixed(torch.zeros(2, 2, 2, 2)).eval(), seen).output, seen)
        assert found.valid.sum() == 2 and found.y[0, 0, 0, 0] == 7 and found.y[1, 0, 1, 1] == 9


def test_values_at_measured_pixels_alone_are_drawn_there():
    """As where no model's own numbers are kept."""
    target = SparseValues(torch.tensor([1, 2]), torch.tensor([7.0, 9.0]), torch.tensor([0, 1]), (2, 2, 2))
    held = Regressed(
        torch.tensor([[1.0], [2.0]]), None, target.value[:, None], torch.ones(2, 1) > 0, ("a",), row=target.row
    )
    maps = held.mapped(target, 1)
    assert maps.mean[0, 0, 0, 1] == 1 and maps.mean.isnan().sum() == 3
    assert maps.valid.sum() == 1 and maps.y[0, 0, 0, 1] == 7


def evaluated(kind="gaussian_nll", names=(), limits=(), share=0.5, seed=0):
    one = task(kind, names=names, limits=limits, centre=[20.0] * max(1, len(names)), spread=[5.0] * max(1, len(names)))
    labels = np.stack([sparse_labels(seed + at, share=share) for at in range(len(one.names))], 1)
    seen = batch(one.targets(labels), (3, 12, 12))
    metric = one.metrics()
    torch.manual_seed(0)
    step = one.loss(Fixed(torch.randn(3, one.channels, 12, 12)).eval(), seen)
    metric.update(step.output, seen)
    return one, metric, step.output


def test_figures_hold_what_was_summed():
    one, metric, found = evaluated(limits=[0.0, 40.0])
    figures = one.figures(metric.sums())
    assert list(figures) == ["confusion", "calibration", "coverage", "retention"]
    values = metric.compute(metric.sums())
    p, y = (x[found.valid].numpy() for x in (found.mean, found.y))
    axes = figures["confusion"].axes[0]
    inner = np.histogram2d(y, p, bins=64, range=[(0, 40), (0, 40)])[0]
    np.testing.assert_array_equal(axes.images[0].get_array().filled(0), inner.T)
    assert axes.images[0].get_extent() == [0, 40, 0, 40] and axes.images[0].origin == "lower"
    assert f"RMSE {values['rmse']:.3g}," in axes.get_title("left") and f"{len(y)} labels" in axes.get_title("left")
    ideal, curve = figures["calibration"].axes[0].lines
    assert list(ideal.get_xdata()) == list(ideal.get_ydata())
    sigma = found.variance[found.valid].sqrt().numpy()
    assert len(curve.get_xdata()) == len(y) // 20 and sigma.min() < curve.get_xdata()[0] < curve.get_xdata()[-1]
    (bars,) = figures["calibration"].axes[1].patches
    assert bars.get_data().values.sum() == len(y)
    assert bars.get_data().edges[0] <= sigma.min() and bars.get_data().edges[-1] >= sigma.max()
    points = figures["coverage"].axes[0].lines[1]
    assert list(points.get_ydata()) == [values[f"coverage_{level}"] for level in (50, 68, 90, 95)]
    surest, best, mean = figures["retention"].axes[0].lines
    assert surest.get_ydata()[-1] == pytest.approx(values["rmse"]) == pytest.approx(best.get_ydata()[-1])
    assert best.get_ydata()[0] < surest.get_ydata()[-1] and list(mean.get_ydata()) == [surest.get_ydata()[-1]] * 2


def test_without_an_error_model_only_values_are_drawn():
    one, metric, _ = evaluated("mse")
    assert list(one.figures(metric.sums())) == ["confusion"]
    assert one.figures({}) == {} and one.figures({"confusion": torch.ones(2, 2)}) == {}


def test_quantities_have_panels_and_those_without_labels_none():
    one, metric, _ = evaluated(names=["height", "mass"])
    figures = one.figures(metric.sums())
    assert [axes.get_title("left").split("\n")[0] for axes in figures["confusion"].axes[:2]] == ["height", "mass"]
    assert [text.get_text() for text in figures["coverage"].axes[0].get_legend().get_texts()] == ["height", "mass"]
    sums = {name: value.clone() for name, value in metric.sums().items()}
    for value in sums.values():
        value[1] = 0
    assert len(one.figures(sums)["retention"].axes) == 1
    assert one.figures({name: 0 * value for name, value in sums.items()}) == {}


def test_values_far_beyond_the_limits_are_said_or_not_drawn():
    one, metric, _ = evaluated(limits=[0.0, 20.0])
    outside = 1 - metric.sums()["joint"][0, 1:-1, 1:-1].sum() / metric.sums()["joint"].sum()
    assert "confusion" not in one.figures(metric.sums()) and outside > 0.5
    one, metric, _ = evaluated(limits=[12.0, 33.0])
    assert "of them beyond the axes" in one.figures(metric.sums())["confusion"].axes[0].get_title("left")


@pytest.mark.parametrize("limits", [[1.0], [3.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
def test_limits_are_two_that_rise_a_quantity(limits):
    with pytest.raises(DataError, match=r"task\.limits"):
        task(limits=limits)
    assert task(centre=[20.0], spread=[5.0]).limits == ((0.0, 40.0),)


def test_nothing_is_kept_of_a_training_step():
    one = task(plot=RegressionPlot(nb_to_plot=2))
    seen = batch(one.targets(sparse_labels()), (3, 12, 12))
    assert one.loss(Fixed(torch.randn(3, 2, 12, 12)).train(), seen).output.whole is None


def test_several_models_are_drawn_as_one_and_recalibrated():
    one = task(plot=RegressionPlot(nb_to_plot=2), centre=[10.0], spread=[2.0])
    seen = batch(one.targets(sparse_labels()), (3, 12, 12))
    steps = [one.loss(Fixed(torch.randn(3, 2, 12, 12)).eval(), seen) for _ in range(3)]
    one.recalibrate(Recalibration(("value",), (4.0,), LEVELS, ((1.0,) * 4,), (9,)).to_json())
    found = one.ensemble(steps).output
    means, logs = (torch.stack([step.output.whole[at] for step in steps]) for at in (0, 1))
    torch.testing.assert_close(found.whole[0], means.mean(0))
    variance = means.var(0, correction=0) + logs.exp().mean(0)
    torch.testing.assert_close(found.whole[1].exp(), 4 * variance, rtol=1e-4, atol=1e-4)
    maps, _ = one.shown(found, seen)
    torch.testing.assert_close(maps.mean, found.whole[0])
