"""Where a training stands: what a checkpoint must hold so that the rest of the run comes out bit by bit the same."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ..core.distributed import world_size
from .curves import Curves
from .session import Session


@dataclass
class Progress:
    """The position of a training.

    Attributes:
        epoch: epoch that comes next or is under way, from 0.
        step_in_epoch: optimiser steps of it that are done.
        step: optimiser steps done in all.
        best: best monitored value so far, NaN before the first.
        best_epoch: epoch (from 1) it was seen in, 0 before the first.
        bad_validations: validations since then.
        validations: validations in all.
        stopped: early stopping has ended the run.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best: float = math.nan
    best_epoch: int = 0
    bad_validations: int = 0
    validations: int = 0
    stopped: bool = False

    def observe(self, value: float, mode: str) -> bool:
        """Take a monitored value; return whether it is the best so far. NaN never is."""
        self.validations += 1
        better = not math.isnan(value) and (
            math.isnan(self.best) or (value < self.best if mode == "min" else value > self.best)
        )
        if better:
            self.best, self.best_epoch, self.bad_validations = value, self.epoch + 1, 0
        else:
            self.bad_validations += 1
        return better


@dataclass
class State:
    """A training's progress and curves, and how they go to a checkpoint and come back."""

    progress: Progress = field(default_factory=Progress)
    curves: Curves = field(default_factory=Curves)

    def record(self, session: Session) -> dict[str, Any]:
        """Return the whole state for `save_checkpoint`; a collective call under FSDP."""
        self.curves.train.fetch()
        schedule = session.schedule.state_dict() if hasattr(session.schedule, "state_dict") else None
        return {
            "model": dict(session.parallel.model_state()),
            "optimizer": session.parallel.optimizer_state(session.optimizer),
            "progress": {**asdict(self.progress), "schedule": schedule, "arithmetic": arithmetic(session)},
            "curves": self.curves.state(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> State:
        """Return the state that `record` saved."""
        known = {name: record["progress"][name] for name in asdict(Progress())}
        state = cls(Progress(**known))
        state.curves.load(record["curves"])
        return state


def arithmetic(session: Session) -> dict[str, Any]:
    """Return what the last bits of a result depend on, besides configuration and data."""
    return {
        "threads": torch.get_num_threads(),
        "processes": world_size(),
        "device": session.device.type,
        "torch": str(torch.__version__),
        "channels_last": session.cfg.general.channels_last,
        "use_amp": session.amp is not None,
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return "name a → b" for each fact of `arithmetic` that changed."""
    return [f"{name} {before.get(name)} → {value}" for name, value in after.items() if before.get(name) != value]
