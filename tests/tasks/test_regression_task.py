"""The task: which labels count, dense and sparse alike, in which unit, and what is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from spectrain.augment.warp_augmentation import WarpAugmentation
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import DataError, RunError, SpectrainError
from spectrain.core.random import Key
from spectrain.core.regressed import Regressed
from spectrain.core.targets import DenseValues, NoTarget, SparseValues
from spectrain.losses.regression import RegressionLoss
from spectrain.metrics.calibration import Recalibration
from spectrain.metrics.regression import LEVELS, RegressionMetric
from spectrain.tasks.regression import Regression


class Fixed(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = nn.Parameter(output)

    def forward(self, batch):
        return self.output


def task(kind="gaussian_nll", **options):
    return Regression(RegressionLoss(kind, low=-30, high=30), metric=RegressionMetric(), **options)


def batch(target, shape, valid=None, index=None):
    image = torch.rand(shape[0], 2, *shape[1:])
    whole = everywhere(image.shape, image.device) if valid is None else valid
    return Batch(image, whole, target, torch.arange(shape[0]) if index is None else index, valid is None)


def sparse_labels(seed=0, shape=(3, 12, 12), share=0.05):
    rng = np.random.default_rng(seed)
    y = rng.normal(20, 5, shape).astype("f4")
    return np.where(rng.random(shape) < share, y, np.nan).astype("f4")


def test_few_measurements_are_kept_as_index_and_value():
    labels = sparse_labels()
    assert isinstance(task().targets(labels), SparseValues)
    assert isinstance(task().targets(labels[:, None]), SparseValues)
    assert isinstance(task().targets(np.nan_to_num(labels)), DenseValues)
    assert isinstance(task(names=["a", "b"]).targets(np.stack([labels, labels], 1)), DenseValues)


def test_what_means_not_measured():
    labels = np.array([[[1, -9999], [3, 4]]], np.int16)
    dense = task(ignore=[-9999]).targets(labels)
    assert dense.valid.tolist() == [[[[True, False], [True, True]]]]
    odd = np.array([[[-3.4e38, 0.1], [np.inf, 1e300]]])
    assert task(ignore=[-3.4e38]).targets(odd).valid.flatten().tolist() == [False, True, False, False]
    assert labels[0, 0, 1] == -9999  # what was read stays


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "the data have none"),
        (np.zeros(3, "f4"), r"labels of shape \(3,\)"),
        (np.zeros((1, 2, 4, 4), "f4"), "2 layers, and the task 1 quantities: value"),
    ],
)
def test_labels_that_are_no_maps_of_values_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        task().targets(labels)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(DataError, match="1 means and 2 deviations of labels for 2 quantities"):
        task(names=["a", "b"], centre=[1], spread=[1, 2])
    with pytest.raises(DataError, match="deviations of labels"):
        task(spread=[0.0])
    seen = batch(NoTarget(), (1, 2, 2))
    with pytest.raises(DataError, match="needs measured values"):
        task().loss(Fixed(torch.zeros(1, 2, 2, 2)), seen)


@pytest.mark.parametrize("kind", ["gaussian_nll", "laplace_nll", "mse", "quantile", "beta_nll"])
def test_dense_and_sparse_labels_teach_the_same(kind):
    one = task(kind, centre=[20.0], spread=[5.0])
    labels = sparse_labels()
    valid = torch.rand(3, 2, 12, 12) > 0.3
    index = torch.tensor([4, 7, -1])
    targets = one.targets(labels), DenseValues.from_nan(torch.from_numpy(labels[:, None]))
    output = torch.randn(3, one.channels, 12, 12)
    found = []
    for target in targets:
        model = Fixed(output.clone())
        step = one.loss(model, batch(target, labels.shape, valid, index))
        step.loss.sum.backward()
        metric = one.metrics()
        metric.update(step.output, batch(target, labels.shape, valid, index))
        found.append((step, model.output.grad, metric.compute(metric.sums())))
    (first, grad, metrics), (second, other, expected) = found
    counted = np.isfinite(labels) & valid.any(1).numpy()
    counted[2] = False
    assert float(first.loss.weight) == float(second.loss.weight) == counted.sum() > 0
    torch.testing.assert_close(first.loss.sum, second.loss.sum)
    torch.testing.assert_close(grad, other)
    assert (grad.abs().sum(1) > 0).numpy()[~counted].sum() == 0
    assert metrics == pytest.approx(expected, nan_ok=True)


def test_the_unit_is_that_of_the_labels():
    """A model of deviations and one of values say the same: loss, errors and maps, but for float32."""
    labels = sparse_labels()
    raw = torch.randn(3, 2, 12, 12)
    for kind, power in (("gaussian_nll", 2), ("laplace_nll", 1)):
        scaled, plain = task(kind, centre=[20.0], spread=[5.0]), task(kind)
        direct = torch.cat([raw[:, :1] * 5 + 20, raw[:, 1:] + power * math.log(5)], 1)
        seen = batch(plain.targets(labels), labels.shape)
        one, other = scaled.loss(Fixed(raw), seen), plain.loss(Fixed(direct), seen)
        torch.testing.assert_close(one.loss.sum, other.loss.sum, rtol=1e-3, atol=1e-3)
        assert isinstance(one.output, Regressed) and not one.output.mean.requires_grad
        torch.testing.assert_close(scaled.quantities(raw), plain.quantities(direct), rtol=1e-3, atol=1e-3)
    levels = task("quantile", centre=[20.0], spread=[5.0])
    found = levels.loss(Fixed(torch.randn(3, 3, 12, 12)), batch(levels.targets(labels), labels.shape)).output
    torch.testing.assert_close(found.quantiles[:, 1], found.mean, atol=20, rtol=0)
    assert found.quantiles.mean() > 15


@pytest.mark.parametrize("labels", [np.full((2, 8, 8), np.nan, "f4"), sparse_labels(shape=(2, 8, 8))])
def test_a_tile_without_labels_has_no_weight(labels):
    labels[1] = np.nan
    one = task()
    model = Fixed(torch.randn(2, 2, 8, 8))
    step = one.loss(model, batch(one.targets(labels), labels.shape))
    step.loss.sum.backward()
    assert float(step.loss.weight) == np.isfinite(labels).sum()
    assert (model.output.grad[1] == 0).all() and torch.isfinite(step.loss.sum)


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_labels_turn_with_their_image_and_are_never_mixed(share):
    """The image is its own label: after flips and quarter turns it still is, to the bit."""
    labels = sparse_labels(share=share)
    one = task()
    image = torch.from_numpy(np.nan_to_num(labels))[:, None]
    target = one.targets(labels)
    assert isinstance(target, SparseValues if share < 1 else DenseValues)
    seen = Batch(image, everywhere(image.shape, image.device), target, torch.arange(3), True)
    turned = WarpAugmentation(WarpAugmentation.Config(dihedral=True), 1)(seen, Key(1, "augment", 0))
    assert not torch.equal(turned.image, image)
    found = one.loss(Fixed(torch.cat([turned.image, turned.image], 1)), turned).output
    assert found.valid.sum() == np.isfinite(labels).sum()
    torch.testing.assert_close(found.mean[found.valid], found.y[found.valid], rtol=0, atol=0)


def test_maps_of_one_networkand_of_several():
    one = task(centre=[10.0], spread=[2.0], unit="m")
    assert [(layer.name, layer.bands, layer.unit) for layer in one.layers()] == [
        ("mean", ("mean",), "m"), ("aleatoric", ("aleatoric",), "m"),
        ("lower", ("lower bound of 90 %",), "m"), ("upper", ("upper bound of 90 %",), "m"),
    ]  # fmt: skip
    assert [layer.name for layer in one.layers(3)] == [
        "mean", "aleatoric", "epistemic", "predictive", "lower", "upper",
    ]  # fmt: skip
    assert [layer.name for layer in task("mse").layers(3)] == ["mean", "epistemic"]
    outputs = torch.randn(3, 2, 4, 5)
    quantities = torch.cat([one.quantities(output[None]) for output in outputs])
    found = one.maps(quantities)
    mean, variance = 10 + 2 * outputs[:, 0], 4 * outputs[:, 1].exp()
    torch.testing.assert_close(found["mean"][0], mean.mean(0))
    torch.testing.assert_close(found["aleatoric"][0], variance.mean(0).sqrt(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found["epistemic"][0], mean.std(0, correction=0))
    both = (variance.mean(0) + mean.var(0, correction=0)).sqrt()
    torch.testing.assert_close(found["predictive"][0], both, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found["upper"][0], mean.mean(0) + 1.6448536 * both, rtol=1e-3, atol=1e-3)
    assert set(one.maps(quantities[:1])) == {"mean", "aleatoric", "lower", "upper"}


def test_a_recalibration_scales_variances_and_gives_the_interval():
    one = task(centre=[10.0], spread=[2.0])
    seen, network = batch(one.targets(sparse_labels()[:1]), (1, 12, 12)), Fixed(torch.randn(1, 2, 12, 12))
    before = one.loss(network, seen)
    record = Recalibration(("value",), (4.0,), LEVELS, ((0.5, 1.0, 3.0, float("inf")),), (9,)).to_json()
    one.recalibrate(record)
    quantities = torch.cat([one.quantities(output[None]) for output in torch.randn(3, 2, 4, 5)])
    alone, several = one.maps(quantities[:1]), one.maps(quantities)
    model = task(centre=[10.0], spread=[2.0]).maps(quantities[:1])
    torch.testing.assert_close(alone["aleatoric"], 2 * model["aleatoric"])
    torch.testing.assert_close(alone["upper"], alone["mean"] + 3 * model["aleatoric"])
    squares = several["aleatoric"] ** 2 + several["epistemic"] ** 2
    torch.testing.assert_close(several["predictive"], squares.sqrt())
    torch.testing.assert_close(several["lower"], several["mean"] - 1.5 * several["predictive"])
    one.interval_of(0.95)  # too few labels for it: the Gaussian interval of the scaled variances
    torch.testing.assert_close(one.maps(quantities[:1])["upper"], alone["mean"] + 1.959964 * alone["aleatoric"])
    after = one.loss(network, seen)
    valid = after.output.valid
    assert after.loss.sum == before.loss.sum
    torch.testing.assert_close(after.output.variance[valid], 4 * before.output.variance[valid])
    torch.testing.assert_close(one.ensemble([before, before]).output.variance[valid], after.output.variance[valid])
    with pytest.raises(RunError, match="of height, and the task of value"):
        one.recalibrate({**record, "names": ["height"]})
    with pytest.raises(SpectrainError, match=r"no interval of 0\.8"):
        one.interval_of(0.8)
    unwanted = task(recalibrate=False)
    unwanted.recalibrate(record)
    assert unwanted.recalibration is None


def test_values_alone_have_bounds_once_they_are_calibrated():
    one = task("mse")
    assert [layer.name for layer in one.layers()] == ["mean"]
    one.recalibrate(Recalibration(("value",), (9.0,), LEVELS, ((1.0, 2.0, 5.0, 6.0),), (99,)).to_json())
    found = one.maps(one.quantities(torch.zeros(1, 1, 2, 2)))
    assert set(found) == {"mean", "lower", "upper"} and (found["upper"] == 5).all() and (found["lower"] == -5).all()


@pytest.mark.parametrize("sparse", [True, False])
def test_several_models_are_one_mixture(sparse):
    one = task(centre=[10.0], spread=[2.0])
    labels = sparse_labels() if sparse else np.random.default_rng(0).normal(10, 2, (3, 12, 12)).astype("f4")
    seen = batch(one.targets(labels), (3, 12, 12))
    steps = [one.loss(Fixed(torch.randn(3, 2, 12, 12)), seen) for _ in range(3)]
    found = one.ensemble(steps)
    valid = found.output.valid
    means = torch.stack([step.output.mean for step in steps])
    expected = means.var(0, correction=0) + torch.stack([step.output.variance for step in steps]).mean(0)
    torch.testing.assert_close(found.output.variance[valid], expected[valid])
    torch.testing.assert_close(found.output.mean, means.mean(0))
    assert float(found.loss.mean.detach()) == pytest.approx(np.mean([float(step.loss.mean.detach()) for step in steps]))


def test_several_quantities():
    one = task(names=["height", "mass"], centre=[20.0, 300.0], spread=[5.0, 80.0])
    assert one.channels == 4 and one.layers()[0].bands == ("mean of height", "mean of mass")
    labels = np.stack([sparse_labels(), 15 * sparse_labels(1)], 1)
    seen = batch(one.targets(labels), (3, 12, 12))
    step = one.loss(Fixed(torch.zeros(3, 4, 12, 12)), seen)
    assert float(step.loss.weight) == np.isfinite(labels).sum()
    metric = one.metrics()
    metric.update(step.output, seen)
    values = metric.compute(metric.sums())
    assert values["rmse_height"] == pytest.approx(np.sqrt(np.nanmean((labels[:, 0] - 20) ** 2)), rel=1e-4)
    assert values["rmse_mass"] == pytest.approx(np.sqrt(np.nanmean((labels[:, 1] - 300) ** 2)), rel=1e-4)
    assert one.quantities(torch.zeros(1, 4, 2, 2))[0, :, 0, 0].tolist() == pytest.approx([20, 300, 25, 6400], rel=1e-3)


def test_without_a_plot_there_is_no_picture():
    labels = sparse_labels()
    seen = batch(task().targets(labels), labels.shape)
    step = task().loss(Fixed(torch.zeros(3, 2, 12, 12)), seen)
    assert task().picture(step, seen) is None and task().shown(step.output, seen)[0] is None
