"""What the parts of the spectral loss need of each token, in one pass over the values and one back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..core.pieces import pieces

_AT_ONCE = 1 << 17
"""Values at once on a CPU: with what is made of them, what a second-level cache holds."""


@dataclass(frozen=True, slots=True)
class TokenSums:
    """Sums over R tokens of u bands by P pixels, with the error e = prediction - target where it is compared, else 0.

    Attributes:
        error: [R,u], sum of e over pixels.
        squared: [R,u], sum of e².
        with_target: [R,u], sum of e times (target - centre).
        errors: [R,P], sum over bands of the squared error in the image's unit.
        along: [R,P], sum over bands of error times target in the image's unit.
        beyond: [R], sum of how far predictions lie below ``low`` or above ``high``.
    """

    error: Tensor
    squared: Tensor
    with_target: Tensor
    errors: Tensor
    along: Tensor
    beyond: Tensor


def token_sums(
    prediction: Tensor,
    target: Tensor,
    counted: Tensor | None,
    *,
    centre: Tensor,
    scale: Tensor,
    shift: Tensor,
    low: Tensor,
    high: Tensor,
) -> TokenSums:
    """Return the sums, differentiable in the prediction.

    A dozen passes over tensors that fill no cache, and as many back, become one each: values are looked at in pieces,
    and the gradient is written once.

    Args:
        prediction: float32 [R,u,P], standardised.
        target: float32 [R,u,P], standardised; finite.
        counted: bool [R,u,P], what is compared; None for everything.
        centre: [R,u,1], near the target's mean, so that nothing cancels.
        scale: [R,u,1], from standardised values to the image's unit,
        shift: and the summand [R,u,1].
        low: [R,u,1], lowest standardised value that is in range; -inf for any.
        high: highest, likewise.
    """
    return TokenSums(*_Sums.apply(prediction, target, counted, centre, scale, shift, low, high))


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, prediction: Tensor, target: Tensor, counted: Tensor | None, *of_band: Tensor) -> Any:
        ctx.save_for_backward(prediction, target, *of_band, *([] if counted is None else [counted]))
        parts = []
        for rows in pieces(prediction, _AT_ONCE):
            p, t = prediction[rows], target[rows]
            centre, scale, shift, low, high = (one[rows] for one in of_band)
            error = _compared(p - t, counted, rows)
            physical = error * scale
            beyond = _compared(p - torch.clamp(p, low, high), counted, rows)
            parts.append(
                (
                    error.sum(2),
                    error.square().sum(2),
                    (error * (t - centre)).sum(2),
                    physical.square().sum(1),
                    (physical * torch.addcmul(shift, t, scale)).sum(1),
                    beyond.abs().sum((1, 2)),
                )
            )
        return tuple(torch.cat(part) for part in zip(*parts, strict=True)) if len(parts) > 1 else parts[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        prediction, target, centres, scales, shifts, lows, highs, *masks = ctx.saved_tensors
        counted = masks[0] if masks else None
        gradient = torch.empty_like(prediction)
        for rows in pieces(prediction, _AT_ONCE):
            p, t = prediction[rows], target[rows]
            centre, scale, shift, low, high = (one[rows] for one in (centres, scales, shifts, lows, highs))
            of_error, squared, with_target, errors, along, beyond = (one[rows] for one in gradients)
            outside = (p > high).to(p.dtype) - (p < low).to(p.dtype)
            slope = 2 * (squared[:, :, None] + errors[:, None] * scale.square()) * (p - t)
            slope += of_error[:, :, None] + with_target[:, :, None] * (t - centre)
            slope += along[:, None] * scale * torch.addcmul(shift, t, scale)
            slope += beyond[:, None, None] * outside
            gradient[rows] = _compared(slope, counted, rows)
        return gradient, *[None] * 7


def _compared(values: Tensor, counted: Tensor | None, rows: slice) -> Tensor:
    """Return values, 0 where they are not compared."""
    return values if counted is None else torch.where(counted[rows], values, values.new_zeros(()))
