"""The trial of a sweep that something is to be made of, with all that its runs left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import SpectrainError
from .results import Results, TrialResult
from .store import RunRecord


def chosen_trial(results: Results, number: int | None) -> TrialResult:
    """Return a trial by its number, or the best one.

    Raises:
        SpectrainError: there is no such trial, it is not complete, or several metrics leave no single best one.
    """
    where = f"sweep {results.sweep_id}"
    if number is None:
        if not results.best:
            raise SpectrainError(
                "no trial is complete yet", where=where, fix=f"spectrain sweep show {results.sweep_id}"
            )
        if len(results.best) > 1:
            front = ", ".join(map(str, results.best))
            raise SpectrainError(
                f"no trial is the best in every metric: the Pareto front is {front}",
                where=where,
                fix=f"choose one by --trial {results.best[0]}",
            )
        number = results.best[0]
    trial = results.trial(number)
    complete = [one.number for one in results.ranked() if one.state == "complete"]
    known = f"complete are {', '.join(map(str, complete[:10]))}" if complete else "none is complete yet"
    if trial is None:
        raise SpectrainError(f"there is no trial {number}", where=where, fix=known)
    if trial.state != "complete":
        done = f"{len(trial.done)} of its {len(trial.runs)} runs are done"
        raise SpectrainError(f"trial {number} is {trial.state}: {done}", where=where, fix=known)
    return trial


def run_folders(folder: Path, runs: Sequence[RunRecord]) -> list[Path]:
    """Return the folders of finished runs.

    Raises:
        SpectrainError: some are not there any more.
    """
    found = [folder / str(run.folder) for run in runs]
    if missing := [str(path) for path in found if not (path / "run.json").is_file()]:
        raise SpectrainError(
            f"{len(missing)} of {len(found)} run folders of the trial are not there",
            where=", ".join(missing[:3]),
            fix="bring them back, or name the sweep's folder where they are",
        )
    return found
