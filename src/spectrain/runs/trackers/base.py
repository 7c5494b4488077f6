"""What a tracker is told, and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.render import flattened
from ..folder import CHECKPOINTS, size_name
from ..info import RunInfo

if TYPE_CHECKING:
    from ...config.schema import Config


class Refused(Exception):  # noqa: N818 - not a failure of the tracker, but its answer
    """The tracker will never take this event, so trying again is no use."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the journal.

    Attributes:
        serial: number of the entry, rising through the whole run, also over resumes.
        kind: "interval" (values of a log interval), "epoch" (values of an epoch) or "picture".
        time: seconds since 1970.
        epoch: from 1.
        step: optimiser step.
        values: numbers by name, NaN and infinity included.
        name: of a picture.
        path: of a picture; it may be gone.
    """

    serial: int
    kind: str
    time: float
    epoch: int
    step: int
    values: Mapping[str, float]
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What a tracker knows of the run when it starts.

    Attributes:
        cfg: the configuration.
        folder: the run folder.
        run_name: see `Run`.
        run_id: see `Run`.
        started_in: the folder in which the run was first started.
        ids: what the tracker's `start` returned when it first started this run; empty before.
    """

    cfg: Config
    folder: Path
    run_name: str
    run_id: str
    started_in: Path
    ids: Mapping[str, str]

    @classmethod
    def of(cls, cfg: Config, folder: Path, info: RunInfo, tracker: str) -> TrackedRun:
        """Collect the facts for one tracker."""
        ids = info.get("trackers", {}).get(tracker, {})
        return cls(cfg, folder, info["run_name"], info["run_id"], Path(info["started_in"]), ids)

    @property
    def experiment(self) -> str:
        """The name under which runs are grouped where a tracker is not told another."""
        return self.cfg.general.experiment_name or self.size or self.cfg.recipe or self.cfg.model.name

    @property
    def title(self) -> str:
        """The name of the run in a tracker that is not told another: of a model that comes in sizes, size and date."""
        named = self.size is None or self.cfg.run_name is not None
        return self.run_name if named else f"{self.size}_{date.today():%Y-%m-%d}"

    @property
    def size(self) -> str | None:
        """What the model's sizes are called ("mae_large"); None where it has no such name."""
        return size_name(self.cfg)

    def options(self) -> dict[str, Any]:
        """Return the configuration as one flat dict, ``{"optimizer.lr": 0.1, ...}``."""
        return flattened(self.cfg.to_dict())

    @property
    def facts(self) -> RunInfo:
        """What `run.json` says now."""
        return RunInfo.read(self.folder)

    def best_checkpoint(self) -> Path | None:
        """Return the best checkpoint, else the last; None where the run has left none."""
        places = [self.folder / CHECKPOINTS / f"{name}.pt" for name in ("best", "last")]
        return next((path for path in places if path.is_file()), None)

    def model_facts(self, checkpoint: Path) -> dict[str, Any]:
        """Return what the run says of the model in a checkpoint of it, as JSON values."""
        info = self.facts
        best = info.get("best", {}) if checkpoint.stem == "best" else {}
        return {
            "file": checkpoint.name,
            "model": self.size or self.cfg.model.name,
            "epoch": best.get("epoch"),
            "monitor": best.get("monitor"),
            "value": best.get("value"),
            "parameters": info.get("parameters"),
            "bands": [[_known(band) for band in bands] for bands in info.get("bands", [])],
            "data": info.get("data"),
            "fingerprint": info.get("fingerprint"),
            "recipe": info.get("recipe"),
            "run_name": self.run_name,
            "run_id": self.run_id,
            "spectrain": info.get("versions", {}).get("spectrain"),
        }

    def files(self) -> list[Path]:
        """Return the files that a tracker keeps beside the numbers, those that exist."""
        names = ("config.yaml", "run.json", "metrics.csv", "report.html")
        return [path for name in names if (path := self.folder / name).is_file()]


def _known(band: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of what a band measures."""
    return {name: band[name] for name in ("name", "wavelength", "width", "unit") if band.get(name) is not None}


class Tracker(ABC):
    """One system that is told of a run. Each method may raise; it is called again later with the same event.

    Attributes:
        title: its name for people.
        replays: it is given the whole journal anew at each start, and forgets what it had.
    """

    title: str
    replays: bool = False

    @abstractmethod
    def start(self, run: TrackedRun) -> dict[str, str]:
        """Begin, or go on where ``run.ids`` says so; return the names under which the tracker knows the run."""

    @abstractmethod
    def metrics(self, event: Event) -> None:
        """Take the numbers of an interval or an epoch."""

    @abstractmethod
    def picture(self, event: Event) -> None:
        """Take a picture; ``event.path`` exists."""

    @abstractmethod
    def finish(self, status: str) -> None:
        """End with the run's status: "finished", "interrupted" or "failed"."""
