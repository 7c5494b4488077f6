"""A loss as a sum and a weight, so that micro-batches and processes add up to one whole batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class LossSum:
    """Sum of a loss over its terms, and how many terms (or how much weight) there were.

    The loop backpropagates ``sum``, adds ``weight`` over micro-batches and processes, and divides the gradients
    once by ``max(weight, 1)``. A batch without labels is ``sum = 0`` (still attached to the graph) and ``weight = 0``.

    Attributes:
        sum: float32 scalar on the device, differentiable.
        weight: float scalar on the device, without gradient.
    """

    sum: Tensor
    weight: Tensor

    @property
    def mean(self) -> Tensor:
        """``sum / max(weight, 1)``, on the device."""
        return self.sum / self.weight.clamp(min=1)

    def detach(self) -> LossSum:
        """Return the same numbers without the graph."""
        return LossSum(self.sum.detach(), self.weight.detach())

    def __add__(self, other: LossSum) -> LossSum:
        return LossSum(self.sum + other.sum, self.weight + other.weight)
