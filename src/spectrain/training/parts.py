"""The parts of a training for a loop of one's own: model, loss, loader, one epoch, a trained model, its evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..config import Config
from ..core.batch import Batch
from ..core.errors import DataError
from ..data.mixture import eval_order, members_of
from ..data.opening import open_patches
from ..data.patches import Patches
from ..data.values import Values
from ..models.any_bands import AnyBands
from ..models.banded import BandedModel
from ..runs.progress import ProgressLine
from ..runs.run import Run
from .interrupts import StopRequest
from .loop import Training
from .parallel import Parallel
from .profiling import Profiler
from .session import Session, build_session
from .state import Progress, State
from .subject import Subject, source_of
from .tested import Tested, write_test
from .trained import load_trained


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


class SplitLoader:
    """One split as batches on the device, in the order and with the augmentation that the loop would use.

    Iterating the training split goes through one epoch, :attr:`epoch`; set it before each. Any other comes in ascending
    order with fixed draws. Under ``hparams.overfit_batches`` both give the same images as they are, as the loop does.
    """

    def __init__(self, session: Session, split: str) -> None:
        self.session, self.split, self.epoch = session, split, 0
        self.source, self.order = session.valid, session.valid_order
        if split not in ("train", "valid"):
            cfg = session.cfg
            patches = open_patches(cfg.dataset.path or (), split, cfg.dataset)
            self.source = source_of(cfg, patches, session.task, session.device)
            size = cfg.hparams.batch_size_valid or cfg.hparams.batch_size
            self.order = eval_order(patches, size, group=session.task.evaluation_group)

    def __len__(self) -> int:
        order = self.session.train_order
        if self.split == "train":
            return order.steps_per_epoch * order.micro_batches
        return 0 if self.order is None else sum(1 for _ in self.order.batches())

    def __iter__(self) -> Iterator[Batch]:
        session = self.session
        if self.split == "train":
            indices = (micro for step in session.train_order.steps(self.epoch) for micro in step)
            for raw in session.train.loader.load(indices):
                yield session.training_batch(raw, session.train, self.epoch)
        elif self.source is not None and self.order is not None:
            for raw in self.source.loader.load(self.order.batches()):
                yield session.evaluation_batch(raw, self.source)


def build_model(cfg: Config) -> nn.Module:
    """Return the configured model on its device, with the bands and statistics of the training patches."""
    return build_session(cfg).model


def build_loss(cfg: Config) -> Any:
    """Return the configured loss."""
    return cfg.loss.build()


def make_loader(cfg: Config, split: str = "train") -> SplitLoader:
    """Return the batches of ``split``.

    "train" and "valid" are those that ``dataset.train_key`` and ``dataset.valid_key`` name, others a split of the data.
    """
    return SplitLoader(build_session(cfg), split)


def learning_rate(cfg: Config, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of optimiser step ``step`` (from 0)."""
    rate: float = cfg.scheduler.build()(cfg.optimizer.lr, step, steps_per_epoch, cfg.hparams.epochs)
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
    session = loader.session
    bands = Values(session.train.patches.bands, cfg.dataset.transform).transformed
    told = session.cfg  # with what was measured of the labels: classes, or their mean and deviation
    session.task = told.task.build(
        loss=criterion, metric=told.metric.build(), plot=told.show_prediction.build(bands=bands)
    )
    session.model, session.parallel = model, Parallel(model, cfg.general.parallel, session.device)
    session.optimizer = optimizer
    start = epoch * session.train_order.steps_per_epoch
    state = State(Progress(epoch=epoch, step=start))
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
    session, source, order = dataloader.session, dataloader.source, dataloader.order
    if dataloader.split == "train":
        source, order = session.train, eval_order(session.train.patches, session.cfg.hparams.batch_size)
    if source is None or order is None:
        raise DataError("there is no validation split", where="dataset.valid_key", fix="name one, or another split")
    if isinstance(model, BandedModel):
        _require_bands(model, source.patches)
    subject = Subject(
        session.cfg, session.device, session.amp, session.task, session.augmentation, model.to(session.device)
    )
    return write_test(subject, source, order, Path(output_folder))


def _require_bands(model: BandedModel, patches: Patches) -> None:
    """Raise a `DataError` where the band sets of a model are not those of the data: its statistics would be wrong."""
    members = members_of(patches)
    known = [model.band_set(n).bands for n in range(len(model.sets))] if isinstance(model, AnyBands) else [model.bands]
    if len(members) > len(known):
        raise DataError(
            f"the model is of {len(known)} band set{'s' * (len(known) > 1)}, the data of {len(members)}",
            where=str(patches.path),
            fix="give the data sets of the training, or use `spectrain test RUN --data DATA`",
        )
    for bands, one in zip(known, members, strict=False):
        bands.require(one.bands, where=f"{one.path}, {one.split}")
