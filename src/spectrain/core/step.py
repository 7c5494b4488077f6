"""What a task says of one batch, for the loop, the metrics and the pictures."""

from __future__ import annotations

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
