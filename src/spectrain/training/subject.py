"""What is trained or tested: a task, how a batch is made ready for it, and a model with it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..config.schema import Config
from ..core.batch import Batch, RawBatch, stack_views
from ..core.random import Key
from ..core.reconstruction import Reconstruction
from ..core.registry import lookup
from ..core.step import Step
from ..data.loader import Loader
from ..data.mixture import ByDataset, by_dataset, datasets_of
from ..data.patches import Patches
from ..data.values import Values
from ..tasks.base import Task
from .processes.devices import autocast

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Source:
    """One split, ready to be read: its patches, their way to physical values, and a loader."""

    patches: Patches
    values: Values | ByDataset
    loader: Loader


@dataclass
class Setting:
    """A task on its device, and how a batch is made ready for it; that takes no model.

    Attributes:
        cfg: the configuration of the training.
        device: where it runs.
        amp: type of mixed precision, or None.
        task: what is learned.
        augmentation: what makes views.
    """

    cfg: Config
    device: torch.device
    amp: torch.dtype | None
    task: Task
    augmentation: Any

    @property
    def convolves(self) -> bool:
        """The model's layers are quickest on channels last; one that is wrapped otherwise than usual takes tokens."""
        return not hasattr(lookup("model", self.cfg.model.name), "wrapper")

    def prepare(self, raw: RawBatch, source: Source, key: Key, *, augment: bool) -> Batch:
        """Return the batch the model sees: on the device, in physical values, with the task's views.

        A task of several views gets them drawn by the augmentation also where ``augment`` is False: they are what
        it compares. ``key`` then keeps the draws fixed.
        """
        batch: Batch = source.values(raw.to(self.device, non_blocking=True)).replace(key=key)
        if augment or self.task.views > 1:
            views = [self.augmentation(batch, key.at(view=view)) for view in range(self.task.views)]
            batch = stack_views(views)
        if self.cfg.general.channels_last and self.convolves:
            batch = batch.replace(image=batch.image.contiguous(memory_format=torch.channels_last))
        return batch

    def training_batch(self, raw: RawBatch, source: Source, epoch: int) -> Batch:
        """Return the batch that an epoch of training learns from: augmented anew, or always the same to overfit."""
        overfit = bool(self.cfg.hparams.overfit_batches)
        key = Key(self.cfg.general.seed, "augment", 0 if overfit else epoch)
        return self.prepare(raw, source, key, augment=not overfit)

    def evaluation_batch(self, raw: RawBatch, source: Source) -> Batch:
        """Return the batch that an evaluation looks at, by fixed draws; by those of training where it overfits."""
        if self.cfg.hparams.overfit_batches:
            return self.training_batch(raw, source, 0)
        return self.prepare(raw, source, Key(self.cfg.general.seed, "valid"), augment=False)


@dataclass
class Subject(Setting):
    """A model with its task, on its device.

    Attributes:
        model: unwrapped.
    """

    model: nn.Module

    @property
    def convolves(self) -> bool:
        """The model's layers are quickest on channels last."""
        found: bool = getattr(self.model, "convolves", True)
        return found

    def step(self, batch: Batch) -> Step:
        """Return the loss of a batch and what the model made of it; only for additive tasks."""
        with self.autocast():
            return self.task.loss(self.model, batch)

    def picture(self, step: Step, batch: Batch, source: Source) -> Figure | None:
        """Return the task's figure of a step, or None; ``batch`` is of ``source``."""
        return self.task.picture(_as_shown(step, batch, source), batch)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the mixed-precision block, or one that does nothing."""
        return autocast(self.device, self.amp)


@dataclass
class EnsembleSubject(Subject):
    """Several models that are tested as one; what it has of a `Subject` is the first one's.

    Attributes:
        members: all of them, the first one too.
    """

    members: Sequence[Subject]

    def step(self, batch: Batch) -> Step:
        """Return what the task makes of all models' steps (`Task.ensemble`)."""
        return self.task.ensemble([one.step(batch) for one in self.members])


def source_of(
    cfg: Config, patches: Patches, task: Task, device: torch.device, all_valid: Sequence[bool] | None = None
) -> Source:
    """Return a split ready to be read.

    Args:
        cfg: the configuration.
        patches: the split.
        task: makes targets of its labels.
        device: where batches go.
        all_valid: for each data set, whether it is known to hold no missing value; None where that is not known.
    """
    datasets = datasets_of(patches)
    complete = all_valid if all_valid is not None else [False] * len(datasets)
    loader = Loader(patches, task.targets, num_workers=cfg.general.num_workers, pin_memory=device.type == "cuda")
    values = [
        Values(one.bands, cfg.dataset.transform, all_valid=whole) for one, whole in zip(datasets, complete, strict=True)
    ]
    return Source(patches, by_dataset(values), loader)


def _as_shown(step: Step, batch: Batch, source: Source) -> Step:
    """Return the step with what only the reader of a picture needs.

    The bands of a reconstruction lose the unit that a logarithm took from their values, and the RGB pictures of its
    rows can be had: they are read when they are drawn.
    """
    output = step.output
    if not isinstance(output, Reconstruction):
        return step
    values = source.values.parts[batch.dataset] if isinstance(source.values, ByDataset) else source.values
    bands = values.transformed if values.bands.names == output.bands.names else output.bands
    numbers = batch.index.tolist()

    def picture(row: int) -> NDArray[np.uint8] | None:
        return source.patches.picture(numbers[row]) if numbers[row] >= 0 else None

    return replace(step, output=replace(output, bands=bands, rgb=picture))
