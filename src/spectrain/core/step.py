"""What a task says of one batch, for the loop, the metrics and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .loss_sum import LossSum


@dataclass(frozen=True, slots=True)
class Step:
    """What a task says of one batch.

    Attributes:
        loss: the sum to backpropagate, and its weight.
        parts: named components for the log, each a sum and a weight of its own; not backpropagated.
        output: what the model returned, for metrics and pictures.
    """

    loss: LossSum
    parts: dict[str, LossSum] = field(default_factory=dict)
    output: Any = None


def mean_step(steps: Sequence[Step], output: Any) -> Step:
    """Return a step whose loss and parts are the means of those of several models on the same batch."""

    def mean(sums: Sequence[LossSum]) -> LossSum:
        total = sums[0]
        for one in sums[1:]:
            total = total + one
        return LossSum(total.sum / len(sums), total.weight / len(sums))

    parts = {name: mean([step.parts[name] for step in steps]) for name in steps[0].parts}
    return Step(mean([step.loss for step in steps]), parts, output)
