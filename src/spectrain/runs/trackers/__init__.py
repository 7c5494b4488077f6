"""Trackers: the same numbers as in the files, in TensorBoard, MLflow or Weights & Biases.

Training only appends to a journal; each tracker reads it in a thread of its own, so one that is slow or unreachable
holds nobody up and loses nothing.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import RunError, perhaps
from ..info import RunInfo
from .base import Event, TrackedRun
from .journal import Journal
from .worker import Worker

if TYPE_CHECKING:
    from ...config.schema import Config

logger = logging.getLogger(__name__)

# name -> (package that must be installed, module and class)
TRACKERS = {
    "tensorboard": ("tensorboard", "spectrain.runs.trackers.tensorboard:TensorBoardTracker"),
    "mlflow": ("mlflow", "spectrain.runs.trackers.mlflow:MlflowTracker"),
    "wandb": ("wandb", "spectrain.runs.trackers.wandb:WandbTracker"),
}
PATIENCE = 30.0  # seconds that the end of a training waits for trackers to take what they lack


def wanted(cfg: Config) -> list[str]:
    """Return the trackers of a configuration; W&B of ``wandb.mode=key`` only where WANDB_API_KEY is set."""
    keyless = cfg.wandb.mode == "key" and not os.environ.get("WANDB_API_KEY")
    return [name for name in dict.fromkeys(cfg.trackers) if not (name == "wandb" and keyless)]


def require_installed(names: Sequence[str]) -> None:
    """Raise a `RunError` where a tracker is unknown or its package is missing; imports nothing."""
    for name in names:
        if name not in TRACKERS:
            raise RunError(
                f"there is no tracker {name!r}" + perhaps(name, TRACKERS),
                where="trackers",
                fix=f"known are {', '.join(TRACKERS)}",
            )
        if importlib.util.find_spec(TRACKERS[name][0]) is None:
            raise RunError(
                f"the tracker {name!r} is asked for, but the package {TRACKERS[name][0]!r} is not installed",
                where="trackers",
                fix="pip install 'spectrain[trackers]', or leave it out of trackers",
            )


class Trackers:
    """All trackers of one run.

    Args:
        cfg: the configuration; ``cfg.trackers`` names them.
        folder: the run folder; the journal is ``trackers/journal.jsonl`` in it.
        info: `run.json`, which keeps the names under which the trackers know the run.
        after: (epoch, step) to which the run was cut back, None where it was not.
    """

    def __init__(self, cfg: Config, folder: Path, info: RunInfo, after: tuple[int, int] | None = None) -> None:
        self._workers: list[Worker] = []
        self._journal: Journal | None = None
        if not (names := wanted(cfg)):
            return
        self._journal = Journal(folder / "trackers" / "journal.jsonl")
        if after is not None:
            self._journal.cut(*after)
        for name in names:
            run = TrackedRun.of(cfg, folder, info, name)
            self._workers.append(Worker(name, TRACKERS[name][1], run, self._journal, info))
        for worker in self._workers:
            worker.start()

    def interval(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Log values of a log interval, as ``interval/<name>``."""
        self._log("interval", epoch, step, values={f"interval/{name}": value for name, value in values.items()})

    def epoch(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Log an epoch's values."""
        self._log("epoch", epoch, step, values=values)

    def picture(self, name: str, path: Path, *, epoch: int, step: int) -> None:
        """Log a picture that lies in the run folder."""
        self._log("picture", epoch, step, name=name, path=path)

    def finish(self, status: str, patience: float = PATIENCE) -> None:
        """Wait up to ``patience`` seconds until every tracker has everything; what one lacks stays in the journal."""
        deadline = time.monotonic() + patience
        for worker in self._workers:
            worker.close(status, deadline)
        for worker in self._workers:
            worker.join(max(deadline - time.monotonic(), 0.0))
            if not worker.done:
                logger.warning(
                    "%s did not get everything within %.0f s: %d entries stay in the journal and are sent when the run "
                    "goes on",
                    worker.title,
                    patience,
                    worker.lacking(),
                )

    def _log(
        self,
        kind: str,
        epoch: int,
        step: int,
        values: Mapping[str, float] | None = None,
        name: str = "",
        path: Path | None = None,
    ) -> None:
        if self._journal is None:
            return
        self._journal.add(kind=kind, epoch=epoch, step=step, values=dict(values or {}), name=name, path=path)
        for worker in self._workers:
            worker.wake()


__all__ = ["TRACKERS", "Event", "Trackers", "require_installed"]
