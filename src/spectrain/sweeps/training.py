"""One run of a trial: trained, continued where it stopped, or found finished; and its scores."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import Config
from ..core.errors import SpectrainError
from ..core.registry import lookup
from ..training.evaluate import rehearse
from ..training.inputs.backbone import with_backbone
from ..training.published import native_name
from ..training.session import build_session
from ..training.whole_run import whole_run
from .definition import Metric
from .plan import Score

log = logging.getLogger("spectrain")


def train_run(cfg: Config) -> Path:
    """Train a run, or go on with it; return its folder. See `whole_run`.

    The runs of a sweep are not tested at their end: a test is looked at once, of the parameters that were chosen.
    """
    folder = Path(cfg.artifact_dir).absolute() / str(cfg.trial_name) / f"{cfg.run_name}-{cfg.run_id}"
    return whole_run(replace(cfg, hparams=replace(cfg.hparams, test_at_end=False)), folder).folder


def values_of_a_run(cfg: Config) -> set[str]:
    """Build a run and take two samples of each split all the way; return the names of the values that it will have.

    Nothing is written, and nothing learned.

    Raises:
        SpectrainError: what the training would raise at its start.
    """
    session = build_session(with_backbone(cfg))
    try:
        return rehearse(session)
    finally:
        session.close()


def tell_trackers(cfg: Config, values: Mapping[str, float], parameters: Mapping[str, Any], status: str) -> None:
    """Write what a trial came to where its runs are tracked as one thing; a tracker that fails is a warning.

    Args:
        cfg: of one of its runs.
        values: mean scores by metric.
        parameters: that it tried.
        status: "finished" or "failed".
    """
    if "mlflow" not in cfg.trackers:
        return
    from ..runs.trackers.mlflow import end_parent

    try:
        end_parent(cfg, values, parameters, status)
    except Exception as error:  # numbers and pictures are in the study and the folders
        log.warning("mlflow: %s", str(error).partition("\n")[0])


def scores_of(folder: Path, cfg: Config, metrics: Sequence[Metric], score: Score) -> tuple[float, ...]:
    """Return a run's score in each metric: of the epoch that is best in the first metric, or of the last.

    Raises:
        SpectrainError: a metric was not logged, or is not a number.
    """
    chosen, names = _scored(folder, cfg, metrics, score)
    return tuple(float(chosen[name]) for name in names)


def scored_epoch(folder: Path, cfg: Config, metrics: Sequence[Metric], score: Score) -> int:
    """Return the epoch, from 1, that a run's scores are of; see `scores_of`."""
    return int(_scored(folder, cfg, metrics, score)[0]["epoch"])


def _scored(folder: Path, cfg: Config, metrics: Sequence[Metric], score: Score) -> tuple[dict[str, str], list[str]]:
    """Return the row of ``metrics.csv`` that counts, and the names of the metrics in it."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    published = getattr(lookup("task", cfg.task.name), "published", {})
    names = [native_name(metric.name, published) for metric in metrics]
    for metric, name in zip(metrics, names, strict=True):
        if not any(row.get(name) for row in rows):
            known = sorted({key for row in rows for key, value in row.items() if value} - {"epoch", "step"})
            raise SpectrainError(
                f"the run has no value {metric.name!r}", where=str(folder), fix=f"it has {', '.join(known)}"
            )
    there = [row for row in rows if all(row.get(name) for name in names)]
    first, sign = names[0], 1 if metrics[0].goal == "maximize" else -1
    finite = [row for row in there if all(math.isfinite(float(row[name])) for name in names)]
    if not finite:
        raise SpectrainError(f"{metrics[0].name} is not a number in any epoch", where=str(folder))
    chosen = finite[-1] if score == "last" else max(finite, key=lambda row: sign * float(row[first]))
    return chosen, names
