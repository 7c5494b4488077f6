"""How a training ends: its best model is recalibrated on validation labels, and tested on what was kept for that."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..config import Config
from ..core.atomic import atomic_write, disk_errors
from ..core.batch import Batch
from ..core.step import Step
from ..data.mixture import eval_order
from ..data.opening import open_patches
from ..metrics.calibration import Recalibration
from ..metrics.labelled import LabelledPixels
from ..runs.run import Run
from ..tasks.base import Task
from ..tasks.value_layers import ALEATORIC
from .checkpoint import load_checkpoint, save_checkpoint
from .evaluate import evaluate
from .processes.devices import resolve_device
from .tested import Tested
from .testing import held_out, subject_of, test
from .trained.model import Trained, checkpoint_of, load_trained

log = logging.getLogger("spectrain")

RESULTS, TEXT = "test_results.json", "results.txt"


def conclude(run: Run, cfg: Config) -> None:
    """Do what is left after the last epoch; what was done before is done again, to the same end.

    The best checkpoint gets the recalibration that its task fits on the validation split (`Task.recalibrate`), with
    ``hparams.test_at_end`` it is tested on the splits that are kept for it, and the results are left in the run folder.

    Args:
        run: whose training is finished.
        cfg: its configuration.
    """
    tested = is_tested(cfg)
    if not tested and not _recalibrated(cfg):
        return
    path = checkpoint_of(run.folder)
    device = resolve_device(cfg.general.device, 0, cfg.general.device_ids)
    trained = load_trained(path)
    tested_only = cfg.hparams.skip_training and "recalibration" in trained.meta
    fitted = None if tested_only else recalibration([trained], cfg, device)
    if fitted is not None:
        record = load_checkpoint(path)
        kept: dict[str, Any] = {
            name: record[name] for name in ("model", "optimizer", "progress", "curves") if name in record
        }
        save_checkpoint(path, kept, record["meta"] | {"recalibration": fitted})
    if not tested:
        return
    own = trained.cfg.dataset.path == cfg.dataset.path
    test_and_keep(run.folder, cfg, data=None if own else cfg.dataset.path)


def is_tested(cfg: Config) -> bool:
    """Say whether a training ends with a test: where one is asked for, and the model is what is tried."""
    return cfg.hparams.skip_training or (cfg.hparams.test_at_end and not _of_the_code(cfg))


def _of_the_code(cfg: Config) -> bool:
    """Say whether a training tries the code and not the model."""
    return cfg.general.debug or bool(cfg.hparams.overfit_batches)


def test_and_keep(folder: Path, cfg: Config, data: str | list[str] | None = None) -> None:
    """Test a run or an ensemble on the splits that are kept for it, and leave what was found in its folder.

    Args:
        folder: of the run or the ensemble: its ``test`` gets the whole test, itself the results of the last split.
        cfg: how the data are read, and where.
        data: other data than those that it was trained on.
    """
    splits = held_out(cfg.dataset)
    if not splits:
        log.info("the data keep no split for tests, so the model is not tested: %s", folder)
        return
    device = resolve_device(cfg.general.device, 0, cfg.general.device_ids)
    found = test(folder, data, splits=splits, device=str(device), overrides=cfg.dataset)
    _keep(found[-1], folder)
    for one in found:
        log.info("%s: %s → %s", one.split, one.line() or "no score, as nothing in it is measured", one.folder)


def recalibration(models: Sequence[Trained], cfg: Config, device: torch.device) -> dict[str, Any] | None:
    """Return what is fitted on the validation labels of one model, or of several as one; None where nothing is.

    That is a task without such, one that wants none (``task.recalibrate=false``), or no labels.
    """
    split = cfg.dataset.valid_key
    if not split or not _recalibrated(cfg):
        return None
    patches = open_patches(cfg.dataset.path or (), split, cfg.dataset)
    subject, source = subject_of(models, patches, cfg.dataset, device, scored=False)
    pixels = subject.task.pixels()
    if pixels is None:
        return None
    order = eval_order(patches, cfg.hparams.evaluation_batch_size)
    with source.loader:
        evaluate(subject, source, order, _into(pixels), pictures=0)
    fitted = pixels.recalibration()
    if fitted is None:
        log.warning("%s, %s: no labels to recalibrate the model on", patches.path, split)
        return None
    log.info("recalibrated on %d labels of %s: %s", sum(fitted.counts), split, _said(fitted, subject.task))
    return fitted.to_json()


def _recalibrated(cfg: Config) -> bool:
    """Say whether a model is recalibrated, where its task knows how and there are labels."""
    wanted = bool(getattr(cfg.task.options, "recalibrate", False) and cfg.dataset.valid_key)
    return wanted and not _of_the_code(cfg)


def _said(fitted: Recalibration, task: Task) -> str:
    """Return what was fitted in words: of a model of values alone there is no variance, but one width."""
    at = fitted.levels.index(0.9)
    if any(layer.name == ALEATORIC for layer in task.layers()):
        said = "variances times " + ", ".join(f"{factor:.3g}" for factor in fitted.factors)
        if fitted.widenings:
            said += ", the ends of 90 % moved outwards by " + ", ".join(f"{row[at]:.3g}" for row in fitted.widenings)
        return said
    return "90 % of them lie within ± " + ", ".join(f"{row[at]:.3g}" for row in fitted.widths) + " of the prediction"


def _into(pixels: LabelledPixels) -> Any:
    def each(step: Step, batch: Batch) -> None:
        pixels.update(step.output, batch)

    return each


def _keep(found: Tested, folder: Path) -> None:
    """Leave the results of a test in a run folder as the published trainer does: numbers by its names, and pixels."""
    published = _published(found)
    text = "".join(f"{name}: {value:.6g}\n" for name, value in published.items())
    atomic_write(folder / TEXT, text)
    plain = {name: value if math.isfinite(value) else None for name, value in published.items()}
    atomic_write(folder / RESULTS, json.dumps(plain, indent=1) + "\n")
    for file in found.files:
        target = folder / file.name
        target.unlink(missing_ok=True)
        try:
            os.link(file, target)
        except OSError:  # a file system without links
            with disk_errors(folder):
                shutil.copyfile(file, target)


def _published(found: Tested) -> dict[str, float]:
    """Return the results by the names that the task's users know, then all others by ours."""
    return {found.published.get(name, name): value for name, value in found.items()}
