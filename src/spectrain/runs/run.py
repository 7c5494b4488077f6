"""A run: one training and everything it leaves behind, in one folder.

config.yaml  run.json  checkpoints/  curves.h5  metrics.csv  metrics.jsonl  plots/  report.html  log.txt
"""

from __future__ import annotations

import io
import logging
import os
import platform
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..core.atomic import atomic_write, disk_errors, remove_leftovers
from ..core.errors import RunError
from .curves import write_curves
from .environment import command, git_state, hardware, versions
from .folder import CHECKPOINTS, claim_folder, find_folder, plain_name, release_folder
from .info import FILE, STATUSES, RunInfo, now, plain
from .log import LogFile
from .tables import EpochTable, Lines
from .trackers import Trackers, require_installed, wanted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..config.schema import Config

logger = logging.getLogger(__name__)


class Run:
    """One training's folder, log and trackers. Made by `create`, `open` or `silent`, not directly.

    A run that was opened only reads until something is logged to it or it is cut back; then its log and trackers
    start, its status becomes "running", and `finish` ends it.

    Attributes:
        folder: the run folder, absolute.
        info: the facts of `run.json`.
    """

    def __init__(self, folder: Path, info: RunInfo, cfg: Config | None = None) -> None:
        self.folder, self.info = folder, info
        self._cfg = cfg
        self._log: LogFile | None = None
        self._trackers: Trackers | None = None
        self._epochs = EpochTable(folder / "metrics.csv")
        self._intervals = Lines(folder / "metrics.jsonl")
        self._step = 0

    def __repr__(self) -> str:
        """Say which run it is and how it stands: what a notebook shows of it."""
        here = self.folder.is_relative_to(Path.cwd())
        shown = self.folder.relative_to(Path.cwd()) if here else self.folder
        return f"Run({shown.as_posix()!r}, {self.info.get('status', 'running')})"

    @classmethod
    def create(cls, cfg: Config) -> Run:
        """Make the folder of a new run, write what is known of it, and start its log and trackers.

        Args:
            cfg: the resolved configuration.

        Raises:
            RunError: the folder is taken or cannot be written, or a tracker is asked for that is not installed.
        """
        require_installed(wanted(cfg))
        place = claim_folder(cfg)
        epoch_checkpoints = Path(cfg.all_checkpoint_dir).absolute() if cfg.all_checkpoint_dir else None
        facts = {
            "status": "running",
            "run_name": place.run_name,
            "run_id": place.run_id,
            "trial_name": cfg.trial_name,
            "recipe": cfg.recipe,
            "started_in": Path.cwd(),
            "all_checkpoint_dir": epoch_checkpoints,
            "command": command(),
            "versions": versions(),
            "git": git_state(Path.cwd()),
            "hardware": hardware(),
            "seeds": {"seed": cfg.general.seed},
            "fold": cfg.dataset.fold,
            "fingerprint": None,
            "notes": cfg.general.notes,
            "timings": {},
            "trackers": {},
        }
        try:
            atomic_write(place.folder / "config.yaml", cfg.to_yaml())  # first: what has a run.json can be gone on with
            info = RunInfo.create(place.folder, facts)
        except BaseException:  # or the same command would find a run in the folder, and --resume none
            release_folder(place.folder)
            raise
        run = cls(place.folder, info, cfg)
        if epoch_checkpoints:
            with disk_errors(epoch_checkpoints):
                epoch_checkpoints.mkdir(parents=True, exist_ok=True)
        run._begin()
        return run

    @classmethod
    def open(cls, path: Path | str, cfg: Config | None = None) -> Run:
        """Open the run in a folder, or the run that a checkpoint lies in.

        Args:
            path: a run folder or a file in its `checkpoints`.
            cfg: the configuration to go on with; without it that of the run.

        Raises:
            RunError: there is no run, its `run.json` is damaged, or it is of a newer version.
        """
        folder = find_folder(path)
        return cls(folder, RunInfo.read(folder), cfg)

    @classmethod
    def silent(cls, cfg: Config, folder: Path | str) -> Run:
        """Return a run that has the same places and writes nothing, for the processes beside the first."""
        return SilentRun(Path(folder).absolute(), cfg)

    @property
    def cfg(self) -> Config:
        """The configuration; for a run that was opened, read from its `config.yaml` at first use."""
        if self._cfg is None:
            from ..config import load_config

            path = self.folder / "config.yaml"
            if not path.is_file():
                raise RunError("the run has no config.yaml", where=str(self.folder))
            self._cfg = load_config(config=path, use_personal=False)
        return self._cfg

    @property
    def run_name(self) -> str:
        """The name that runs of the same kind share."""
        return str(self.info["run_name"])

    @property
    def run_id(self) -> str:
        """The name that is this run's alone."""
        return str(self.info["run_id"])

    @property
    def status(self) -> str:
        """One of `runs.info.STATUSES`."""
        return str(self.info["status"])

    def checkpoint(self, name: str) -> Path:
        """Return where the checkpoint ``name`` ("last", "best", "epoch_0010") is or will be.

        Epoch checkpoints lie in ``all_checkpoint_dir`` where that was given.
        """
        elsewhere = self.info.get("all_checkpoint_dir") if name.startswith("epoch_") else None
        return Path(elsewhere or self.folder / CHECKPOINTS) / f"{name}.pt"

    def log_interval(self, values: Mapping[str, float], *, step: int, epoch: int) -> None:
        """Add a line to `metrics.jsonl` and send it to the trackers as ``interval/<name>`` at ``step``.

        In the file NaN and infinity are null; the trackers get them as they are.
        """
        trackers = self._begin()
        self._step = step
        self._intervals.add(plain({"time": round(time.time(), 3), "epoch": epoch, "step": step, **values}))
        trackers.interval(values, epoch=epoch, step=step)

    def log_epoch(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Add a row to `metrics.csv` and send it to the trackers; a value that was not measured is left out."""
        trackers = self._begin()
        self._step = step
        self._epochs.add(values, epoch=epoch, step=step)
        trackers.epoch(values, epoch=epoch, step=step)

    def picture(self, name: str, figure: Figure, *, epoch: int, step: int | None = None) -> Path:
        """Write a figure to ``plots/<name>_<epoch>.png``, send it to the trackers, and return its path.

        A figure made for another format (``show_prediction.save_format``) is written in that one too: the report and
        the trackers show PNG. Any one thread may call this.

        Args:
            name: what kind of picture it is.
            figure: made without pyplot.
            epoch: that it is of.
            step: that it is of; None is the last one logged.
        """
        trackers = self._begin()
        path = self.folder / "plots" / f"{plain_name('picture', name)}_{epoch:04d}.png"
        with disk_errors(path):
            path.parent.mkdir(exist_ok=True)
        for kind in dict.fromkeys(("png", figure.canvas.get_default_filetype())):
            image = io.BytesIO()
            figure.savefig(image, format=kind)
            atomic_write(path.with_suffix(f".{kind}"), image.getbuffer())
        trackers.picture(name, path, epoch=epoch, step=self._step if step is None else step)
        return path

    def write_curves(self, curves: Mapping[str, NDArray[Any]]) -> None:
        """Write `curves.h5`, whole or not at all."""
        write_curves(self.folder / "curves.h5", curves)

    def cut_back(self, epoch: int, step: int) -> None:
        """Drop what was logged after a checkpoint, and go on from there.

        Rows, lines and pictures of epochs after ``epoch`` (the last whole one, from 1; 0 for none) and of steps after
        ``step`` go; so do the half-written files of a process that was killed.
        """
        remove_leftovers(self.folder)
        remove_leftovers(self.folder / CHECKPOINTS)
        self._epochs.cut(epoch, step)
        self._intervals.cut(lambda line: bool(line["step"] <= step))
        for path in (self.folder / "plots").glob("*.*"):
            if (found := re.search(r"_(\d{4,})\.\w+$", path.name)) and int(found[1]) > epoch:
                path.unlink()
        self._step = step
        self._begin(after=(epoch, step))

    def update_info(self, **facts: Any) -> None:
        """Set facts in `run.json` (fingerprint, timings, ...); a dict is added to the dict that is there."""
        self.info.update(**facts)

    def finish(self, status: str) -> None:
        """End the run: status and report are written, the trackers get what they still lack, the log is closed.

        A second call, or a call on a run that was only opened, does nothing.

        Args:
            status: "finished", "interrupted" (can be resumed) or "failed".
        """
        if status not in STATUSES[1:]:
            raise ValueError(f"status {status!r} is none of {STATUSES[1:]}")
        if self._log is None or self._trackers is None:
            return
        log, trackers = self._log, self._trackers
        self._log = self._trackers = None
        try:
            self.info.update(status=status, ended=now())
            self._report()
        finally:
            trackers.finish(status)
            log.detach()

    def _begin(self, after: tuple[int, int] | None = None) -> Trackers:
        """Start log and trackers where they are not running; return the trackers."""
        if self._trackers is None or self._log is None:
            cfg = self.cfg
            require_installed(wanted(cfg))
            atomic_write(self.folder / "config.yaml", cfg.to_yaml())
            with disk_errors(self.folder):
                log = LogFile(self.folder / "log.txt", debug=cfg.general.debug)
            process = {"pid": os.getpid(), "host": platform.node(), "started": now()}
            try:
                self.info.update(status="running", process=process, ended=None)
                self._trackers = Trackers(cfg, self.folder, self.info, after=after)
            except BaseException:
                log.detach()  # or what later runs of this process say is written here
                raise
            self._log = log
        return self._trackers

    def _report(self) -> None:
        try:
            from .report import write_report

            write_report([self.folder])
        except RunError as error:  # as of a full disk: it says all that is to be known
            logger.warning("the report of %s could not be written: %s", self.folder, error)
        except Exception:  # a page that cannot be drawn must not make a failure of a training that went well
            logger.exception("the report of %s could not be written", self.folder)


class SilentRun(Run):
    """A run's places without its files: every call that would write does nothing."""

    def __init__(self, folder: Path, cfg: Config) -> None:
        try:
            info = RunInfo.read(folder)
        except RunError:  # the first process's disk may not be this one's
            elsewhere = Path(cfg.all_checkpoint_dir).absolute() if cfg.all_checkpoint_dir else None
            facts = {"run_name": cfg.run_name, "run_id": cfg.run_id, "all_checkpoint_dir": elsewhere}
            info = RunInfo(folder / FILE, facts)
        super().__init__(folder, info, cfg)

    def log_interval(self, values: Mapping[str, float], *, step: int, epoch: int) -> None:
        """Do nothing."""

    def log_epoch(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Do nothing."""

    def picture(self, name: str, figure: Figure, *, epoch: int, step: int | None = None) -> Path:
        """Do nothing; return where the first process writes it."""
        return self.folder / "plots" / f"{name}_{epoch:04d}.png"

    def write_curves(self, curves: Mapping[str, NDArray[Any]]) -> None:
        """Do nothing."""

    def cut_back(self, epoch: int, step: int) -> None:
        """Do nothing."""

    def update_info(self, **facts: Any) -> None:
        """Do nothing."""

    def finish(self, status: str) -> None:
        """Do nothing."""
