"""Everything a training holds in its hands, built from a configuration in one place and order.

Build, format, load, shard or compile: a checkpoint's weights go in before the model is wrapped, and the optimiser is
made from the wrapped parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..config.schema import Config
from ..core.distributed import world_size
from ..core.errors import RunError
from ..data.mixture import MixedEvalOrder, MixedTrainOrder, datasets_of
from ..data.order import EvalOrder, TrainOrder
from ..models.banded import BandedModel, build_banded
from .inputs.splits import Inputs, open_inputs
from .probe import Probe, build_probe
from .processes.batchnorm import has_batch_norm, synchronised
from .processes.devices import wants_compile
from .processes.parallel import Parallel
from .processes.recompute import recompute_blocks
from .published import native_name
from .subject import Subject

log = logging.getLogger("spectrain")


@dataclass
class Session(Inputs, Subject):
    """A training in memory. See :func:`build_session` for how it comes about.

    ``joined``: accumulated micro-batches run as one batch, because batch norm couples their samples.
    """

    train_order: TrainOrder | MixedTrainOrder
    valid_order: EvalOrder | MixedEvalOrder | None
    parallel: Parallel
    optimizer: torch.optim.Optimizer
    schedule: Any
    joined: bool
    probe: Probe | None = None

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


def build_session(cfg: Config, checkpoint: dict[str, Any] | None = None) -> Session:
    """Build everything that ``cfg`` describes, with the weights and optimiser state of ``checkpoint`` if given.

    Raises:
        DataError, RunError: something in the configuration does not fit the data, the device or the checkpoint.
    """
    inputs = open_inputs(cfg, checkpoint)
    cfg = inputs.cfg
    valid = None if inputs.valid is None else inputs.valid.patches
    probe = build_probe(cfg.metric.build(), inputs.train.patches, valid)
    model, compiled = made_model(inputs, checkpoint)
    if compiled:
        inputs.task.compile()
    parallel = Parallel(model, cfg.general.parallel, inputs.device)
    optimizer = cfg.optimizer.build(parameters=[p for p in model.parameters() if p.requires_grad])
    parallel.suit(optimizer)
    schedule = inputs.new_schedule()
    if checkpoint is not None:
        parallel.load_optimizer_state(optimizer, checkpoint["optimizer"])
        if checkpoint["progress"]["schedule"] is not None:
            schedule.load_state_dict(checkpoint["progress"]["schedule"])
    if is_joined(cfg, model):
        log.info(
            "batch norm sees the %d images of the whole step: accumulated batches run as one%s%s",
            cfg.hparams.batch_size * cfg.hparams.accumulate_grad_batches,
            "" if compiled else ", and blocks are computed again in backward to save memory",
            "; what backward needs waits in host memory" if inputs.device.type == "cuda" else "",
        )
    return session_of(inputs, model, parallel, optimizer, schedule, probe)


def session_of(
    inputs: Inputs,
    model: nn.Module,
    parallel: Parallel,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    probe: Probe | None = None,
) -> Session:
    """Return the training of a model on its inputs, whose loaders it shares."""
    joined = is_joined(inputs.cfg, model)
    return Session(
        **vars(inputs),
        model=model,
        train_order=inputs.order_of_training(joined=joined),
        valid_order=inputs.order_of_validation(),
        parallel=parallel,
        optimizer=optimizer,
        schedule=schedule,
        joined=joined,
        probe=probe,
    )


def may_join(cfg: Config) -> bool:
    """Say whether the micro-batches of a step are to run as one where the model has batch norm."""
    return cfg.hparams.accumulate_grad_batches > 1 and cfg.general.sync_batchnorm


def is_joined(cfg: Config, model: nn.Module) -> bool:
    """Say whether the micro-batches of a step run as one batch."""
    return may_join(cfg) and has_batch_norm(model)


def made_model(inputs: Inputs, checkpoint: dict[str, Any] | None = None) -> tuple[nn.Module, bool]:
    """Return the configured model on its device, ready to be wrapped, and whether it is compiled.

    Args:
        inputs: that it is for.
        checkpoint: to take the weights from; None draws them, or takes those of ``model.init_from``.

    Raises:
        RunError: the checkpoint is of another model.
    """
    general, device = inputs.cfg.general, inputs.device
    model: nn.Module = build_model(inputs, fresh=checkpoint is None)
    joined = is_joined(inputs.cfg, model)
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
    return model, compiled


def build_model(inputs: Inputs, *, fresh: bool = True) -> BandedModel:
    """Return the configured model for the bands and image size of the training patches, on the CPU.

    ``fresh`` takes the weights of ``model.init_from``; a model whose weights come from a checkpoint needs none.
    """
    cfg, patches, statistics = inputs.cfg, inputs.train.patches, inputs.statistics
    _, _, height, width = patches.shape
    datasets = datasets_of(patches)
    return build_banded(
        cfg.model,
        bands=patches.bands,
        statistics=statistics[0],
        more=[(one.bands, known) for one, known in zip(datasets[1:], statistics[1:], strict=True)],
        image_size=(height, width),
        seed=cfg.general.seed,
        take_init_from=fresh,
        channels=inputs.task.channels,
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
