"""The labelled pixels of an evaluation themselves, for files of predictions and for recalibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.batch import Batch
from ..core.regressed import Regressed
from .calibration import Recalibration, fit_recalibration
from .regression import LEVELS


@dataclass(frozen=True)
class Labelled:
    """Labelled pixels of one quantity, in the order of the evaluation.

    Attributes:
        index: int64 [n], each one's image in its split.
        mean: float32 [n], predicted.
        variance: float32 [n], predicted; None where the model gives values alone.
        y: float32 [n], measured.
    """

    index: NDArray[np.int64]
    mean: NDArray[np.float32]
    variance: NDArray[np.float32] | None
    y: NDArray[np.float32]


class LabelledPixels:
    """Collects labelled pixels batch by batch, 20 bytes each on the host; of dense labels that is much.

    Each batch waits for the device, once a quantity: it is not for the training.
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[Labelled]] = {}

    @torch.no_grad()
    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch of `Regressed`; what does not count there is left out."""
        assert isinstance(output, Regressed)
        index = batch.index.to(output.mean.device)[output.images].expand_as(output.mean)
        variance = None if output.log_variance is None else output.variance
        for number, name in enumerate(output.names):
            kept = output.valid[:, number]
            index_, mean, y = (x[:, number][kept].cpu().numpy() for x in (index, output.mean, output.y))
            v = None if variance is None else variance[:, number][kept].cpu().numpy()
            self._parts.setdefault(name, []).append(Labelled(index_, mean, v, y))

    def of(self, name: str) -> Labelled:
        """Return all pixels of a quantity."""
        parts = self._parts[name]
        spread = [part.variance for part in parts if part.variance is not None]
        return Labelled(
            np.concatenate([part.index for part in parts]),
            np.concatenate([part.mean for part in parts]),
            np.concatenate(spread) if spread else None,
            np.concatenate([part.y for part in parts]),
        )

    def recalibration(self, levels: tuple[float, ...] = LEVELS) -> Recalibration | None:
        """Return what was fitted on these pixels; None where the model gives values alone, or no batch was seen."""
        found = {name: self.of(name) for name in self._parts}
        spread = {name: one.variance for name, one in found.items() if one.variance is not None}
        if not spread:
            return None
        return fit_recalibration(
            {name: one.mean for name, one in found.items()},
            spread,
            {name: one.y for name, one in found.items()},
            levels,
        )
