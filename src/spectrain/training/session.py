"""Everything a training holds in its hands, built from a configuration in one place and order.

Build, format, load, shard or compile: a checkpoint's weights go in before the model is wrapped, and the optimiser is
made from the wrapped parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ..config.schema import Config
from ..core.distributed import rank, world_size
from ..core.errors import DataError, RunError
from ..core.launched import launched_world
from ..data.mixture import (
    MixedEvalOrder,
    MixedTrainOrder,
    by_member,
    eval_order,
    members_of,
    together,
    train_order,
)
from ..data.order import EvalOrder, TrainOrder
from ..data.patches import Patches
from ..data.statistics import Statistics
from ..data.subset import Subset
from ..data.values import Values
from ..models.banded import BandedModel, build_banded
from ..tasks.base import Task
from .backbone import with_backbone
from .batchnorm import has_batch_norm, synchronised
from .begun import statistics_of_weights, with_begun
from .classes import with_classes
from .devices import autocast_dtype, resolve_device, set_threads, use_device, wants_compile
from .measured import Measured, measure
from .measured_labels import with_measured
from .parallel import Parallel
from .probe import Probe, build_probe
from .published import native_name
from .recompute import recompute_blocks
from .shared_work import on_each
from .splits_opened import open_split
from .subject import Source, Subject, source_of

log = logging.getLogger("spectrain")


@dataclass
class Session(Subject):
    """A training in memory. See :func:`build_session` for how it comes about.

    ``measured``: what is known of the data, statistics above all. ``joined``: accumulated micro-batches run as one
    batch, because batch norm couples their samples.
    """

    measured: Measured
    train: Source
    valid: Source | None
    train_order: TrainOrder | MixedTrainOrder
    valid_order: EvalOrder | MixedEvalOrder | None
    parallel: Parallel
    optimizer: torch.optim.Optimizer
    schedule: Any
    joined: bool
    probe: Probe | None = None

    @property
    def statistics(self) -> list[Statistics]:
        """Of the training patches: one a data set, several only in a mixture."""
        return self.measured.statistics

    @property
    def total_steps(self) -> int:
        """Optimiser steps in the whole run."""
        return self.cfg.hparams.epochs * self.train_order.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of optimiser step ``step``."""
        hparams = self.cfg.hparams
        rate: float = self.schedule(self.cfg.optimizer.lr, step, self.train_order.steps_per_epoch, hparams.epochs)
        return rate

    @property
    def monitor(self) -> str:
        """The name of the value that decides what is best."""
        name = native_name(self.cfg.hparams.monitor, self.task.published)
        # without validation there is nothing else to go by
        return "loss_train" if self.valid is None and name == "loss_valid" else name

    def close(self) -> None:
        """Stop the loaders' workers."""
        self.train.loader.close()
        if self.valid is not None:
            self.valid.loader.close()


def build_session(cfg: Config, checkpoint: dict[str, Any] | None = None) -> Session:
    """Build everything that ``cfg`` describes, with the weights and optimiser state of ``checkpoint`` if given.

    Raises:
        DataError, RunError: something in the configuration does not fit the data, the device or the checkpoint.
    """
    cfg = with_backbone(cfg)
    general, hparams = cfg.general, cfg.hparams
    device = resolve_device(general.device, launched_world()[1], general.device_ids)
    use_device(device)
    set_threads(general.threads)

    train_patches, valid_patches = on_each(lambda: _open_splits(cfg))
    cfg = with_classes(cfg, [train_patches] if valid_patches is None else [train_patches, valid_patches])
    cfg = cfg if checkpoint else with_begun(cfg)
    cfg = with_measured(cfg, train_patches, valid_patches)
    measured = measure(cfg, train_patches, valid_patches, checkpoint)
    complete = measured.complete
    if hparams.skip_training and checkpoint is None:
        theirs = statistics_of_weights(cfg)  # weights that are tested as they are see images as in their training
        measured = replace(measured, statistics=theirs) if _alike(theirs, measured.statistics) else measured
    plot = cfg.show_prediction.build(bands=Values(train_patches.bands, cfg.dataset.transform).transformed)
    metric = cfg.metric.build()
    task: Task = cfg.task.build(loss=cfg.loss.build(), metric=metric, plot=plot)
    probe = build_probe(metric, train_patches, valid_patches)
    train = source_of(cfg, train_patches, task, device, complete)
    valid = None
    if valid_patches is not None and measured.valid is not None:
        valid = source_of(cfg, valid_patches, task, device, measured.valid["all_valid"])

    model: nn.Module = build_model(
        cfg, train_patches, measured.statistics, fresh=checkpoint is None, channels=task.channels
    )
    joined = hparams.accumulate_grad_batches > 1 and general.sync_batchnorm and has_batch_norm(model)
    if general.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if checkpoint is not None:
        _load_weights(model, checkpoint)
    model = model.to(device)
    if world_size() > 1 and general.sync_batchnorm:
        model = synchronised(model)
    compiled = wants_compile(general.compile, device)
    again = general.recompute or joined
    if again and compiled and has_batch_norm(model):  # torch.compile takes none that know of their second run
        log.info("blocks with batch norm are not computed again in a compiled model: general.compile=false does")
    elif again:
        recompute_blocks(model)
    if compiled:
        model.compile()
        task.compile()
    parallel = Parallel(model, general.parallel, device)
    optimizer = cfg.optimizer.build(parameters=[p for p in model.parameters() if p.requires_grad])
    parallel.suit(optimizer)
    schedule = cfg.scheduler.build()
    if checkpoint is not None:
        parallel.load_optimizer_state(optimizer, checkpoint["optimizer"])
        if checkpoint["progress"]["schedule"] is not None:
            schedule.load_state_dict(checkpoint["progress"]["schedule"])

    accumulate = hparams.accumulate_grad_batches
    order = train_order(
        train_patches,
        batch_size=hparams.batch_size * (accumulate if joined else 1),
        accumulate=1 if joined else accumulate,
        world=world_size(),
        rank=rank(),
        seed=general.seed,
        shuffle=not hparams.overfit_batches,
    )
    if hasattr(schedule, "measure"):  # how long its cycles are depends on images, not on whole batches
        schedule.measure(len(train_patches) / (hparams.batch_size * accumulate * world_size()))
    if joined:
        log.info(
            "batch norm sees the %d images of the whole step: accumulated batches run as one%s%s",
            hparams.batch_size * accumulate,
            "" if compiled else ", and blocks are computed again in backward to save memory",
            "; what backward needs waits in host memory" if device.type == "cuda" else "",
        )
    batch_valid = hparams.batch_size_valid or hparams.batch_size
    valid_order = None
    if valid is not None:
        valid_order = eval_order(valid.patches, batch_valid, world_size(), rank(), task.evaluation_group)
    return Session(
        cfg=cfg,
        device=device,
        amp=autocast_dtype(general.use_amp, device),
        task=task,
        measured=measured,
        train=train,
        valid=valid,
        train_order=order,
        valid_order=valid_order,
        augmentation=by_member([cfg.augmentation.build(bands=one.bands) for one in members_of(train_patches)]),
        model=model,
        parallel=parallel,
        optimizer=optimizer,
        schedule=schedule,
        joined=joined,
        probe=probe,
    )


def _alike(one: Sequence[Statistics], other: Sequence[Statistics]) -> bool:
    return [len(figures.mean) for figures in one] == [len(figures.mean) for figures in other]


def build_model(
    cfg: Config,
    patches: Patches,
    statistics: Sequence[Statistics],
    *,
    fresh: bool = True,
    channels: int | None = None,
) -> BandedModel:
    """Return the configured model for these patches' bands and image size, on the CPU.

    ``channels`` is what the task wants of it (`Task.channels`). ``fresh`` takes the weights of ``model.init_from``; a
    model whose weights come from a checkpoint needs none.
    """
    _, _, height, width = patches.shape
    members = members_of(patches)
    return build_banded(
        cfg.model,
        bands=patches.bands,
        statistics=statistics[0],
        more=[(one.bands, figures) for one, figures in zip(members[1:], statistics[1:], strict=True)],
        image_size=(height, width),
        seed=cfg.general.seed,
        take_init_from=fresh,
        channels=channels,
    )


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
    for one, other in zip(members_of(train), members_of(valid), strict=True):
        one.bands.require(other.bands, where=f"{other.path}, {cfg.dataset.valid_key}")
    if cfg.general.debug:
        valid = _first(valid, 2 * (cfg.hparams.batch_size_valid or cfg.hparams.batch_size) * world_size())
    return train, valid


def _first(patches: Patches, count: int) -> Patches:
    """Return the first ``count`` patches of each data set, or all where there are no more."""
    return together(
        [Subset(one, one.split, np.arange(min(count, len(one)), dtype=np.int64)) for one in members_of(patches)]
    )


def _load_weights(model: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Load a checkpoint's weights strictly, or say which do not fit."""
    saved, own = checkpoint["model"], model.state_dict()
    different = sorted({*saved} ^ {*own}) or sorted(
        name for name, value in own.items() if value.shape != saved[name].shape
    )
    if different:
        raise RunError(
            f"the checkpoint is of another model: {len(different)} entries differ, first {different[0]}",
            where="model",
            fix="continue with the configuration the run was started with",
        )
    model.load_state_dict(saved)


def iter_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters that are trained."""
    return (parameter for parameter in model.parameters() if parameter.requires_grad)
