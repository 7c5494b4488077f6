"""`spectrain sweep retrain`: the best parameters, trained on all that the folds were made of, and tested."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import Config
from ..core.errors import SpectrainError
from ..core.registry import lookup
from ..data.opening import is_folded, recognise
from ..training.testing import folder_of_test, held_out
from ..training.testing import test as run_test
from .chosen import chosen_trial, run_folders
from .plan import run_id
from .results import TrialResult, results_of
from .store import RunRecord
from .sweep import Sweep
from .training import scored_epoch, train_run

log = logging.getLogger("spectrain")

TRIAL = "retrained"
"""Folder of such runs, beside those of the trials."""
WHY = "spectrain sweep retrain"


def retrain(sweep: Sweep, trial: int | None = None, *, device: str | None = None, seed: int | None = None) -> Path:
    """Train a trial's parameters on all folds' patches, and test the model on the splits that are kept for it.

    Nothing is held out, so there is no validation: nothing can say which epoch is best. The run therefore takes as many
    epochs as were best on average in the trial's runs (all of them where the sweep scores the last epoch), does not
    stop early, and its last epoch is its model. A schedule of the learning rate goes over these epochs. Without
    cross-validation the data's own validation split stays what it is, and the run is like the trial's.

    A run that was stopped or killed goes on at its last checkpoint; one that is finished is not trained again.

    Args:
        sweep: from `open_sweep`.
        trial: its number; None is the best.
        device: to train on; None is the configuration's.
        seed: of the training; None is the first of the sweep.

    Returns:
        The run folder, ``{artifact_dir}/{sweep_id}/retrained/{name}-{trial}-{run_id}``; tests are in its ``test``.

    Raises:
        SpectrainError: there is no such trial, or none is complete; runs of it are missing; what a training raises.
        StoppedError: it was asked to stop; a checkpoint is kept.
    """
    found = chosen_trial(results_of(sweep), trial)
    cfg = retrain_config(sweep, found, device=device, seed=seed)
    folder = train_run(cfg)
    if not (splits := held_out(cfg.dataset)):
        log.info("the data keep no split for tests, so the model is not tested: %s", folder)
        return folder
    if not (folder_of_test(folder, cfg.dataset.places) / "tests.json").is_file():  # which is written last
        run_test(folder, splits=splits, device=cfg.general.device, plugins=sweep.plan.plugins)
    return folder


def retrain_config(sweep: Sweep, trial: TrialResult, *, device: str | None = None, seed: int | None = None) -> Config:
    """Return the configuration of `retrain`."""
    plan = sweep.plan
    first = RunRecord(plan.runs[0].seed if seed is None else seed, None)
    cfg = plan.trial_config(trial.number, trial.parameters, first, device)
    names: dict[str, Any] = {
        "artifact_dir": str(sweep.folder.absolute()),
        "trial_name": TRIAL,
        "run_name": f"{plan.definition.name}-{trial.number}",
        "run_id": run_id(f"{sweep.sweep_id}\n{TRIAL}", trial.number, first),
    }
    if not _folded(sweep, cfg):
        log.info("trial %d was not cross-validated: it is trained and validated as its runs were", trial.number)
        return replace(cfg, **names)
    epochs = best_epochs(sweep, trial, cfg)
    changes: dict[str, dict[str, Any]] = {
        "dataset": {"fold": "all", "valid_key": None},
        "hparams": {
            "epochs": epochs,
            "monitor": "loss_train",
            "monitor_mode": "min",
            "early_stopping_patience": 0,
            # the one time that there is something to compare is after the last epoch: best.pt is the last epoch's
            "valid_interval": epochs,
        },
    }
    origins = {f"{section}.{name}": WHY for section, options in changes.items() for name in options}
    if hasattr(lookup("scheduler", cfg.scheduler.name), "observe"):
        log.warning("scheduler=%s waits for validations, of which there are none: the rate stays", cfg.scheduler.name)
    sections: dict[str, Any] = {
        section: replace(getattr(cfg, section), **options) for section, options in changes.items()
    }
    return replace(cfg, **names, **sections, origins={**cfg.origins, **origins})


def best_epochs(sweep: Sweep, trial: TrialResult, cfg: Config) -> int:
    """Return how many epochs to train: the mean of those that the trial's runs were scored at, at least 1.

    Raises:
        SpectrainError: a run's folder is not there.
    """
    if sweep.plan.score == "last":
        return cfg.hparams.epochs
    metrics = sweep.plan.definition.metrics
    folders = run_folders(sweep.folder, trial.done)
    each = [scored_epoch(folder, cfg, metrics, sweep.plan.score) for folder in folders]
    epochs = max(1, round(sum(each) / len(each)))
    log.info(
        "trial %d is trained on all folds for %d of its %d epochs: the best of its runs were %s",
        trial.number,
        epochs,
        cfg.hparams.epochs,
        ", ".join(map(str, each)),
    )
    return epochs


def _folded(sweep: Sweep, cfg: Config) -> bool:
    """Say whether what a run trains on is a part of a fold."""
    places = cfg.dataset.places
    if not places:
        raise SpectrainError("the sweep names no data", where="dataset.path")
    named = sweep.plan.folds > 1
    return named or any(
        is_folded(recognise(one, cfg.dataset), one, cfg.dataset.train_key, cfg.dataset) for one in places
    )
