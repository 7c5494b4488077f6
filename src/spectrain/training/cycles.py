"""Learning rates that rise and fall: the cycles of the published regression, and one cycle over the whole run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..config.option import option


class Cyclic:
    """Triangles from the base rate up to a bound and down again, each half as high as the one before (triangular2).

    ``cycle = floor(1 + t / 2s)``, ``x = |t / s - 2 cycle + 1|``,
    ``lr = base + (max_lr - base) * max(0, 1 - x) / 2 ** (cycle - 1)`` at step ``t`` (from 0), with ``s`` steps up and
    as many down (Smith 2017; `torch.optim.lr_scheduler.CyclicLR` to the last digit).

    As published ``s`` is two epochs, ``int(2 n / B)`` for ``n`` images in steps of ``B`` (1 at
    least), and the bound is 0.1, which is far too high for Adam. ``max_lr=1e-3`` is a bound that Adam can take.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``scheduler=cyclic``."""

        max_lr: float = option(0.1, "rate at the top of the first cycle; 0.1 as published, 1e-3 suits Adam", above=0)
        step_size_up: int | None = option(
            None, "steps from the base rate to the top, and down again; null is two epochs", minimum=1
        )

    def __init__(self, max_lr: float = 0.1, step_size_up: int | None = None) -> None:
        self.max_lr, self.step_size_up = max_lr, step_size_up
        self._batches: float | None = None

    @classmethod
    def from_config(cls, config: Config) -> Cyclic:
        """Return the schedule."""
        return cls(config.max_lr, config.step_size_up)

    def measure(self, batches: float) -> None:
        """Take how many steps the images of the training split are: whole ones and the part of one that is left."""
        self._batches = batches

    def __call__(self, base_lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of optimiser step ``step`` (from 0)."""
        batches = steps_per_epoch if self._batches is None else self._batches
        up = max(1, int(2 * batches)) if self.step_size_up is None else self.step_size_up
        total = 2.0 * up
        cycle = math.floor(1 + step / total)
        x = 1.0 + step / total - cycle  # the order of the arithmetic is torch's, whose digits these are
        height = x / 0.5 if x <= 0.5 else (x - 1) / (0.5 - 1)
        return base_lr + (self.max_lr - base_lr) * height * (1 / 2.0 ** (cycle - 1))


class OneCycle:
    """Half a cosine up to the base rate and another one down to almost nothing, over the whole run.

    Begins at ``base / div_factor`` and ends at that ``/ final_div_factor`` (Smith and Topin 2018;
    `torch.optim.lr_scheduler.OneCycleLR` to the last digit, with the base rate as its ``max_lr``). The momentum stays.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``scheduler=onecycle``."""

        pct_start: float = option(0.3, "share of the run in which the rate rises", minimum=0, maximum=1)
        div_factor: float = option(25.0, "the base rate, which is the highest, over the first one", minimum=1)
        final_div_factor: float = option(1e4, "the first rate over the last one", minimum=1)

    def __init__(self, pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4) -> None:
        self.pct_start, self.div_factor, self.final_div_factor = pct_start, div_factor, final_div_factor

    @classmethod
    def from_config(cls, config: Config) -> OneCycle:
        """Return the schedule."""
        return cls(config.pct_start, config.div_factor, config.final_div_factor)

    def __call__(self, base_lr: float, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Return the learning rate of optimiser step ``step`` (from 0); after the run it stays the last one."""
        total = max(1, steps_per_epoch * epochs)
        step = min(step, total - 1)
        first = base_lr / self.div_factor
        top, end = float(self.pct_start * total) - 1, float(total - 1)
        if step <= top or top == end:
            return _between(first, base_lr, step / top if top > 0 else 1.0)
        return _between(base_lr, first / self.final_div_factor, (step - top) / (end - top))


def _between(start: float, end: float, share: float) -> float:
    """Return the value of half a cosine from ``start`` to ``end``."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
