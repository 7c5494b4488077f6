"""`spectrain sweep ensemble`: the models of a trial's folds in one folder, which `spectrain predict` takes as one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import RunError, SpectrainError
from ..runs.run import Run
from ..training.checkpoint import load_checkpoint, save_checkpoint
from ..training.trained.ensembles import FILE, is_ensemble, write_ensemble
from ..training.trained.members import load_members
from .chosen import chosen_trial, run_folders
from .plan import Score
from .results import results_of
from .store import RunRecord
from .sweep import Sweep

log = logging.getLogger("spectrain")


@dataclass(frozen=True)
class _Member:
    """A run of the trial, and its checkpoint."""

    record: RunRecord
    checkpoint: Path
    meta: dict[str, Any]

    @property
    def file(self) -> str:
        """Name of its copy."""
        return f"{self.meta['run_name']}-{self.meta['run_id']}.pt"


def ensemble(sweep: Sweep, trial: int | None = None, output: Path | None = None) -> Path:
    """Copy the models of all runs of a trial, every fold and seed, into one folder.

    Each is the checkpoint that its score is of: the best one, or the last where the sweep scores the last epoch. The
    folder needs nothing else and may be moved. `spectrain predict` takes it wherever it takes a run.

    Args:
        sweep: from `open_sweep`.
        trial: its number; None is the best.
        output: the folder; None is ``ensemble/{name}-{trial}`` in the sweep's own. An ensemble that is there is
            replaced.

    Returns:
        The folder.

    Raises:
        SpectrainError: there is no such trial, it is not complete, runs or checkpoints of it are missing, or they are
            of several tasks.
        RunError: the task has no maps; the folder holds something else; the disk is full.
    """
    found = chosen_trial(results_of(sweep), trial)
    name = f"{sweep.plan.definition.name}-{found.number}"
    folder = sweep.folder / "ensemble" / name if output is None else Path(output).expanduser()
    if folder.exists() and not (folder.is_dir() and (is_ensemble(folder) or not any(folder.iterdir()))):
        raise RunError("holds something else than an ensemble", where=str(folder), fix="name another folder by -o")
    runs = run_folders(sweep.folder, found.done)
    members = [_member(record, run, sweep.plan.score) for record, run in zip(found.done, runs, strict=True)]
    tasks = sorted({str(one.meta["config"]["task"]["name"]) for one in members})
    if len(tasks) > 1:
        raise SpectrainError(f"the runs are of several tasks: {' and '.join(tasks)}", where=name)
    load_members([members[0].checkpoint], sweep.plan.plugins)  # says so where the task has no maps
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)  # not an ensemble until it is whole
    for old in folder.glob("*.pt"):
        if old.name not in {one.file for one in members}:
            old.unlink()
    for one in members:
        _copy(one.checkpoint, folder / one.file)
    listed = [
        {"checkpoint": one.file, "fold": one.record.fold, "seed": one.record.seed, "scores": list(one.record.scores)}
        for one in members
    ]
    metrics = [metric.name for metric in sweep.plan.definition.metrics]
    facts = {
        "sweep_id": sweep.sweep_id,
        "trial": found.number,
        "metrics": metrics,
        "parameters": dict(found.parameters),
    }
    write_ensemble(folder, listed, facts)
    log.info("%s: %d models; map with: spectrain predict %s SCENE -o MAP.tif", name, len(members), folder)
    return folder


def _member(record: RunRecord, folder: Path, score: Score) -> _Member:
    run = Run.open(folder)
    path = run.checkpoint("best" if score == "best" else "last")
    if not path.is_file():
        raise SpectrainError(
            f"the run has no checkpoint {path.name}", where=str(folder), fix="bring it back, or choose another --trial"
        )
    return _Member(record, path, load_checkpoint(path)["meta"])


def _copy(source: Path, target: Path) -> None:
    """Write a checkpoint without what only a training that goes on needs, two thirds of it."""
    content = load_checkpoint(source)
    kept = {name: content[name] for name in ("model", "progress", "curves")}
    save_checkpoint(target, kept, content["meta"])
