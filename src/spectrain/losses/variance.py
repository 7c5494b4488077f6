"""How what a model says of its variance becomes a log-variance that stays within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from ..core.quantiles import quantile_at

VarianceForm = Literal["bounded", "published"]
LOW, HIGH = -10.0, 10.0


def bounded_log_variance(raw: Tensor, low: float = LOW, high: float = HIGH) -> Tensor:
    """Return ``raw`` where it lies well between ``low`` and ``high``, and bent towards the nearer one beyond.

    Two soft-plus bends (Chua et al. 2018), with fixed bounds. Clamping would do for the values, but its gradient is 0
    outside: a pixel whose log-variance once left the bounds would never come back. Here the slope is near 1 inside (a
    half at a bound) and above 0 up to about 85 outside, where float32 ends. 3 inside a bound the value is changed by
    0.05, in the middle of the default bounds not at all.

    Args:
        raw: any shape; half precision is counted in float32.
        low: standard deviations stay above ``exp(low / 2)``: 0.0067 by default.
        high: and below ``exp(high / 2)``: 148 by default. Both are in the unit of the target, so one with larger errors
            is to be standardised or needs a higher bound.
    """
    below = high - F.softplus(high - raw.float())
    return low + F.softplus(below - low)


def published_log_variance(raw: Tensor) -> Tensor:
    """Return ``softplus(raw)`` in float32, the form of the published weights: the variance is never below 1."""
    return F.softplus(raw.float())


def log_variance(raw: Tensor, form: VarianceForm = "bounded", low: float = LOW, high: float = HIGH) -> Tensor:
    """Return the log-variance of ``raw`` in one of both forms."""
    return published_log_variance(raw) if form == "published" else bounded_log_variance(raw, low, high)


def moments_of_quantiles(quantiles: Tensor, levels: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the median and the log-variance of a Gaussian that has the outermost two quantiles as far apart.

    Quantiles that cross are sorted first, which never makes them worse (Chernozhukov et al. 2010).

    Args:
        quantiles: float32 [N,L,...], in the order of ``levels``.
        levels: L rising numbers between 0 and 1, on both sides of 0.5 or 0.5 itself between others.

    Returns:
        Both [N,...]; the median is interpolated where 0.5 is no level, see `quantile_weights`.
    """
    found = quantiles.float().sort(dim=1).values
    median = quantile_at(found, levels, 0.5)
    normal = NormalDist()
    apart = normal.inv_cdf(levels[-1]) - normal.inv_cdf(levels[0])
    sigma = (found[:, -1] - found[:, 0]) / apart
    return median, 2 * sigma.clamp(min=1e-4).log()
