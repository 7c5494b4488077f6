"""The checkpoints of a run that goes on from one of them: what came after it is another course, with its own best."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from ..core.atomic import atomic_link, atomic_write
from ..core.errors import RunError
from ..runs.run import Run
from .checkpoint import load_checkpoint
from .state import Progress

log = logging.getLogger("spectrain")


def take_up(run: Run, path: Path, progress: Progress) -> bool:
    """Make ``last`` the checkpoint that is gone on with, and ``best`` the one that its progress speaks of.

    ``last`` comes first, before anything else of the run is cut back: whoever is killed in between goes on from the
    same place. Checkpoints of epochs stay, so that another course of the run can be gone back to; a best one that is
    left so becomes one of them, where its epoch has none.

    Args:
        run: on the main process.
        path: the checkpoint, ``last`` itself where nothing else was asked for.
        progress: what it says of where the training stood.

    Returns:
        False where the weights of its best epoch are no longer there, and so no ``best``.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    last, best = run.checkpoint("last"), run.checkpoint("best")
    _also(last, path)
    numbered = run.checkpoint(f"epoch_{progress.best_epoch:04d}")
    found = next((one for one in (best, last, numbered) if _is_best(one, progress)), None)
    if found != best:
        _keep(run, best)
    if found is None:
        best.unlink(missing_ok=True)
        return not progress.best_epoch
    _also(best, found)
    return True


def _keep(run: Run, best: Path) -> None:
    """Give the best checkpoint of the course that is left the name of its epoch, where none has it."""
    if not best.is_file() or not (epoch := _progress(best).get("epoch")):
        return
    name = f"epoch_{epoch:04d}"
    if not run.checkpoint(name).is_file():
        _also(run.checkpoint(name), best)
        log.info("what was the best of all, in epoch %d, is kept as %s", epoch, run.checkpoint(name))


def _is_best(path: Path, progress: Progress) -> bool:
    """Say whether a checkpoint was written at the end of the best epoch: by its value, as courses share numbers."""
    if not progress.best_epoch or not path.is_file():
        return False
    said = _progress(path)
    at = said.get("epoch"), said.get("best_epoch"), said.get("best"), said.get("step_in_epoch")
    return at == (progress.best_epoch, progress.best_epoch, progress.best, 0)


def _progress(path: Path) -> dict[str, Any]:
    """Return where a checkpoint says that the training stood; nothing of a damaged one."""
    try:
        return load_checkpoint(path, mapped=True).get("progress") or {}
    except RunError:
        return {}


def _also(path: Path, other: Path) -> None:
    """Give the file ``other`` the name ``path`` too; a copy of it where there are no links."""
    if path.is_file() and path.samefile(other):
        return
    if not atomic_link(path, other):
        with other.open("rb") as file:
            atomic_write(path, lambda to: shutil.copyfileobj(file, to))
