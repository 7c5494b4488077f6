"""Learning rates as pure functions of the step; the plateau schedule alone has state."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

from ..config.option import option

log = logging.getLogger("spectrain")


def warmed_up(factor: float, step: int, warmup_steps: float) -> float:
    """Scale ``factor`` linearly from 0 over the first ``warmup_steps``; the first step already moves."""
    return factor * min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else factor


class Constant:
    """The same learning rate at each step."""

    @dataclass(frozen=True)
    class Config:
        """``scheduler=none`` has no keys."""

    @classmethod
    def from_config(cls, config: Config) -> Constant:
        """Return the schedule."""
        return cls()

    def __call__(self, base_lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return ``base_lr``."""
        return base_lr


class Cosine:
    """Half a cosine from the base rate down to ``min_factor`` of it over the whole run, after a linear warm-up.

    ``lr = lr_min + (base - lr_min) * (1 + cos(pi * t)) / 2`` with ``t`` the share of the run done (Loshchilov and
    Hutter 2017). The warm-up rises from 0 to the rate, whatever that is, and is cut to the run's length.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``scheduler=cosine``."""

        warmup_epochs: float = option(0.0, "epochs of linear rise at the start", minimum=0)
        min_factor: float = option(0.0, "rate at the end, as a share of the base rate", minimum=0, maximum=1)

    def __init__(self, warmup_epochs: float = 0.0, min_factor: float = 0.0) -> None:
        self.warmup_epochs, self.min_factor = warmup_epochs, min_factor

    @classmethod
    def from_config(cls, config: Config) -> Cosine:
        """Return the schedule."""
        return cls(config.warmup_epochs, config.min_factor)

    def __call__(self, base_lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of optimiser step ``step`` (from 0)."""
        total = max(1, steps_per_epoch * epochs)
        factor = self.min_factor + (1 - self.min_factor) * (1 + math.cos(math.pi * min(step, total) / total)) / 2
        return base_lr * warmed_up(factor, step, min(self.warmup_epochs, epochs) * steps_per_epoch)


class Step:
    """Multiply the rate by ``gamma`` at the start of each epoch (from 0) listed in ``milestones``.

    The linear warm-up rises from 0 to the rate, whatever that is, and is cut to the run's length.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``scheduler=step``."""

        milestones: list[int] = option([], "epochs at whose start the rate falls", minimum=0)
        gamma: float = option(0.1, "factor of each fall", above=0, maximum=1)
        warmup_epochs: float = option(0.0, "epochs of linear rise at the start", minimum=0)

    def __init__(self, milestones: list[int], gamma: float = 0.1, warmup_epochs: float = 0.0) -> None:
        self.milestones, self.gamma, self.warmup_epochs = sorted(milestones), gamma, warmup_epochs

    @classmethod
    def from_config(cls, config: Config) -> Step:
        """Return the schedule."""
        return cls(list(config.milestones), config.gamma, config.warmup_epochs)

    def __call__(self, base_lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of optimiser step ``step`` (from 0)."""
        epoch = step // max(1, steps_per_epoch)
        factor = self.gamma ** sum(epoch >= milestone for milestone in self.milestones)
        return base_lr * warmed_up(factor, step, min(self.warmup_epochs, epochs) * steps_per_epoch)


class Exponential:
    """Multiply the rate by ``gamma`` at the start of each epoch but the first.

    The linear warm-up rises from 0 to the rate, whatever that is, and is cut to the run's length.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``scheduler=exponential``."""

        gamma: float = option(0.9, "factor of the rate from one epoch to the next", above=0, maximum=1)
        warmup_epochs: float = option(0.0, "epochs of linear rise at the start", minimum=0)

    def __init__(self, gamma: float = 0.9, warmup_epochs: float = 0.0) -> None:
        self.gamma, self.warmup_epochs = gamma, warmup_epochs

    @classmethod
    def from_config(cls, config: Config) -> Exponential:
        """Return the schedule."""
        return cls(config.gamma, config.warmup_epochs)

    def __call__(self, base_lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of optimiser step ``step`` (from 0)."""
        factor = self.gamma ** (step // max(1, steps_per_epoch))
        return base_lr * warmed_up(factor, step, min(self.warmup_epochs, epochs) * steps_per_epoch)


class Nenya:
    """The schedule of Nenya as published, which changes the rate once an epoch; epochs ``e`` count from 1 to ``E``.

    - cosine: ``lr_min + (base - lr_min) * (1 + cos(pi * e / E)) / 2`` with ``lr_min = base * lr_decay_rate ** 3``.
    - otherwise ``base * lr_decay_rate ** (number of lr_decay_epochs before e)``.
    - with ``warm``, each step ``b`` of ``N`` of the first ``warmup_epochs`` takes instead
      ``warmup_from + p * (warmup_to - warmup_from)``, ``p = (b + (e - 1) * N) / (warmup_epochs * N)``, where
      ``warmup_to`` is the cosine's value at ``e = warmup_epochs``, or the base rate.

    The warm-up is absolute: it begins at 0.01 whatever the rate, and its end is that of the tenth epoch. So in a run of
    ten epochs it falls, with a rate below 0.01 it begins above it, and a run that is no longer never leaves it. A
    warning at the run's first step then says so; ``scheduler=cosine`` with ``warmup_epochs`` is what is meant.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``scheduler=nenya``."""

        cosine: bool = option(True, "fall along a cosine; false falls at lr_decay_epochs")
        lr_decay_epochs: list[int] = option([], "epochs (from 1) after which the rate falls", minimum=0)
        lr_decay_rate: float = option(
            0.1, "factor of each fall; the cosine ends at its third power", above=0, maximum=1
        )
        warm: bool = option(False, "begin with the published warm-up")
        warmup_from: float = option(0.01, "rate at which the warm-up begins", minimum=0)
        warmup_epochs: int = option(10, "epochs of the warm-up", minimum=1)

    def __init__(
        self,
        cosine: bool = True,
        lr_decay_epochs: list[int] | None = None,
        lr_decay_rate: float = 0.1,
        warm: bool = False,
        warmup_from: float = 0.01,
        warmup_epochs: int = 10,
    ) -> None:
        self.cosine, self.lr_decay_epochs, self.lr_decay_rate = cosine, lr_decay_epochs or [], lr_decay_rate
        self.warm, self.warmup_from, self.warmup_epochs = warm, warmup_from, warmup_epochs
        self._checked = False

    @classmethod
    def from_config(cls, config: Config) -> Nenya:
        """Return the schedule."""
        return cls(
            config.cosine,
            list(config.lr_decay_epochs),
            config.lr_decay_rate,
            config.warm,
            config.warmup_from,
            config.warmup_epochs,
        )

    def __call__(self, base_lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of optimiser step ``step`` (from 0)."""
        steps = max(1, steps_per_epoch)
        epoch = step // steps
        if self.warm and epoch < self.warmup_epochs:
            end = self._at(base_lr, self.warmup_epochs, epochs) if self.cosine else base_lr
            if step == 0:
                self._warn(base_lr, end, epochs)
            return self.warmup_from + step / (self.warmup_epochs * steps) * (end - self.warmup_from)
        if self.cosine:
            return self._at(base_lr, epoch + 1, epochs)
        return base_lr * self.lr_decay_rate ** sum(epoch + 1 > milestone for milestone in self.lr_decay_epochs)

    def _at(self, base_lr: float, epoch: int, epochs: int) -> float:
        """Return the cosine's value in an epoch, counted from 1."""
        lowest = base_lr * self.lr_decay_rate**3
        return lowest + (base_lr - lowest) * (1 + math.cos(math.pi * epoch / epochs)) / 2

    def _warn(self, base_lr: float, end: float, epochs: int) -> None:
        """Say once what the published warm-up does that nobody wants."""
        if self._checked:
            return
        self._checked = True
        found = []
        if self.warmup_from > base_lr:
            found.append(f"begins at {self.warmup_from:g}, above the learning rate of {base_lr:g}")
        elif end < self.warmup_from:
            found.append(f"falls from {self.warmup_from:g} to {end:g}")
        if epochs <= self.warmup_epochs:
            found.append(f"never ends: it takes {self.warmup_epochs} epochs of a run of {epochs}")
        if found:
            log.warning(
                "the published warm-up %s; scheduler=cosine scheduler.warmup_epochs=%d rises and ends",
                " and ".join(found),
                max(1, epochs // 10),
            )


class Plateau:
    """Multiply the rate by ``factor`` after ``patience`` validations without improvement.

    An improvement is a monitored value better than the best by the relative ``threshold``; NaN never is one.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``scheduler=plateau``."""

        factor: float = option(0.1, "factor of each fall", above=0, maximum=1)
        patience: int = option(5, "validations without improvement before a fall", minimum=0)
        threshold: float = option(1e-3, "relative change that counts as improvement", minimum=0)

    def __init__(self, factor: float = 0.1, patience: int = 5, threshold: float = 1e-3) -> None:
        self.factor, self.patience, self.threshold = factor, patience, threshold
        self.scale, self.best, self.waited = 1.0, math.nan, 0

    @classmethod
    def from_config(cls, config: Config) -> Plateau:
        """Return the schedule."""
        return cls(config.factor, config.patience, config.threshold)

    def __call__(self, base_lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the rate as the validations so far have left it."""
        return base_lr * self.scale

    def observe(self, value: float, mode: str) -> None:
        """Take the monitored value of a validation; ``mode`` is "min" or "max"."""
        margin = self.threshold * abs(self.best)
        better = value < self.best - margin if mode == "min" else value > self.best + margin
        if better or (math.isnan(self.best) and not math.isnan(value)):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.scale, self.waited = self.scale * self.factor, 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"scale": self.scale, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self.scale, self.best, self.waited = state["scale"], state["best"], state["waited"]
