"""One run of a trial: trained, continued where it stopped, or found finished; and its scores."""

from __future__ import annotations

import csv
import fcntl
import logging
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..config import Config
from ..core.errors import RunError, SpectrainError
from ..core.registry import lookup
from ..runs.run import Run
from ..training.api import missing_processes, resolve, train_config
from ..training.backbone import with_backbone
from ..training.evaluate import rehearse
from ..training.launch import launch
from ..training.published import native_name
from ..training.session import build_session
from .definition import Metric
from .plan import Score

log = logging.getLogger("spectrain")


class StoppedError(Exception):
    """Somebody asked the training to stop."""


def train_run(cfg: Config) -> Path:
    """Train a run, or go on with it; return its folder.

    Raises:
        StoppedError: it was asked to stop; a checkpoint is kept.
        SpectrainError: it cannot be trained, or another process is at it.
    """
    folder = Path(cfg.artifact_dir).absolute() / str(cfg.trial_name) / f"{cfg.run_name}-{cfg.run_id}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        began = (folder / "run.json").is_file()
        if began and Run.open(folder).info.get("status") == "finished":
            return folder
        if not began:
            shutil.rmtree(folder, ignore_errors=True)  # its worker died before there was anything in it
        if (count := missing_processes(cfg)) > 1:
            run = _together(cfg, folder if began else None, count)
        elif began:
            again, before, checkpoint = resolve(None, resume=folder)
            run = train_config(again, run=before, checkpoint=checkpoint)
        else:
            run = train_config(cfg)
    if run.info.get("status") == "interrupted":
        raise StoppedError
    return run.folder


def _together(cfg: Config, begun: Path | None, count: int) -> Run:
    """Train in several processes, one a device, which this one waits for; return the run.

    Args:
        cfg: of the run.
        begun: its folder, where it goes on.
        count: of processes.
    """
    folder = Path(cfg.artifact_dir).absolute() / str(cfg.trial_name) / f"{cfg.run_name}-{cfg.run_id}"
    with tempfile.TemporaryDirectory() as place:
        words = ["train", "--resume", str(begun)]
        if begun is None:
            file = Path(place) / "config.yaml"
            file.write_text(cfg.to_yaml())
            words = ["train", cfg.recipe, "--config", str(file)]
        code = launch(count, words)
    if not (folder / "run.json").is_file():
        raise RunError(
            f"its {count} processes ended with code {code}", where=str(folder), fix="see what they say above"
        )
    run = Run.open(folder)
    if run.info.get("status") == "failed" or (code and run.info.get("status") != "interrupted"):
        raise RunError(f"its {count} processes ended with code {code}", where=str(folder), fix="see its log")
    return run


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


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder: a worker that was thought dead and is not shall not write to it at the same time."""
    with folder.with_name(f".{folder.name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(
                "another process trains this run", where=str(folder), fix="let it finish, or stop it"
            ) from error
        yield


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
