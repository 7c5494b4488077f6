"""One pass over a split without training: losses, metrics, and one batch to draw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from ..core.batch import Batch
from ..core.distributed import world_size
from ..core.random import Key
from ..tasks.base import Step
from .curves import StepLosses
from .session import Session, Source


@dataclass
class Evaluation:
    """What an evaluation found.

    Attributes:
        losses: by name and step, already on the host.
        metrics: by name; NaN where nothing was counted.
        first: the first batch and what the task said of it, for a picture.
    """

    losses: StepLosses
    metrics: dict[str, float]
    first: tuple[Step, Batch] | None

    def values(self, suffix: str) -> dict[str, float]:
        """Return losses and metrics as one row, each name with ``_suffix``."""
        row = {f"{name}_{suffix}": self.losses.mean(name) for name in self.losses.names}
        return {**row, **{f"{name}_{suffix}": value for name, value in self.metrics.items()}}


def rehearse(session: Session) -> set[str]:
    """Take two samples of each split through reading, augmentation, model, loss and metrics; nothing is learned.

    What does not fit (labels, sizes, bands) is found here, before a run begins.

    Returns:
        The names of the values that an epoch will have.
    """
    count = min(2, *(len(source.patches) for source in (session.train, session.valid) if source is not None))
    few = [np.arange(count, dtype=np.int64)]
    key = Key(session.cfg.general.seed, "augment")
    for raw in session.train.loader.load(few):
        session.prepare(raw, session.train, key, augment=True)
    found = evaluate(session, session.valid or session.train, few)
    names = {"lr", *(f"{name}_train" for name in found.losses.names)}
    return names if session.valid is None else names | set(found.values("valid"))


@torch.no_grad()
def evaluate(session: Session, source: Source, batches: Iterable[NDArray[np.int64]]) -> Evaluation:
    """Evaluate the model on ``batches`` of a split.

    In eval mode, so batch norm learns nothing from it; every random draw is fixed by the sample, so two evaluations
    of the same weights agree. Rows that only fill up the last batch have no weight.
    """
    model = session.model
    losses, metrics, first = StepLosses(), session.task.metrics(), None
    key = Key(session.cfg.general.seed, "valid")
    model.eval()
    try:
        for raw in source.loader.load(batches):
            batch = session.prepare(raw, source, key, augment=False)
            with session.autocast():
                step = session.task.loss(model, batch)
            losses.add({"loss": step.loss, **step.parts})
            if metrics is not None:
                metrics.update(step.output, batch)
            first = first or (step, batch)
    finally:
        model.train()
    losses.fetch()
    values: dict[str, float] = {}
    if metrics is not None:
        sums = metrics.sums()
        if world_size() > 1:
            for name in sorted(sums):
                dist.all_reduce(sums[name])
        values = metrics.compute(sums)
    return Evaluation(losses, values, first)
