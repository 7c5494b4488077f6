"""How far a mean may be off: spreads, and intervals by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev

LEVEL = 0.95
"""Of all intervals."""


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample (n - 1); NaN of fewer than two values."""
    return stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of Student's t around the mean of values; NaN of fewer than two.

    Args:
        values: taken as independent draws of one normal distribution.
        level: share of such intervals that hold its mean.
    """
    deviation = spread(values)
    if math.isnan(deviation):
        return math.nan, math.nan
    reach = t_quantile(0.5 + level / 2, len(values) - 1) * deviation / math.sqrt(len(values))
    middle = mean(values)
    return middle - reach, middle + reach


def t_quantile(share: float, freedom: int) -> float:
    """Return the value that Student's t is below with a probability ``share`` of 0.5 to 1.

    By bisection of the distribution function, which is a finite sum for whole degrees of freedom; so that no more than
    the standard library is needed.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if 0.5 + _within(middle, freedom) / 2 < share:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Return the probability of |t| below sqrt(freedom) tan(angle); Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(1 + odd, freedom, 2):
        total += term
        term *= power / (power + 1) * cosine**2
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
