"""One pass over a split without training: losses, metrics, and one batch to draw."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..core.batch import Batch, RawBatch
from ..core.distributed import world_size
from ..core.random import Key
from ..data.mixture import MixedEvalOrder, eval_order
from ..data.order import EvalOrder
from ..tasks.base import Metrics, Step
from .curves import StepLosses
from .micro_batches import join, join_views
from .session import Session
from .subject import Source, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Evaluation:
    """What an evaluation found.

    Attributes:
        losses: by name and step, already on the host.
        metrics: by name; NaN where nothing was counted.
        shown: of the first batches, as much as a picture shows, and what the task said of it.
        figures: draws the metrics.
    """

    losses: StepLosses
    metrics: dict[str, float]
    shown: list[tuple[Step, Batch]]
    figures: Callable[[], dict[str, Figure]] | None = None

    def values(self, suffix: str) -> dict[str, float]:
        """Return losses and metrics as one row, each name with ``_suffix``."""
        row = {f"{name}_{suffix}": self.losses.mean(name) for name in self.losses.names}
        return {**row, **{f"{name}_{suffix}": value for name, value in self.metrics.items()}}


def rehearse(session: Session) -> set[str]:
    """Take two samples of each split and data set all the way from reading to metrics; nothing is learned.

    What does not fit (labels, sizes, bands) is found here, before a run begins.

    Returns:
        The names of the values that an epoch will have.
    """
    key = Key(session.cfg.general.seed, "augment")
    for raw in session.train.loader.load(eval_order(session.train.patches, 2, first=2).batches()):
        session.prepare(raw, session.train, key, augment=True)
    source = session.valid or session.train
    with _uncompiled():
        found = evaluate(session, source, eval_order(source.patches, 2, first=2))
    names = {"lr", *(f"{name}_train" for name in found.losses.names)}
    if session.valid is None:
        return names
    return names | set(found.values("valid")) | set(session.probe.names if session.probe is not None else ())


def _uncompiled() -> AbstractContextManager[Any]:
    """Return a block in which nothing is compiled.

    Compiled for two samples first, torch.compile would take the size of a batch for one that varies ever after. Where
    the compiler was not even imported nothing is compiled anyway, and it takes a second to import.
    """
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    eager: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return eager


@torch.no_grad()
def evaluate(
    subject: Subject,
    source: Source,
    order: EvalOrder | MixedEvalOrder,
    each: Callable[[Step, Batch], None] | None = None,
    *,
    metrics: Metrics | None = None,
    pictures: int = 1,
) -> Evaluation:
    """Evaluate the model on a split, or as much of it as ``order`` has.

    In eval mode, so batch norm learns nothing from it; every random draw is fixed by the sample, so two evaluations
    of the same weights agree. Rows that only fill up the last batch have no weight. Where the loss compares samples
    with each other, those of a group of ``order`` are compared, however they are cut into batches.

    Args:
        subject: the model and its task.
        source: the split.
        order: what of it, in what batches.
        each: is shown each batch (each group, without images, where samples are coupled) and what the task said of it.
        metrics: collects the metrics; None is the task's own.
        pictures: how many batches (of groups, the first batch of each) to keep for a picture.
    """
    model, task = subject.model, subject.task
    losses, metrics = StepLosses(), task.metrics() if metrics is None else metrics
    shown: list[tuple[Step, Batch]] = []
    raws = iter(source.loader.load(order.batches()))
    was_training = model.training
    model.eval()
    try:
        for group in order.groups():
            step, batch, few = _of_group(subject, [next(raws) for _ in group], source, show=len(shown) < pictures)
            losses.add({"loss": step.loss, **step.parts})
            if metrics is not None:
                metrics.update(step.output, batch)
            if each is not None:
                each(step, batch)
            shown += [] if few is None else [few]
            del step, batch, few  # before the next are made
    finally:
        model.train(was_training)
    losses.fetch()
    values: dict[str, float] = {}
    figures = None
    if metrics is not None:
        sums = metrics.sums()
        if world_size() > 1:
            for name in sorted(sums):
                dist.all_reduce(sums[name])
        values, figures = metrics.compute(sums), partial(task.figures, sums)
    return Evaluation(losses, values, shown, figures)


def _of_group(
    subject: Subject, raws: list[RawBatch], source: Source, *, show: bool
) -> tuple[Step, Batch, tuple[Step, Batch] | None]:
    """Return the loss of a group, the batch that it is the loss of, and what a picture shows of its first batch."""
    task, model = subject.task, subject.model
    if task.additive:
        (raw,) = raws
        batch = subject.evaluation_batch(raw, source)
        step = subject.step(batch)
        if not show:
            return step, batch, None
        output, few = task.shown(step.output, batch)
        return step, batch, (replace(step, output=output), few)
    outputs: list[Tensor] = []
    parts: list[Batch] = []
    first: tuple[Any, Batch] | None = None
    for raw in raws:
        batch = subject.evaluation_batch(raw, source)
        with subject.autocast():
            outputs.append(task.outputs(model, batch))
        if show and first is None:
            first = task.shown(outputs[0], batch)
        parts.append(join([batch]))  # without the images
    whole = join(parts)
    step = task.loss_of(join_views(outputs, task.views), whole)
    return step, whole, None if first is None else (replace(step, output=first[0]), first[1])
