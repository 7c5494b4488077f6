"""Losses of regression against hand-worked values, torch's own, boolean indexing, and their promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spectrain.core.errors import DataError, SpectrainError
from spectrain.core.regressed import Regressed
from spectrain.core.targets import SparseValues
from spectrain.losses.rarity import RareValues, fit_rarity
from spectrain.losses.regression import RegressionLoss
from spectrain.losses.variance import bounded_log_variance, moments_of_quantiles, published_log_variance

KINDS = ("gaussian_nll", "laplace_nll", "beta_nll", "mse", "mae", "huber", "quantile")


def drawn(loss, quantities=1, batch=3, size=8, share=0.1, seed=0):
    draw = torch.Generator().manual_seed(seed)
    raw = 2 * torch.randn(batch, loss.channels(quantities), size, size, generator=draw)
    y = 3 * torch.randn(batch, quantities, size, size, generator=draw)
    valid = torch.rand(y.shape, generator=draw) < share
    return raw, y.masked_fill(~valid, torch.nan), valid


def names(quantities):
    return tuple(f"q{number}" for number in range(quantities))


def by_indexing(loss, raw, y, valid):
    """The sum of the loss in torch's own words, with boolean indexing."""
    q = y.shape[1]
    at, mean = y[valid], raw[:, :q][valid]
    if loss.kind == "quantile":
        raw = raw.unflatten(1, (len(loss.levels), q))
        short = [at - raw[:, number][valid] for number in range(len(loss.levels))]
        pinball = [torch.maximum(t * d, (t - 1) * d) for t, d in zip(loss.levels, short, strict=True)]
        return torch.stack(pinball).mean(0).sum()
    if loss.kind in ("mse", "mae", "huber"):
        if loss.kind == "huber":
            return F.huber_loss(mean, at, reduction="sum", delta=loss.delta)
        return F.mse_loss(mean, at, reduction="sum") if loss.kind == "mse" else F.l1_loss(mean, at, reduction="sum")
    v = bounded_log_variance(raw[:, q:][valid]).exp() + 1e-8
    if loss.kind == "laplace_nll":
        return ((mean - at).abs() / v + v.log()).sum()
    nll = 0.5 * (mean - at).square() / v + 0.5 * v.log()
    return (nll * (v.detach() ** loss.beta if loss.kind == "beta_nll" else 1)).sum()


@pytest.mark.parametrize("quantities", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_boolean_indexing(kind, quantities):
    loss = RegressionLoss(kind, delta=2.0)
    raw, y, valid = drawn(loss, quantities)
    one, other = (raw.clone().requires_grad_() for _ in range(2))
    total, parts = loss.sums(loss.found(one, y, valid, names(quantities)))
    expected = by_indexing(loss, other, y, valid)
    assert total.sum.item() == pytest.approx(expected.item(), rel=1e-5)
    assert float(total.weight) == int(valid.sum())
    total.sum.backward()
    expected.backward()
    if kind in ("mse", "mae", "huber", "quantile"):
        assert torch.equal(one.grad, other.grad)
    else:  # exp and log round by where in memory a value lies: whole vectors go another way than what is left over
        torch.testing.assert_close(one.grad, other.grad, rtol=5e-6, atol=1e-6)
    assert (one.grad[:, :quantities][~valid] == 0).all()
    if kind != "quantile":
        error = raw[:, :quantities][valid] - y[valid]
        assert float(parts["loss_mse"].mean) == pytest.approx(float(error.square().mean()), rel=1e-5)
        assert float(parts["loss_mae"].mean) == pytest.approx(float(error.abs().mean()), rel=1e-5)


def test_likelihoods_by_hand():
    mean, s, y = (torch.tensor([[[[value]]]]) for value in (3.0, math.log(4.0), 5.0))
    there = torch.ones_like(y, dtype=torch.bool)
    gaussian = Regressed(mean, s, y, there, ("h",), "gaussian")
    assert float(RegressionLoss("gaussian_nll")(gaussian)) == pytest.approx(4 / 8 + math.log(2))
    assert float(RegressionLoss("beta_nll")(gaussian)) == pytest.approx(2 * (4 / 8 + math.log(2)))
    laplace = Regressed(mean, s, y, there, ("h",), "laplace")
    assert float(RegressionLoss("laplace_nll")(laplace)) == pytest.approx(2 / 4 + math.log(4))
    assert float(laplace.variance) == pytest.approx(2 * 16)


def test_the_gaussian_likelihood_is_torchs():
    loss = RegressionLoss()
    raw, y, valid = drawn(loss)
    found = loss.found(raw, y, valid, ("h",))
    theirs = F.gaussian_nll_loss(found.mean[valid], y[valid], found.log_variance[valid].exp())
    assert float(loss(found)) == pytest.approx(float(theirs), rel=1e-5)


def test_beta_1_learns_the_mean_as_the_squared_error_does():
    loss = RegressionLoss("beta_nll", beta=1.0)
    raw, y, valid = drawn(loss)
    raw.requires_grad_()
    loss.sums(loss.found(raw, y, valid, ("h",)))[0].sum.backward()
    expected = torch.where(valid, raw.detach()[:, :1] - y, 0.0)
    torch.testing.assert_close(raw.grad[:, :1], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_labels_has_no_weight_and_no_gradient(kind):
    loss = RegressionLoss(kind)
    raw, y, valid = drawn(loss, share=0.0)
    raw.requires_grad_()
    total, parts = loss.sums(loss.found(raw, y, valid, ("h",)))
    assert float(total.sum) == float(total.weight) == float(total.mean) == 0.0
    assert all(float(part.mean) == 0.0 for part in parts.values())
    total.sum.backward()
    assert (raw.grad == 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoilt", [math.nan, math.inf, 1e30])
def test_what_stands_at_pixels_without_label_does_not_matter(kind, spoilt):
    loss = RegressionLoss(kind)
    raw, y, valid = drawn(loss)
    bad = raw.masked_fill(~valid, spoilt).requires_grad_()
    # the bounds of the log-variance are the model's own words: holes are spoilt after them
    found = loss.found(raw, y.masked_fill(~valid, spoilt), valid, ("h",))
    assert float(loss(found)) == float(loss(loss.found(raw, y, valid, ("h",))))
    spoilt_mean = found.mean.masked_fill(~valid, spoilt).requires_grad_()
    s = None if found.log_variance is None else found.log_variance.masked_fill(~valid, spoilt).requires_grad_()
    q = None if found.quantiles is None else found.quantiles.masked_fill(~valid[:, None], spoilt).requires_grad_()
    result = loss(Regressed(spoilt_mean, s, found.y, valid, ("h",), found.error, None, q, found.levels))
    assert float(result.detach()) == pytest.approx(float(loss(found)), rel=1e-6)
    result.backward()
    for leaf in (spoilt_mean, s, q):
        if leaf is not None and leaf.grad is not None:
            assert torch.isfinite(leaf.grad).all()
    assert bad.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_batches_add_up_and_measured_pixels_alone_give_the_same(kind):
    loss = RegressionLoss(kind)
    raw, y, valid = drawn(loss, batch=4)
    whole = loss.sums(loss.found(raw, y, valid, ("h",)))[0]
    halves = [loss.sums(loss.found(raw[at], y[at], valid[at], ("h",)))[0] for at in (slice(0, 1), slice(1, 4))]
    joined = halves[0] + halves[1]
    assert float(joined.mean) == pytest.approx(float(whole.mean), rel=1e-5)
    points = SparseValues.from_dense(y[:, 0])
    sparse = loss.found(points.at(raw), points.value[:, None], points.valid[:, None], ("h",), points.row)
    assert float(loss(sparse)) == pytest.approx(float(whole.mean), rel=1e-5)
    assert sparse.images.flatten().tolist() == points.row.tolist()


def test_half_precision_is_counted_in_float32():
    loss = RegressionLoss()
    raw, y, valid = drawn(loss)
    low = raw.bfloat16()
    total = loss(loss.found(low, y, valid, ("h",)))
    assert total.dtype == torch.float32
    assert float(total) == float(loss(loss.found(low.float(), y, valid, ("h",))))


def test_the_bounded_log_variance_is_itself_inside_and_never_stuck_outside():
    raw = torch.linspace(-60, 60, 481, requires_grad=True)
    s = bounded_log_variance(raw)
    s.sum().backward()
    assert float(s.min().detach()) >= -10 and float(s.max().detach()) <= 10
    inside = raw.detach().abs() <= 5
    torch.testing.assert_close(s.detach()[inside], raw.detach()[inside], rtol=0, atol=0.01)
    assert (s.detach().diff() >= 0).all()
    assert (raw.grad > 0).all()
    far = torch.tensor([-1e30, 1e30], requires_grad=True)
    assert bounded_log_variance(far).tolist() == [-10.0, 10.0]


def test_the_published_form_is_the_soft_plus():
    raw = torch.tensor([-3.0, 0.0, 2.0])
    assert published_log_variance(raw).tolist() == pytest.approx([math.log1p(math.exp(x)) for x in raw.tolist()])
    loss = RegressionLoss(variance="published")
    raw, y, valid = drawn(loss)
    assert (loss.found(raw, y, valid, ("h",)).variance[valid] > 1).all()


def test_quantiles_give_a_median_and_the_spread_of_a_gaussian_whether_they_cross_or_not():
    levels = (0.05, 0.5, 0.95)
    held = 7 + 3 * torch.tensor([[-1.6448536], [0.0], [1.6448536]])[None]
    for order in ([0, 1, 2], [2, 0, 1]):
        median, s = moments_of_quantiles(held[:, order], levels)
        assert float(median) == pytest.approx(7)
        assert float((s / 2).exp()) == pytest.approx(3, rel=1e-6)
    median, _ = moments_of_quantiles(torch.tensor([[[0.0], [4.0]]]), (0.3, 0.7))
    assert float(median) == pytest.approx(2)


def test_the_pinball_loss_is_least_at_the_quantiles():
    y = torch.randn(1, 1, 100, 100, generator=torch.Generator().manual_seed(0))
    loss = RegressionLoss("quantile", levels=(0.1, 0.9))
    raw = torch.zeros(1, 2, 1, 1, requires_grad=True)
    optimizer = torch.optim.SGD([raw], 3.0)
    for _ in range(200):
        optimizer.zero_grad()
        loss(loss.found(raw.expand(1, 2, 100, 100), y, torch.ones_like(y, dtype=torch.bool), ("h",))).backward()
        optimizer.step()
    assert raw.flatten().tolist() == pytest.approx(np.quantile(y, [0.1, 0.9]).tolist(), abs=0.02)


@pytest.mark.parametrize("smooth", [0.0, 1.5])
def test_rare_labels_weigh_more_and_all_together_1(smooth):
    values = np.random.default_rng(0).gamma(2.0, 5.0, 4000).astype(np.float32)
    values[::7] = np.nan
    edges, weights = fit_rarity(values, bins=20, smooth=smooth)
    given = RareValues(edges, weights)(torch.from_numpy(values[np.isfinite(values)]))
    assert float(given.mean()) == pytest.approx(1, rel=1e-5)
    assert given[values[np.isfinite(values)].argmax()] > 5 * weights[3]


def test_each_bin_weighs_alike_as_a_whole():
    values = np.array([0.5] * 90 + [1.5] * 9 + [2.5])
    edges, weights = fit_rarity(values, bins=[0, 1, 2, 3])
    assert edges == [1, 2]
    assert [90 * weights[0], 9 * weights[1], weights[2]] == pytest.approx([100 / 3] * 3)
    assert fit_rarity(values, bins=[0, 1, 2, 3], most=5)[1][2] == pytest.approx(
        5 * fit_rarity(values, bins=[0, 1, 2, 3], most=5)[1][0]
    )
    loss = RegressionLoss("mse", rare_edges=edges, rare_weights=weights)
    y = torch.from_numpy(values).float().view(1, 1, 10, 10)
    found = loss.found(torch.zeros(1, 1, 10, 10), y, torch.ones_like(y, dtype=torch.bool), ("h",))
    assert float(loss(found)) == pytest.approx((0.5**2 + 1.5**2 + 2.5**2) / 3, rel=1e-5)


def test_impossible_options_are_refused():
    with pytest.raises(SpectrainError, match="both sides of"):
        RegressionLoss("quantile", levels=(0.6, 0.9))
    with pytest.raises(SpectrainError, match="cannot lie between"):
        RegressionLoss(low=3, high=1)
    with pytest.raises(SpectrainError, match="2 weights for 2 inner edges"):
        RegressionLoss(rare_edges=[1, 2], rare_weights=[1, 2])
    with pytest.raises(SpectrainError, match="gives 1 channels, and gaussian_nll of 1 quantities needs 2"):
        RegressionLoss().moments(torch.zeros(1, 1, 2, 2))
    with pytest.raises(DataError, match="no label is a number"):
        fit_rarity([math.nan])
