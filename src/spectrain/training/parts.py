"""The parts of a training for a loop of one's own: model, loss, loader, one epoch, a trained model, its evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..config import Config
from ..core.batch import Batch
from ..core.closing import Closing
from ..core.errors import DataError
from ..data.mixture import MixedEvalOrder, MixedTrainOrder, datasets_of, eval_order
from ..data.opening import open_patches
from ..data.order import EvalOrder, TrainOrder
from ..data.patches import Patches
from ..data.values import Values
from ..models.any_bands import AnyBands
from ..models.banded import BandedModel
from ..runs.progress import ProgressLine
from ..runs.run import Run
from .inputs.splits import Inputs, open_inputs
from .interrupts import StopRequest
from .loop import Training
from .processes.parallel import Parallel
from .profiling import Profiler
from .session import build_model as new_model
from .session import is_joined, made_model, may_join, session_of
from .state import Progress, State
from .subject import Setting, Source, Subject, source_of
from .tested import Tested, write_test
from .trained.model import load_trained


class Meter:
    """A running average.

    Attributes:
        val: the last value.
        sum: of all values, each times its count.
        count: how many there were.
        avg: ``sum / count``; NaN before the first.
    """

    def __init__(self) -> None:
        self.val, self.sum, self.count = float("nan"), 0.0, 0

    @property
    def avg(self) -> float:
        """The average so far."""
        return self.sum / self.count if self.count else float("nan")

    def update(self, value: float, count: int = 1) -> None:
        """Add a value that stands for ``count`` samples."""
        self.val = value
        self.sum += value * count
        self.count += count


class SplitLoader(Closing):
    """One split as batches on the device, in the order and with the augmentation that the loop would use.

    Iterating the training split goes through one epoch, :attr:`epoch`; set it before each. Any other comes in ascending
    order with fixed draws. Under ``hparams.overfit_batches`` both give the same images as they are, as the loop does.

    Processes that read (``general.num_workers``) live until `close`, or the end of a ``with`` block.

    Attributes:
        inputs: the data of the training, and its task.
        split: which one it gives.
        epoch: from 0.
        source: the split, ready to be read; None where it is the validation and there is none.
        order: which images come when; None without a source.
    """

    def __init__(self, inputs: Inputs, split: str) -> None:
        self.inputs, self.split, self.epoch = inputs, split, 0
        self.source: Source | None
        self.order: TrainOrder | MixedTrainOrder | EvalOrder | MixedEvalOrder | None
        if split == "train":
            self.source, self.order = inputs.train, inputs.order_of_training(joined=_joined(inputs))
        elif split == "valid":
            self.source, self.order = inputs.valid, inputs.order_of_validation()
        else:
            cfg = inputs.cfg
            patches = open_patches(cfg.dataset.path or (), split, cfg.dataset)
            self.source = source_of(cfg, patches, inputs.task, inputs.device)
            size = cfg.hparams.evaluation_batch_size
            self.order = eval_order(patches, size, group=inputs.task.evaluation_group)

    @property
    def steps_per_epoch(self) -> float:
        """Optimiser steps that the training images are, for `learning_rate`: images over images a step, as 10.5."""
        return self.inputs.steps_per_epoch

    def __len__(self) -> int:
        if isinstance(self.order, TrainOrder | MixedTrainOrder):
            return self.order.steps_per_epoch * self.order.micro_batches
        return 0 if self.order is None else sum(1 for _ in self.order.batches())

    def __iter__(self) -> Iterator[Batch]:
        inputs, source, order = self.inputs, self.source, self.order
        if source is None or order is None:
            return
        if isinstance(order, TrainOrder | MixedTrainOrder):
            indices = (micro for step in order.steps(self.epoch) for micro in step)
            for raw in source.loader.load(indices):
                yield inputs.training_batch(raw, source, self.epoch)
        else:
            for raw in source.loader.load(order.batches()):
                yield inputs.evaluation_batch(raw, source)

    def close(self) -> None:
        """End the processes that read; iterating starts them again."""
        self.inputs.close()
        if self.source is not None:
            self.source.loader.close()


def _joined(inputs: Inputs) -> bool:
    """Say whether the micro-batches of a step come as one, for which a model must be asked where there are several."""
    return may_join(inputs.cfg) and is_joined(inputs.cfg, new_model(inputs, fresh=False))


def build_model(cfg: Config) -> nn.Module:
    """Return the configured model on its device, with the bands and statistics of the training patches."""
    return made_model(open_inputs(cfg))[0]


def build_loss(cfg: Config) -> Any:
    """Return the configured loss."""
    return cfg.loss.build()


def make_loader(cfg: Config, split: str = "train") -> SplitLoader:
    """Return the batches of ``split``.

    "train" and "valid" are those that ``dataset.train_key`` and ``dataset.valid_key`` name, others a split of the data.
    Use it in a ``with`` block, or `SplitLoader.close` it, where ``general.num_workers`` are to end with it.
    """
    return SplitLoader(open_inputs(cfg), split)


def learning_rate(cfg: Config, step: int, steps_per_epoch: float) -> float:
    """Return the learning rate of optimiser step ``step`` (from 0).

    Args:
        cfg: the configuration.
        step: of the whole training.
        steps_per_epoch: how many there are in an epoch, or how many the images are that it draws from, with the part
            of one that is left (10.5): the loop takes whole ones, 1 at least, and the cyclic schedule counts the part
            too. `SplitLoader.steps_per_epoch` is that number; with it the rate is that of a training on one data set.
    """
    schedule = cfg.scheduler.build()
    if hasattr(schedule, "measure"):
        schedule.measure(steps_per_epoch)
    rate: float = schedule(cfg.optimizer.lr, step, max(1, int(steps_per_epoch)), cfg.hparams.epochs)
    return rate


def train_epoch(
    loader: SplitLoader, model: nn.Module, criterion: Any, optimizer: torch.optim.Optimizer, epoch: int, cfg: Config
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Train ``model`` for one epoch, by the same loop as `spectrain.train`, without a run folder.

    Args:
        loader: from `make_loader`.
        model: from `build_model`.
        criterion: from `build_loss`.
        optimizer: over the model's parameters.
        epoch: from 0.
        cfg: the configuration.

    Returns:
        The epoch's mean loss, each step's loss [S], and the running mean [S].
    """
    inputs = loader.inputs
    told = inputs.cfg  # with what was measured of the labels: classes, or their mean and deviation
    bands = Values(inputs.train.patches.bands, told.dataset.transform).transformed
    task = told.task.build(loss=criterion, metric=told.metric.build(), plot=told.show_prediction.build(bands=bands))
    parallel = Parallel(model, cfg.general.parallel, inputs.device)
    session = session_of(replace(inputs, task=task), model, parallel, optimizer, inputs.new_schedule())
    state = State(Progress(epoch=epoch, step=epoch * session.train_order.steps_per_epoch))
    line = ProgressLine(epochs=cfg.hparams.epochs, steps_per_epoch=session.train_order.steps_per_epoch, enabled=False)
    run = Run.silent(cfg, Path(cfg.artifact_dir))
    Training(session, run, state, {}, line, StopRequest(), Profiler(), checkpoints=False).train_epoch()
    losses = state.curves.train
    return losses.mean("loss"), losses.per_step("loss"), losses.running("loss", [len(losses)])


def load_trained_model(path: str | Path) -> BandedModel:
    """Return the model of a run (its best checkpoint, else its last) or of one checkpoint, ready to use.

    On the CPU, in eval mode, with its bands and statistics.

    Raises:
        RunError: there is no checkpoint, or it cannot be read.
    """
    return load_trained(path).model


def evaluate_model_dataloader(model: nn.Module, dataloader: SplitLoader, output_folder: str | Path) -> Tested:
    """Evaluate ``model`` on the split of ``dataloader`` and write tables and pictures; see `training.tested.Tested`.

    Args:
        model: from `load_trained_model` or `build_model`; on the same bands as the loader's patches.
        dataloader: from ``make_loader(cfg, "valid")``, or of another split.
        output_folder: made where it is missing.

    Returns:
        Mean loss, its parts, and the metrics, by name; with the table of each image as ``.images``.

    Raises:
        DataError: there is no such split, or the model is not of these bands.
    """
    inputs, source, order = dataloader.inputs, dataloader.source, dataloader.order
    if isinstance(order, TrainOrder | MixedTrainOrder):
        order = eval_order(inputs.train.patches, inputs.cfg.hparams.batch_size)
    if source is None or order is None:
        raise DataError("there is no validation split", where="dataset.valid_key", fix="name one, or another split")
    if isinstance(model, BandedModel):
        _require_bands(model, source.patches)
    held = {field.name: getattr(inputs, field.name) for field in fields(Setting)}
    return write_test(Subject(**held, model=model.to(inputs.device)), source, order, Path(output_folder))


def _require_bands(model: BandedModel, patches: Patches) -> None:
    """Raise a `DataError` where the band sets of a model are not those of the data: its statistics would be wrong."""
    datasets = datasets_of(patches)
    known = [model.band_set(n).bands for n in range(len(model.sets))] if isinstance(model, AnyBands) else [model.bands]
    if len(datasets) > len(known):
        raise DataError(
            f"the model is of {len(known)} band set{'s' * (len(known) > 1)}, the data of {len(datasets)}",
            where=str(patches.path),
            fix="give the data sets of the training, or use `spectrain test RUN --data DATA`",
        )
    for bands, one in zip(known, datasets, strict=False):
        bands.require(one.bands, where=f"{one.path}, {one.split}")
