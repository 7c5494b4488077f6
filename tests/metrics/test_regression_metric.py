"""Metrics of regression against scikit-learn, torchmetrics, scipy and slow sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchmetrics.functional as oracle
from scipy import integrate, stats
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from torch.utils._python_dispatch import TorchDispatchMode

from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import SpectrainError
from spectrain.core.regressed import Regressed
from spectrain.core.targets import NoTarget
from spectrain.losses.regression import RegressionLoss
from spectrain.metrics.distributions import crps, half_width
from spectrain.metrics.regression import LEVELS, PUBLISHED, VALUES, RegressionMetric, ence

SHARES = ("coverage_50", "coverage_68", "coverage_90", "coverage_95")
SPREADS = ("gaussian_nll", "laplacian_nll", *SHARES, "ence", "sharpness", "z_rms", "crps")


def drawn(error="gaussian", seed=0, batch=4, size=12, quantities=1, share=0.3, offset=0.0, blown=1.0):
    draw = np.random.default_rng(seed)
    shape = (batch, quantities, size, size)
    s = draw.uniform(-2, 3, shape)
    mean = offset + draw.normal(0, 4, shape)
    noise = draw.normal(size=shape) * np.exp(s / 2) if error != "laplace" else draw.laplace(size=shape) * np.exp(s)
    y = mean + blown * noise
    valid = draw.uniform(size=shape) < share
    y[~valid] = np.nan
    held = [torch.from_numpy(x).float() for x in (mean, s, y)]
    names = tuple("abc"[:quantities])
    log_variance = None if error == "none" else held[1].masked_fill(~torch.from_numpy(valid), torch.nan)
    return Regressed(held[0], log_variance, held[2], torch.from_numpy(valid), names, error)


def batch_of(found, index=None):
    image = torch.zeros(len(found.y), 1, *found.y.shape[2:])
    index = torch.arange(len(image)) if index is None else torch.tensor(index)
    return Batch(image, everywhere(image.shape, image.device), NoTarget(), index, True)


def computed(*parts):
    sums = RegressionMetric().start()
    for one in parts:
        sums.update(one, batch_of(one))
    return sums.compute(sums.sums())


def flat(*parts):
    def joined(name):
        return torch.cat([getattr(one, name)[one.valid] for one in parts]).double().numpy()

    return [joined(name) for name in ("mean", "y", *(["variance"] if parts[0].log_variance is not None else []))]


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_errors_are_those_of_scikit_learn_and_torchmetrics(offset):
    parts = drawn("none", 0, offset=offset), drawn("none", 1, offset=offset)
    p, y = flat(*parts)
    found = computed(*parts)
    assert set(found) == set(VALUES)
    assert found["mse"] == pytest.approx(mean_squared_error(y, p), rel=1e-9)
    assert found["rmse"] == pytest.approx(math.sqrt(mean_squared_error(y, p)), rel=1e-9)
    assert found["mae"] == pytest.approx(mean_absolute_error(y, p), rel=1e-9)
    assert found["r2"] == pytest.approx(r2_score(y, p), rel=1e-7)
    assert found["r2"] == pytest.approx(float(oracle.r2_score(torch.tensor(p), torch.tensor(y))), rel=1e-6)
    assert found["me"] == pytest.approx((p - y).mean(), rel=1e-9)


def test_by_hand():
    mean, y, v = (torch.tensor(x).view(1, 1, 1, 2) for x in ([1.0, 5.0], [2.0, 2.0], [4.0, 9.0]))
    found = computed(Regressed(mean, v.log(), y, y > 0, ("h",), "gaussian"))
    assert found["me"] == 1 and found["mae"] == 2 and found["mse"] == 5 and math.isnan(found["r2"])
    expected = ((1 / 8 + math.log(4) / 2) + (9 / 18 + math.log(9) / 2)) / 2
    assert found["gaussian_nll"] == pytest.approx(expected)
    assert found["laplacian_nll"] == pytest.approx(((1 / 4 + math.log(4)) + (3 / 9 + math.log(9))) / 2)
    assert found["sharpness"] == pytest.approx(math.sqrt(6.5))
    assert found["z_rms"] == pytest.approx(math.sqrt((1 / 4 + 1) / 2))
    # bins of one each: |2 - 1| / 2 and |3 - 3| / 3
    assert found["ence"] == pytest.approx(0.25, abs=1e-6)
    assert [found[f"coverage_{level}"] for level in (50, 68, 90)] == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("error", ["gaussian", "laplace"])
@pytest.mark.parametrize("blown", [1.0, 2.0])
def test_calibration_is_that_of_scipy_and_slow_sums(error, blown):
    parts = drawn(error, 0, blown=blown), drawn(error, 1, blown=blown)
    p, y, v = flat(*parts)
    found = computed(*parts)
    assert set(found) == {*VALUES, *SPREADS}
    law = stats.norm(p, np.sqrt(v)) if error == "gaussian" else stats.laplace(p, np.sqrt(v / 2))
    for level in LEVELS:
        low, high = law.interval(level)
        assert found[f"coverage_{100 * level:.0f}"] == pytest.approx(np.mean((low <= y) & (y <= high)), abs=1e-12)
    constant = math.log(2 * math.pi) / 2
    gaussian = -stats.norm(p, np.sqrt(v)).logpdf(y).mean() - constant
    assert found["gaussian_nll"] == pytest.approx(gaussian, rel=1e-6)
    if error == "laplace":
        assert found["laplacian_nll"] == pytest.approx(-law.logpdf(y).mean() - math.log(2), rel=1e-6)
    assert found["z_rms"] == pytest.approx(math.sqrt(np.mean((p - y) ** 2 / v)), rel=1e-6)
    order = np.argsort(v)
    exact = [
        abs(math.sqrt(v[at].mean()) - math.sqrt(np.mean((p - y)[at] ** 2))) / math.sqrt(v[at].mean())
        for at in np.array_split(order, 15)
    ]
    assert found["ence"] == pytest.approx(np.mean(exact), abs=0.03)


@pytest.mark.parametrize("error", ["gaussian", "laplace"])
@pytest.mark.parametrize(("off", "sigma"), [(0.0, 1.0), (1.3, 0.4), (-5.0, 2.0)])
def test_the_crps_is_the_integral(error, off, sigma):
    law = stats.norm(off, sigma) if error == "gaussian" else stats.laplace(off, sigma / math.sqrt(2))
    below = integrate.quad(lambda x: law.cdf(x) ** 2, -40, 0)[0]
    above = integrate.quad(lambda x: law.sf(x) ** 2, 0, 40)[0]
    got = crps(torch.tensor(off, dtype=torch.float64), torch.tensor(sigma**2, dtype=torch.float64), error)
    assert float(got) == pytest.approx(below + above, rel=1e-5)


@pytest.mark.parametrize(("error", "law"), [("gaussian", stats.norm()), ("laplace", stats.laplace(0, 0.5**0.5))])
def test_intervals_hold_their_share(error, law):
    assert [half_width(level, error) for level in LEVELS] == pytest.approx([law.interval(level)[1] for level in LEVELS])


def test_right_spreads_have_no_calibration_error_and_wrong_ones_have_theirs():
    right, wrong = (computed(drawn(size=128, share=1.0, blown=blown)) for blown in (1.0, 2.0))
    assert right["ence"] < 0.02 and right["z_rms"] == pytest.approx(1, abs=0.02)
    assert wrong["ence"] == pytest.approx(1, abs=0.03) and wrong["z_rms"] == pytest.approx(2, abs=0.03)
    for level in LEVELS:
        assert right[f"coverage_{100 * level:.0f}"] == pytest.approx(level, abs=0.01)


def test_one_full_bin_is_one_group():
    count = torch.tensor([0.0, 100.0, 0.0], dtype=torch.float64)
    assert float(ence(count, 4 * count, 9 * count)) == pytest.approx(0.5)


def test_how_pixels_are_cut_into_batches_and_what_stands_elsewhere_do_not_matter():
    one, other = drawn(seed=0), drawn(seed=1)
    joined = Regressed(
        *(torch.cat((getattr(one, name), getattr(other, name))) for name in ("mean", "log_variance", "y", "valid")),
        one.names,
        "gaussian",
    )
    assert computed(one, other) == pytest.approx(computed(joined))
    spoilt = Regressed(
        one.mean.masked_fill(~one.valid, torch.inf), one.log_variance, one.y, one.valid, one.names, "gaussian"
    )
    assert computed(spoilt) == computed(one)


def test_each_quantity_has_its_metrics():
    found = drawn(quantities=2)
    both = computed(found)
    alone = [
        computed(
            Regressed(
                *(x[:, q : q + 1] for x in (found.mean, found.log_variance, found.y, found.valid)), "q", "gaussian"
            )
        )
        for q in range(2)
    ]
    for name in (*VALUES, *SPREADS):
        assert both[f"{name}_a"] == pytest.approx(alone[0][name])
        assert both[name] == pytest.approx((alone[0][name] + alone[1][name]) / 2)


def test_measured_pixels_alone_give_the_same():
    found = drawn()
    row, _, y, x = torch.nonzero(found.valid, as_tuple=True)
    sparse = Regressed(
        *(getattr(found, name)[row, :, y, x] for name in ("mean", "log_variance", "y", "valid")),
        found.names,
        "gaussian",
        row,
    )
    sums = RegressionMetric().start()
    sums.update(sparse, batch_of(found))
    assert sums.compute(sums.sums()) == pytest.approx(computed(found))


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for the device: a number read, or a shape that hangs on values."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        masked = name in ("index", "index_put_") and any(i is not None and i.dtype == torch.bool for i in args[1])
        moved = name == "_to_copy" and "device" in kwargs
        if masked or moved or name in ("_local_scalar_dense", "nonzero", "masked_select"):
            self.seen.append(name)
        return func(*args, **kwargs)


@pytest.mark.parametrize("kind", ["gaussian_nll", "laplace_nll", "beta_nll", "mse", "huber", "quantile"])
def test_nothing_waits_for_the_device(kind):
    loss = RegressionLoss(kind, rare_edges=[0.0], rare_weights=[1.0, 2.0])
    one = drawn("none")
    raw = torch.randn(4, loss.channels(), 12, 12, requires_grad=True)
    sums, batch = RegressionMetric().start(), batch_of(one)
    with Waits() as waits:
        found = loss.found(raw, one.y, one.valid, one.names)
        loss.sums(found)[0].sum.backward()
        sums.update(found.detach(), batch)
    assert waits.seen == []
    with Waits() as waits:
        _ = one.y[one.valid], one.y.isnan().any().item()
    assert len(waits.seen) >= 2


def test_nothing_to_count_is_nan():
    assert all(math.isnan(value) for value in computed(drawn(share=0.0)).values())
    assert all(math.isnan(value) for value in computed().values())


def test_published_names_are_of_metrics_that_there_are():
    assert set(PUBLISHED) - {"loss"} <= {*VALUES, *SPREADS}


def test_impossible_options_are_refused():
    for bins in ([1, 1], [2, 1]):
        with pytest.raises(SpectrainError, match="make no bins"):
            RegressionMetric(bins)
    one = drawn()
    with pytest.raises(ValueError, match="do not go together"):
        Regressed(one.mean, None, one.y, one.valid, one.names, "gaussian")
