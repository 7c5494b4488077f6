"""The results of a sweep as tables and JSON, for spreadsheets and programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.atomic import atomic_write
from ..runs.info import plain
from .importance import Importance
from .results import Estimate, Results, TrialResult

FORMAT = {"name": "spectrain.sweep_results", "version": 1}
TRIALS, RUNS, JSON = "trials.csv", "runs.csv", "sweep_results.json"


def write_results(results: Results, importance: Sequence[Importance], folder: Path) -> None:
    """Write ``trials.csv``, ``runs.csv`` and ``sweep_results.json``, each whole or not at all.

    A number that there is not (NaN) is an empty cell, and null in JSON.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    atomic_write(folder / TRIALS, _table([_row(results, trial) for trial in results.trials]))
    atomic_write(folder / RUNS, _table([row for trial in results.trials for row in _runs(results, trial)]))
    record = plain(_record(results, importance))
    atomic_write(folder / JSON, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _row(results: Results, trial: TrialResult) -> dict[str, Any]:
    row: dict[str, Any] = {"trial": trial.number, "state": trial.state, "best": int(trial.number in results.best)}
    row |= {"runs_done": len(trial.done), "runs": len(trial.runs)}
    for metric, found in zip(results.metrics, trial.scores, strict=True):
        values = {name: value for name, value in asdict(found).items() if name not in ("mean", "by_fold")}
        row |= {metric.name: found.mean, **{f"{metric.name}_{name}": value for name, value in values.items()}}
    row |= {name: trial.parameters.get(name) for name in results.space.parameters}
    return row | {"reason": trial.reason}


def _runs(results: Results, trial: TrialResult) -> list[dict[str, Any]]:
    rows = []
    for run in trial.runs:
        scores = run.scores or (None,) * len(results.metrics)
        named = {metric.name: value for metric, value in zip(results.metrics, scores, strict=False)}
        facts = {"trial": trial.number, "run": run.key, "fold": run.fold, "seed": run.seed, "state": run.state}
        rows.append({**facts, **named, "attempts": run.attempts, "folder": run.folder, "reason": run.reason})
    return rows


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    value = plain(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | dict) else value


def _estimate(one: Estimate) -> dict[str, Any]:
    return {**asdict(one), "by_fold": {fold: value for fold, value in one.by_fold.items() if fold is not None}}


def _record(results: Results, importance: Sequence[Importance]) -> dict[str, Any]:
    trials = []
    for trial in results.trials:
        scores = {metric.name: _estimate(one) for metric, one in zip(results.metrics, trial.scores, strict=True)}
        facts = {"number": trial.number, "state": trial.state, "reason": trial.reason, "partial": trial.partial}
        runs = [asdict(run) for run in trial.runs]
        trials.append({**facts, "parameters": dict(trial.parameters), "scores": scores, "runs": runs})
    return {
        "format": FORMAT,
        "sweep_id": results.sweep_id,
        "name": results.name,
        "recipe": results.recipe,
        "method": results.method,
        "metrics": [asdict(metric) for metric in results.metrics],
        "score": results.score,
        "folds": results.folds,
        "seeds": results.seeds,
        "counts": results.counts(),
        "best": list(results.best),
        "lead": None if results.lead is None else asdict(results.lead),
        "importance": [asdict(one) for one in importance],
        "trials": trials,
    }
