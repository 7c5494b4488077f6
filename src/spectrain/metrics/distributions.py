"""Closed forms of Gaussian and Laplace errors: intervals and the CRPS."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch import Tensor

from ..core.regressed import ErrorModel


def half_width(level: float, error: ErrorModel) -> float:
    """Return half the central interval that holds a share ``level`` of the errors, in standard deviations."""
    if error == "laplace":
        return -math.log1p(-level) / math.sqrt(2)
    return NormalDist().inv_cdf((1 + level) / 2)


def coverage_name(level: float) -> str:
    """Return what the share of labels within the central interval of ``level`` is called: coverage_90 of 0.9."""
    return f"coverage_{100 * level:.0f}"


def crps(error: Tensor, variance: Tensor, kind: ErrorModel) -> Tensor:
    """Return the continuous ranked probability score of each value, in its unit; 0 is best (Gneiting & Raftery 2007).

    Of a model without spread it would be the absolute error.

    Args:
        error: predicted mean less the truth.
        variance: predicted, above 0, of the same shape.
        kind: how errors are taken to be distributed.
    """
    if kind == "laplace":
        scale = (variance / 2).sqrt()
        size = error.abs() / scale
        return scale * (size + torch.exp(-size) - 0.75)
    sigma = variance.sqrt()
    z = error / sigma
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    return sigma * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))
