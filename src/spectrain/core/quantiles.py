"""The quantiles that a model gives, and those of other levels that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from torch import Tensor

_SAME = 1e-9  # (1 - 0.9) / 2 is 0.04999999999999999


def quantile_weights(levels: Sequence[float], level: float) -> list[float]:
    """Return what each of a model's quantiles weighs in the quantile of any level; they sum to 1.

    One of its own levels is that quantile itself. Between two of them the value runs straight along the standard
    deviations at which a Gaussian has these levels, so of a Gaussian it is exact. Beyond the outermost it goes on as a
    Gaussian that has the median and this quantile, so each side has a deviation of its own.

    Args:
        levels: of the quantiles, rising, on both sides of 0.5.
        level: between 0 and 1.
    """
    found = [0.0] * len(levels)
    for place, one in enumerate(levels):
        if math.isclose(one, level, abs_tol=_SAME):
            found[place] = 1.0
            return found
    place_of = NormalDist().inv_cdf
    if not levels[0] < level < levels[-1]:
        end = 0 if level < levels[0] else len(levels) - 1
        share = place_of(level) / place_of(levels[end])
        found = [(1 - share) * weight for weight in quantile_weights(levels, 0.5)]
        found[end] += share
        return found
    above = next(place for place, one in enumerate(levels) if one > level)
    low, high = place_of(levels[above - 1]), place_of(levels[above])
    found[above] = (place_of(level) - low) / (high - low)
    found[above - 1] = 1 - found[above]
    return found


def quantile_at(quantiles: Tensor, levels: Sequence[float], level: float) -> Tensor:
    """Return the quantile of any level, see `quantile_weights`.

    Args:
        quantiles: [N,L,...], sorted, in the order of ``levels``.
        levels: of them.
        level: wanted.

    Returns:
        [N,...].
    """
    parts = [quantiles[:, at] * weight for at, weight in enumerate(quantile_weights(levels, level)) if weight]
    return sum(parts[1:], parts[0])


def central_interval(quantiles: Tensor, levels: Sequence[float], share: float) -> tuple[Tensor, Tensor]:
    """Return both ends [N,...] of the interval that is to hold a share, as much of the rest below it as above."""
    return quantile_at(quantiles, levels, (1 - share) / 2), quantile_at(quantiles, levels, (1 + share) / 2)


def own_shares(levels: Sequence[float]) -> tuple[float, ...]:
    """Return the shares of those central intervals of which both ends are among the levels."""
    ends = [one for one in levels if any(math.isclose(1 - one, other, abs_tol=_SAME) for other in levels)]
    return tuple(round(1 - 2 * one, 9) for one in ends if one < 0.5 - _SAME)
