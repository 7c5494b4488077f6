"""How near are values to what was measured, and how far can their uncertainty be trusted? Sums over labelled pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..config.option import option
from ..core.batch import Batch
from ..core.errors import SpectrainError
from ..core.fill import fill_invalid
from ..core.regressed import Regressed
from .base import Summed, Tables, read_sums, widest
from .distributions import coverage_name, crps, half_width
from .quantiles import BELOW, quantile_terms

LEVELS = (0.50, 0.68, 0.90, 0.95)
"""Shares of the intervals whose coverage is counted."""
FINE, LOWEST, HIGHEST = 1024, -24.0, 24.0
"""Bins of the predicted log-variance and where they begin and end: each is 2.4 % of a standard deviation wide."""
GROUPS = 15
"""About equally full bins, joined from fine ones, that the ENCE is over."""
VALUES = ("rmse", "mae", "me", "r2", "mse")
PUBLISHED = {
    "loss": "loss",
    "mse": "MSE",
    "rmse": "RMSE",
    "mae": "MAE",
    "me": "ME",
    "gaussian_nll": "gaussian_nll",
    "laplacian_nll": "laplacian_nll",
}
"""Our name of a metric -> its name in the published ``test_results.json``."""


class RegressionMetric:
    """The part called "regression": errors and calibration, pooled over labelled pixels. NaN where none counts.

    - ``rmse``, ``mae``, ``mse``, ``me`` (mean of prediction less truth), ``r2`` (1 less the squared error over that
      of the mean of the truth; NaN where the truth does not vary).

    Of a model with an error model also, v = exp(s) + 1e-8 of the predicted log-variance:

    - ``gaussian_nll``, without constants as published, of the variance; ``laplacian_nll``, as published, of v as the
      scale whatever it was trained as.
    - ``coverage_50`` to ``coverage_95``: share of truths in the central interval of the model's own distribution.
    - ``ence``: expected normalised calibration error (Levi et al. 2022), mean over bins of the predicted spread of
      |root mean variance - RMSE| / root mean variance.
    - ``sharpness``: root of the mean predicted variance, in the unit of the target.
    - ``z_rms``: root mean square of errors over their predicted deviation: 1 is right, above 1 too sure.
    - ``crps``: continuous ranked probability score, in the unit of the target.

    A model of quantiles has coverage and CRPS of these, and ``below_5`` and so on: the share of truths below each,
    which should be 5 %. All else is of the Gaussian with its median and a deviation from its outermost quantiles.

    Of several quantities each has its own, as ``rmse_height``, and ``rmse`` is their mean.

    Args:
        bins: rising inner edges of bins of the target; a test has a table of them. A bin holds its lower edge.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``metric=regression``."""

        bins: list[float] = option([], "inner edges of bins of the target that a test tells apart, rising")
        quantiles: int = option(
            5, "bins of about as many training labels each, where metric.bins names none; 0 has none", minimum=0
        )

    def __init__(self, bins: Sequence[float] = ()) -> None:
        if any(b <= a for a, b in pairwise(bins)):
            raise SpectrainError(f"the edges {list(bins)} make no bins", where="metric.bins", fix="let them rise")
        self.bins = tuple(bins)

    @classmethod
    def from_config(cls, config: Config) -> RegressionMetric:
        """Return the part."""
        return cls(config.bins)

    def start(self) -> RegressionSums:
        """Return fresh sums for one evaluation."""
        return RegressionSums()

    def tables(self) -> Tables:
        """Return what collects the tables of a test."""
        from .regression_tables import RegressionTables  # which needs what is here

        return RegressionTables(self.bins)


class RegressionSums(Summed):
    """Sums over the labelled pixels of an evaluation, those of `sums_of` and `figure_sums`: a row a quantity.

    Attributes:
        limits: lowest and highest value of each quantity in plots; None makes no sums that are only drawn.
    """

    def __init__(self, limits: Sequence[tuple[float, float]] | None = None) -> None:
        super().__init__()
        self.limits = limits
        self._names: tuple[str, ...] = ()
        self._limits: Tensor | None = None

    @torch.no_grad()
    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch of `Regressed`; what does not count there does not here."""
        assert isinstance(output, Regressed)
        self._names = output.names
        new = sums_of(output)
        if self.limits is not None:
            from .regression_figures import figure_sums  # which needs what is here

            if self._limits is None:  # copied to the device once: each copy waits for it
                device = output.mean.device
                self._limits = torch.tensor(self.limits, dtype=widest(device), device=device)
            new |= figure_sums(output, self._limits)
        self.add_sums(new)

    def compute(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return the metrics by name."""
        host = read_sums(sums)
        if not host:
            return dict.fromkeys(VALUES, math.nan)
        return named({name: value.tolist() for name, value in of_sums(host).items()}, self._names)


def named(values: Mapping[str, Sequence[float]], names: Sequence[str]) -> dict[str, float]:
    """Return metrics by name from a number a quantity: of several, their mean and each."""
    found = {name: sum(of_each) / len(of_each) for name, of_each in values.items()}
    if len(names) > 1:
        found |= {f"{name}_{one}": x for name, of in values.items() for one, x in zip(names, of, strict=True)}
    return found


def quantity_of(found: Regressed) -> Tensor:
    """Return the number of the quantity of each value, int64, broadcastable to it."""
    number = torch.arange(len(found.names), device=found.mean.device)
    return number.view(1, -1, *[1] * (found.mean.ndim - 2))


def sums_of(
    found: Regressed, cell: Tensor | None = None, cells: int | None = None, fine: int = FINE
) -> dict[str, Tensor]:
    """Return sums over labelled values, each [cells], float64 where the device has it; without waiting for the device.

    Sums add up over batches and processes, so the variance of the truth comes from that of its squares. What cancels
    there is (mean / deviation)² of the last digit: 1e-8 of it in float64 for heights of 3,000 m that differ by 0.3 m.
    In float32 nothing would be left, as on devices without float64, where ``r2`` is to be trusted of centred targets
    only. Errors are taken in float64 too, of values that are float32.

    Args:
        found: values and labels.
        cell: int64 from 0, which cell each value belongs to, broadcastable to the values; None is its quantity.
        cells: how many; None is one a quantity.
        fine: bins of the predicted log-variance.

    Returns:
        ``count error absolute square y yy``; of a model with an error model also ``gaussian_nll laplacian_nll variance
        zz crps coverage_50...`` and, [cells,fine], ``fine_count fine_variance fine_square``; of one of quantiles also
        ``below_5...``.
    """
    valid = found.valid
    wide = widest(found.mean.device)
    size = len(found.names) if cells is None else cells
    own = quantity_of(found) if cell is None else cell
    place = torch.where(valid, own, size).flatten()  # what does not count has a cell of its own, dropped at the end

    def scattered(values: Tensor, at: Tensor, size: int) -> Tensor:
        held = torch.zeros(size + 1, dtype=wide, device=values.device)
        return held.scatter_add_(0, at, values.to(wide).flatten())[:-1]

    def added(values: Tensor) -> Tensor:
        if cell is not None:
            return scattered(values, place, size)
        if values.dtype != torch.bool:  # of which holes are False
            values = fill_invalid(values, valid)
        return values.transpose(0, 1).flatten(1).sum(1, dtype=wide)  # no two threads wait for one cell

    y = fill_invalid(found.y, valid).to(wide)
    error = fill_invalid(found.mean, valid).to(wide) - y
    square = error.square()
    terms = {"count": valid, "error": error, "absolute": error.abs(), "square": square, "y": y, "yy": y.square()}
    sums = {name: added(values) for name, values in terms.items()}
    if found.log_variance is None:
        return sums
    spread = found.spread.to(wide)
    variance = spread if found.error == "gaussian" else 2 * spread.square()
    log = variance.log()
    zz = square / variance
    sums["gaussian_nll"] = added(0.5 * zz + 0.5 * log)
    sums["laplacian_nll"] = added(error.abs() / spread + spread.log())
    sums["variance"], sums["zz"] = added(variance), added(zz)
    if found.quantiles is not None:
        held = quantile_terms(found, y, LEVELS)
    else:
        held = {coverage_name(level): zz <= half_width(level, found.error) ** 2 for level in LEVELS}
        held["crps"] = crps(error, variance, found.error)
    sums |= {name: added(values & valid if values.dtype == torch.bool else values) for name, values in held.items()}
    step = (log - LOWEST) * (fine / (HIGHEST - LOWEST))
    step = step.nan_to_num(fine - 1).clamp(0, fine - 1).long().flatten()
    step = torch.where(place < size, place * fine + step, size * fine)
    for name, values in (("count", valid), ("variance", variance), ("square", square)):
        sums[f"fine_{name}"] = scattered(values, step, size * fine).view(size, fine)
    return sums


def of_sums(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the metrics of each cell, from sums [...] (and [...,bins]), float64 on the host; NaN where it is empty."""
    count = sums["count"]
    mse = sums["square"] / count
    varied = sums["yy"] - sums["y"].square() / count
    # what rounding leaves of labels that are all alike is no variation
    varied = torch.where(varied > 1e-13 * sums["yy"], varied, torch.nan)
    found = {
        "rmse": mse.sqrt(),
        "mae": sums["absolute"] / count,
        "me": sums["error"] / count,
        "r2": 1 - sums["square"] / varied,
        "mse": mse,
    }
    if "variance" not in sums:
        return found
    shares = [name for name in sums if name.startswith(("coverage_", BELOW))]
    for name in ("gaussian_nll", "laplacian_nll", *shares):
        found[name] = sums[name] / count
    found["ence"] = ence(sums["fine_count"], sums["fine_variance"], sums["fine_square"])
    found["sharpness"] = (sums["variance"] / count).sqrt()
    found["z_rms"] = (sums["zz"] / count).sqrt()
    found["crps"] = sums["crps"] / count
    return found


def ence(count: Tensor, variance: Tensor, square: Tensor, groups: int = GROUPS) -> Tensor:
    """Return the expected normalised calibration error [...] of sums by fine bins of the log-variance [...,bins].

    Fine bins are joined to at most ``groups`` that are about equally full; one too full for it is a group alone.
    """
    joined = [join_bins(values, count, groups) for values in (count, variance, square)]
    filled = joined[0] > 0
    n = joined[0].clamp(min=1)
    deviation, rmse = (joined[1] / n).sqrt(), (joined[2] / n).sqrt()
    off = torch.where(filled, (deviation - rmse).abs() / torch.where(filled, deviation, 1.0), 0.0)
    return off.sum(-1) / filled.sum(-1)


def join_bins(values: Tensor, count: Tensor, groups: int = GROUPS) -> Tensor:
    """Return sums [...,bins] as sums [...,groups] over neighbouring bins that hold about as many labels together."""
    total = count.sum(-1, keepdim=True).clamp(min=1)
    middle = count.cumsum(-1) - count / 2
    group = (middle / total * groups).long().clamp(0, groups - 1)
    return values.new_zeros(*values.shape[:-1], groups).scatter_add_(-1, group, values)
