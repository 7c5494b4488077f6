"""Optimisers by name: torch's own, fused where the device has it (an update can be skipped there), and LARS."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config.option import option
from ..core.errors import SpectrainError, needs
from ..core.lean_imports import as_if_absent


class Uncompiled(torch.optim.Optimizer):
    """Torch's optimisers without what hides them from ``torch.compile``, which no optimiser of ours is part of.

    What torch wraps these methods in imports its whole compiler at the first call, whether anything is compiled or
    not: more than a second of each start, and 100 MiB.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class Sgd(Uncompiled, torch.optim.SGD):
    """Stochastic gradient descent with momentum; weight decay is added to the gradient (coupled L2)."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))

    @dataclass(frozen=True)
    class Config:
        """Keys of ``optimizer=sgd``."""

        lr: float = option(0.05, "learning rate, before the schedule", above=0)
        momentum: float = option(0.9, "share of the last update that goes on", minimum=0, maximum=1)
        weight_decay: float = option(1e-4, "added to the gradient, times the weight", minimum=0)
        nesterov: bool = option(False, "look ahead by the momentum")

    @classmethod
    def from_config(cls, config: Config, *, parameters: Iterable[nn.Parameter]) -> Sgd:
        """Return the optimiser of ``parameters``."""
        return cls(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.nesterov,
            fused=True,
        )


class Adam(Uncompiled, torch.optim.Adam):
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient (coupled L2)."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))

    @dataclass(frozen=True)
    class Config:
        """Keys of ``optimizer=adam``."""

        lr: float = option(1e-3, "learning rate, before the schedule", above=0)
        weight_decay: float = option(0.0, "added to the gradient, times the weight", minimum=0)
        betas: tuple[float, float] = option((0.9, 0.999), "decay of the two running moments", minimum=0, below=1)

    @classmethod
    def from_config(cls, config: Config, *, parameters: Iterable[nn.Parameter]) -> Adam:
        """Return the optimiser of ``parameters``."""
        return cls(parameters, lr=config.lr, weight_decay=config.weight_decay, betas=config.betas, fused=True)


class AdamW(Uncompiled, torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))

    @dataclass(frozen=True)
    class Config:
        """Keys of ``optimizer=adamw``."""

        lr: float = option(1e-4, "learning rate, before the schedule", above=0)
        weight_decay: float = option(0.01, "share of the weight taken off, times the rate", minimum=0)
        betas: tuple[float, float] = option((0.9, 0.999), "decay of the two running moments", minimum=0, below=1)

    @classmethod
    def from_config(cls, config: Config, *, parameters: Iterable[nn.Parameter]) -> AdamW:
        """Return the optimiser of ``parameters``."""
        return cls(parameters, lr=config.lr, weight_decay=config.weight_decay, betas=config.betas, fused=True)


class Lars:
    """Layer-wise adaptive rates for large batches (You, Gitman and Ginsburg 2017), by timm.

    Each layer's update ``g + weight_decay * w`` is scaled by ``trust_coefficient * |w| / (|g| + weight_decay * |w|)``,
    or by 1 where ``w`` or ``g`` is 0; then follows SGD with momentum. Biases and the parameters of norms (one dimension
    or none) are neither decayed nor adapted, as in SimCLR (Chen et al., ICML 2020).
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``optimizer=lars``."""

        lr: float = option(0.3, "learning rate, before the schedule", above=0)
        momentum: float = option(0.9, "share of the last update that goes on", minimum=0, maximum=1)
        weight_decay: float = option(
            1e-6, "added to the gradient, times the weight; not of biases and norms", minimum=0
        )
        trust_coefficient: float = option(
            0.001, "size of an update, as a share of the size of the layer's weights", above=0
        )
        nesterov: bool = option(False, "look ahead by the momentum")

    @classmethod
    def from_config(cls, config: Config, *, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimiser of ``parameters``.

        Raises:
            SpectrainError: timm is not installed, or parameters are sharded (FSDP): a layer's norm needs all of it.
        """
        with needs("encoders", "for optimizer=lars"), as_if_absent("wandb"):
            from timm.optim.lars import Lars as TimmLars  # with torchvision, two seconds that others need not wait
        listed = list(parameters)
        if any(hasattr(parameter, "to_local") for parameter in listed):
            raise SpectrainError(
                "LARS needs whole layers, and general.parallel=fsdp cuts them up",
                where="optimizer=lars",
                fix="use general.parallel=ddp",
            )
        groups = [
            {"params": [p for p in listed if p.ndim > 1], "weight_decay": config.weight_decay, "always_adapt": True},
            {"params": [p for p in listed if p.ndim <= 1], "weight_decay": 0.0, "always_adapt": False},
        ]
        optimizer: torch.optim.Optimizer = TimmLars(
            [group for group in groups if group["params"]],
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            trust_coeff=config.trust_coefficient,
        )
        return optimizer


def step_unless_empty(optimizer: torch.optim.Optimizer, weight: Tensor) -> None:
    """Update the parameters, unless the step had no weight (no label at all).

    A zero gradient still moves weights, by momentum and weight decay, so the update must not happen at all. On an
    accelerator fused optimisers decide it on the device, by the argument that gradient scalers use for overflow; on
    the CPU, and for optimisers without that argument, the weight is read.
    """
    if weight.is_cuda and optimizer.defaults.get("fused"):
        optimizer.found_inf = (weight == 0).to(torch.float32)  # type: ignore[attr-defined]
        try:
            optimizer.step()
        finally:
            del optimizer.found_inf  # type: ignore[attr-defined]
    elif weight.item() != 0:
        optimizer.step()
