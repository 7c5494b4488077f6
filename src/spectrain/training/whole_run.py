"""One run in a folder that is known beforehand: trained, continued where it stopped, or found finished."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..config import Config
from ..config.plugins import loaded_plugins
from ..core.errors import BusyRunError, RunError
from ..runs.run import Run
from .api import missing_processes, resolve, train_config
from .processes.launch import launch


class StoppedError(Exception):
    """Somebody asked the training to stop."""


def whole_run(cfg: Config, folder: Path) -> Run:
    """Train a run, or go on with it; return it when it is finished.

    Args:
        cfg: of the run, which it only takes where the run has not begun.
        folder: where its names put it.

    Raises:
        StoppedError: it was asked to stop; a checkpoint is kept.
        BusyRunError: another process is at it.
        SpectrainError: it cannot be trained.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        began = (folder / "run.json").is_file()
        if began and (there := Run.open(folder)).info.get("status") == "finished":
            return there
        if not began:
            shutil.rmtree(folder, ignore_errors=True)  # its process died before there was anything in it
        if (count := missing_processes(cfg)) > 1:
            run = _together(cfg, folder, count, begun=began)
        elif began:
            again, before, checkpoint = resolve(None, resume=folder)
            run = train_config(again, run=before, checkpoint=checkpoint, alone=False)
        else:
            run = train_config(cfg, alone=False)
    if run.info.get("status") == "interrupted":
        raise StoppedError
    return run


def _together(cfg: Config, folder: Path, count: int, *, begun: bool) -> Run:
    """Train in several processes, one a device, which this one waits for; return the run."""
    with tempfile.TemporaryDirectory() as place:
        words = ["train", "--resume", str(folder)]
        if not begun:
            file = Path(place) / "config.yaml"
            file.write_text(cfg.to_yaml())
            words = ["train", cfg.recipe, "--config", str(file)]
        code = launch(count, [*words, *(word for one in loaded_plugins() for word in ("--plugin", one))])
    if not (folder / "run.json").is_file():
        raise RunError(
            f"its {count} processes ended with code {code}", where=str(folder), fix="see what they say above"
        )
    run = Run.open(folder)
    if run.info.get("status") == "failed" or (code and run.info.get("status") != "interrupted"):
        raise RunError(f"its {count} processes ended with code {code}", where=str(folder), fix="see its log")
    return run


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder: a process that was thought dead and is not shall not write to it at the same time."""
    with folder.with_name(f".{folder.name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyRunError(
                "another process trains this run", where=str(folder), fix="let it finish, or stop it"
            ) from error
        yield
