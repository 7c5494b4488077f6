"""Sums over labelled pixels that are only drawn: predicted against true values, and how errors are distributed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.fill import fill_invalid
from ..core.regressed import Regressed
from .base import widest
from .regression import FINE, HIGHEST, LOWEST, quantity_of

CELLS = 64
"""Rows and columns of predicted against true between the limits of a quantity."""


def figure_sums(found: Regressed, limits: Tensor | Sequence[tuple[float, float]]) -> dict[str, Tensor]:
    """Return sums that add up over batches and processes, float64 where the device has it; without waiting for it.

    Args:
        found: values and labels of Q quantities.
        limits: lowest and highest value of each quantity, [Q,2]; a tensor of `widest` type there is not copied again.

    Returns:
        ``joint`` [Q,66,66], labels by true (rows) and predicted value (columns): the first and the last hold what lies
        below and above the limits (or is not finite). Of a model with an error model also ``error_count`` and
        ``error_square`` [Q,1024], labels and their squared errors by the logarithm of these: from them comes the error
        of those that one would keep who knew it.
    """
    wide, quantities, side = widest(found.mean.device), len(found.names), CELLS + 2
    own, valid = quantity_of(found), found.valid

    def summed(cell: Tensor, count: int, values: Tensor) -> Tensor:
        cell = torch.where(valid, own * count + cell, quantities * count)  # what does not count has one of its own
        held = torch.zeros(quantities * count + 1, dtype=wide, device=cell.device)
        return held.scatter_add_(0, cell.flatten(), values.to(wide).flatten())[:-1].view(quantities, count)

    shape = (1, -1, *[1] * (found.mean.ndim - 2))
    low, high = (end.view(shape) for end in torch.as_tensor(limits, dtype=wide, device=own.device).unbind(1))

    def place(values: Tensor) -> Tensor:
        step = ((fill_invalid(values, valid).to(wide) - low) / (high - low) * CELLS).floor() + 1
        return step.nan_to_num(0).clamp(0, side - 1).long()

    sums = {"joint": summed(place(found.y) * side + place(found.mean), side * side, valid).view(-1, side, side)}
    if found.log_variance is None:
        return sums
    square = (fill_invalid(found.mean, valid).to(wide) - fill_invalid(found.y, valid).to(wide)).square()
    step = (square.log() - LOWEST) * (FINE / (HIGHEST - LOWEST))
    step = step.nan_to_num(FINE - 1).clamp(0, FINE - 1).long()
    return {**sums, "error_count": summed(step, FINE, valid), "error_square": summed(step, FINE, square)}
