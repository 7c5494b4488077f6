"""The contract of a task: targets, loss, metrics, picture. Nothing else in the product knows labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.loss_sum import LossSum
from ..core.targets import NoTarget, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


class Metrics(ABC):
    """Sums on the device: added up batch by batch, over processes by the loop, read once at the end."""

    @abstractmethod
    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch; rows where ``batch.real`` is False do not count. No host synchronisation here."""

    @abstractmethod
    def sums(self) -> dict[str, Tensor]:
        """Return the sums, float64 where the device has it; every process has the same names and shapes."""

    @abstractmethod
    def compute(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return the metrics from the (summed) sums; NaN where nothing was counted."""


class Task(ABC):
    """What is learned.

    Attributes:
        views: how many augmented views of each sample a batch holds.
        additive: the loss of a batch is the sum of the losses of its parts, so micro-batches may be summed. A task
            whose loss couples the samples of a batch (contrastive) says False and splits `loss` into `outputs` and
            `loss_of`; the loop then caches the outputs of all micro-batches (gradient caching).
    """

    views: int = 1
    additive: bool = True

    def targets(self, labels: NDArray[np.generic] | None) -> Target:
        """Return stored labels (first axis B) as a target on the CPU; called in the loader's workers.

        Raises:
            DataError: the labels are missing or are not what this task needs.
        """
        return NoTarget()

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Step:
        """Return the loss of a batch, by calling ``model(batch)``."""

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return what the coupled loss is a function of, rows as in the batch; only for tasks that are not additive."""
        raise TypeError(f"{type(self).__name__} is additive: its loss does not need cached outputs")

    def loss_of(self, outputs: Tensor, batch: Batch) -> Step:
        """Return the loss from `outputs`; only for tasks that are not additive."""
        raise TypeError(f"{type(self).__name__} is additive: its loss does not need cached outputs")

    def metrics(self) -> Metrics | None:
        """Return fresh sums for one evaluation, or None."""
        return None

    def picture(self, step: Step, batch: Batch) -> Figure | None:
        """Return a figure of the first few samples of a validation batch, or None."""
        return None
