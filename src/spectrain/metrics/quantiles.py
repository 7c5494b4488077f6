"""How far a model's own quantiles can be trusted: terms of each label, which are summed as all metrics are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.fill import fill_invalid
from ..core.quantiles import central_interval, quantile_at
from ..core.regressed import Regressed
from .distributions import coverage_name

BELOW = "below_"
"""Begins the names of the shares of labels below the model's own quantiles."""
LEVELS_OF_CRPS = 40
"""Quantiles that the CRPS is taken of, evenly: of a Gaussian it comes out 0.05 % too high."""


def quantile_terms(found: Regressed, y: Tensor, shares: Sequence[float]) -> dict[str, Tensor]:
    """Return terms of each label, of the shape of ``y``; of no meaning where nothing counts.

    Args:
        found: values with quantiles.
        y: labels, of the type in which it is counted.
        shares: of the intervals whose coverage is counted.

    Returns:
        ``coverage_50`` and so on, bool: the label is in the interval; ``crps``; and ``below_5`` and so on, bool: it is
        below this quantile of the model's own, whatever recalibration there is.
    """
    assert found.quantiles is not None
    own, own_levels = found.own or (found.quantiles, found.levels)
    quantiles, own = (
        fill_invalid(one, found.valid[:, None]).to(y.dtype).sort(dim=1).values for one in (found.quantiles, own)
    )
    terms = {}
    for share in shares:
        low, high = central_interval(quantiles, found.levels, share)
        terms[coverage_name(share)] = (low <= y) & (y <= high)
    loss = torch.zeros_like(y)
    for number in range(LEVELS_OF_CRPS):
        level = (number + 0.5) / LEVELS_OF_CRPS
        short = y - quantile_at(quantiles, found.levels, level)
        loss += torch.maximum(level * short, (level - 1) * short)
    terms["crps"] = 2 / LEVELS_OF_CRPS * loss
    for at, level in enumerate(own_levels):
        terms[f"{BELOW}{100 * level:g}"] = y <= own[:, at]
    return terms
