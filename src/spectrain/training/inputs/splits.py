"""What a training reads: both splits with their task, in the order that the loop sees them. There is no model yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...config.schema import Config
from ...core.closing import Closing
from ...core.distributed import rank, world_size
from ...core.errors import DataError
from ...core.launched import launched_world
from ...data.mixture import (
    MixedEvalOrder,
    MixedTrainOrder,
    by_dataset,
    datasets_of,
    eval_order,
    mixture_of,
    train_order,
)
from ...data.order import EvalOrder, TrainOrder
from ...data.patches import Patches
from ...data.statistics import Statistics
from ...data.subset import Subset
from ...data.values import Values
from ...tasks.base import Task
from ..processes.devices import autocast_dtype, resolve_device, set_threads, use_device
from ..processes.shared_work import on_each
from ..subject import Setting, Source, source_of
from .backbone import with_backbone
from .begun import statistics_of_weights, with_begun
from .classes import with_classes
from .measured import Measured, measure
from .measured_labels import with_measured
from .opened import open_split


@dataclass
class Inputs(Setting, Closing):
    """Both splits of a training with their task. Ends the loaders' workers where it is closed.

    Attributes:
        measured: what is known of the data, statistics above all.
        train: the training split.
        valid: the validation split, or None.
    """

    measured: Measured
    train: Source
    valid: Source | None

    @property
    def statistics(self) -> list[Statistics]:
        """Of the training patches: one a data set, several only in a mixture."""
        return self.measured.statistics

    @property
    def steps_per_epoch(self) -> float:
        """Optimiser steps that the training images are: whole ones, and the part of one that is left."""
        hparams = self.cfg.hparams
        return len(self.train.patches) / (hparams.batch_size * hparams.accumulate_grad_batches * world_size())

    def order_of_training(self, *, joined: bool) -> TrainOrder | MixedTrainOrder:
        """Return which images come when; ``joined`` makes the micro-batches of a step one batch."""
        hparams = self.cfg.hparams
        accumulate = hparams.accumulate_grad_batches
        return train_order(
            self.train.patches,
            batch_size=hparams.batch_size * (accumulate if joined else 1),
            accumulate=1 if joined else accumulate,
            world=world_size(),
            rank=rank(),
            seed=self.cfg.general.seed,
            shuffle=not hparams.overfit_batches,
        )

    def order_of_validation(self) -> EvalOrder | MixedEvalOrder | None:
        """Return which validation images come when; None without."""
        if self.valid is None:
            return None
        size = self.cfg.hparams.evaluation_batch_size
        return eval_order(self.valid.patches, size, world_size(), rank(), self.task.evaluation_group)

    def new_schedule(self) -> Any:
        """Return the configured schedule, told how many steps an epoch is."""
        schedule = self.cfg.scheduler.build()
        if hasattr(schedule, "measure"):  # how long its cycles are depends on images, not on whole batches
            schedule.measure(self.steps_per_epoch)
        return schedule

    def close(self) -> None:
        """Stop the loaders' workers."""
        self.train.loader.close()
        if self.valid is not None:
            self.valid.loader.close()


def open_inputs(cfg: Config, checkpoint: dict[str, Any] | None = None) -> Inputs:
    """Open the data that ``cfg`` names, and fill in what it leaves to them and to the weights it begins from.

    Args:
        cfg: the configuration.
        checkpoint: of the run that goes on, which knows the statistics of its data.

    Raises:
        DataError, RunError: something in the configuration does not fit the data, the device or the checkpoint.
    """
    cfg = with_backbone(cfg)
    general = cfg.general
    device = resolve_device(general.device, launched_world()[1], general.device_ids)
    use_device(device)
    set_threads(general.threads)

    train_patches, valid_patches = on_each(lambda: _open_splits(cfg))
    cfg = with_classes(cfg, [train_patches] if valid_patches is None else [train_patches, valid_patches])
    cfg = cfg if checkpoint else with_begun(cfg)
    cfg = with_measured(cfg, train_patches, valid_patches)
    measured = measure(cfg, train_patches, valid_patches, checkpoint)
    complete = measured.complete
    if cfg.hparams.skip_training and checkpoint is None:
        theirs = statistics_of_weights(cfg)  # weights that are tested as they are see images as in their training
        measured = replace(measured, statistics=theirs) if _alike(theirs, measured.statistics) else measured
    plot = cfg.show_prediction.build(bands=Values(train_patches.bands, cfg.dataset.transform).transformed)
    task: Task = cfg.task.build(loss=cfg.loss.build(), metric=cfg.metric.build(), plot=plot)
    train = source_of(cfg, train_patches, task, device, complete)
    valid = None
    if valid_patches is not None and measured.valid is not None:
        valid = source_of(cfg, valid_patches, task, device, measured.valid["all_valid"])
    return Inputs(
        cfg=cfg,
        device=device,
        amp=autocast_dtype(general.use_amp, device),
        task=task,
        augmentation=by_dataset([cfg.augmentation.build(bands=one.bands) for one in datasets_of(train_patches)]),
        measured=measured,
        train=train,
        valid=valid,
    )


def _alike(one: Sequence[Statistics], other: Sequence[Statistics]) -> bool:
    return [len(statistics.mean) for statistics in one] == [len(statistics.mean) for statistics in other]


def _open_splits(cfg: Config) -> tuple[Patches, Patches | None]:
    """Open the training and validation patches; a single-batch overfit validates on what it trains on."""
    if cfg.dataset.path is None:
        raise DataError("no data were named", where="dataset.path", fix="set dataset.path to a file or folder")
    train = open_split(cfg.dataset, "train_key")
    count = cfg.hparams.overfit_batches
    if count:
        train = _first(train, count * cfg.hparams.batch_size * cfg.hparams.accumulate_grad_batches * world_size())
        return train, train
    if cfg.general.debug:
        train = _first(train, 2 * cfg.hparams.batch_size * cfg.hparams.accumulate_grad_batches * world_size())
    if not cfg.dataset.valid_key:
        return train, None
    valid = open_split(cfg.dataset, "valid_key")
    for one, other in zip(datasets_of(train), datasets_of(valid), strict=True):
        one.bands.require(other.bands, where=f"{other.path}, {cfg.dataset.valid_key}")
    if cfg.general.debug:
        valid = _first(valid, 2 * cfg.hparams.evaluation_batch_size * world_size())
    return train, valid


def _first(patches: Patches, count: int) -> Patches:
    """Return the first ``count`` patches of each data set, or all where there are no more."""
    return mixture_of(
        [Subset(one, one.split, np.arange(min(count, len(one)), dtype=np.int64)) for one in datasets_of(patches)]
    )
