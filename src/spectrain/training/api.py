"""One training: from a configuration or an interrupted run to a finished run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..config import Config, load_config
from ..config.aliases import derived_names
from ..config.schema import DatasetOptions
from ..core.atomic import atomic_write
from ..core.distributed import rank, world_size
from ..core.errors import RunError, perhaps
from ..core.launched import launched_world
from ..data.mixture import datasets_of
from ..data.opening import run_folds
from ..runs.info import FILE as INFO
from ..runs.progress import ProgressLine, layer_table
from ..runs.progress import number as rounded
from ..runs.run import Run
from .checkpoint import load_checkpoint
from .conclusion import conclude, is_tested
from .evaluate import rehearse
from .inputs.backbone import with_backbone
from .interrupts import stop_on_signal
from .loop import Training
from .processes.devices import advice_on, hardware_facts, resolve_device, set_threads
from .processes.parallel import process_group
from .processes.shared_work import from_main
from .profiling import profiler
from .session import Session, build_session
from .state import Progress, State, arithmetic, differences
from .taken_up import take_up
from .trained.ensembles import is_ensemble

log = logging.getLogger("spectrain")


def missing_processes(cfg: Config) -> int:
    """Return how many processes the devices ask for where only this one was started; 0 where all is well."""
    count = len(cfg.general.device_ids)
    return count if count > 1 and launched_world()[2] == 1 else 0


def resolve(
    recipe: str | None,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    flags: Sequence[str] = (),
    plugins: Sequence[str] = (),
    config_dir: str | Path | None = None,
    resume: str | Path | None = None,
    debug: bool = False,
) -> tuple[Config, Run | None, dict[str, Any] | None]:
    """Return what `spectrain.train` would train: the configuration, with ``resume`` the run and its checkpoint too."""
    before = Run.open(Path(resume)) if resume is not None else None
    if before is not None:
        config, recipe = before.folder / "config.yaml", recipe or str(before.info["recipe"])
    cfg = load_config(
        recipe,
        config=config,
        overrides=[*overrides, *(["general.debug=true"] if debug else [])],
        flags=flags,
        plugins=plugins,
        config_dir=config_dir,
        use_personal=before is None,
    )
    checkpoint = None
    if resume is not None and before is not None:
        path = Path(resume) if Path(resume).is_file() else before.checkpoint("last")
        if path.is_file():
            checkpoint = load_checkpoint(path)
        else:
            log.info("%s holds no checkpoint yet: the training starts over in the same folder", before.folder)
    return cfg, before, checkpoint


def train_config(
    cfg: Config, *, run: Run | None = None, checkpoint: dict[str, Any] | None = None, alone: bool = True
) -> Run:
    """Train a resolved configuration; see `training.train.train`.

    Args:
        cfg: from `load_config`.
        run: the run to continue in; None makes a new folder once everything is built, so a mistake leaves none.
        checkpoint: where to continue from.
        alone: it is no part of something else that is gone on with, so how to do so is said where it is stopped.
    """
    if cfg.general.debug:
        cfg = dataclasses.replace(cfg, hparams=dataclasses.replace(cfg.hparams, epochs=min(2, cfg.hparams.epochs)))
    cfg = with_backbone(cfg)
    if cfg.hparams.skip_training and (there := tested_instead(cfg)) is not None:
        return there
    _restore_threads(cfg, checkpoint)
    with _clear_errors():
        run, status, main = _trained(cfg, run, checkpoint)
        try:
            if status == "finished" and main:
                conclude(run, run.cfg)
        except KeyboardInterrupt:  # its training is done, and the rest is done anew
            status = "interrupted"
        finally:
            run.finish(status)
        if status == "interrupted" and alone:
            log.info("stopped; continue with: spectrain train --resume %s", run.folder)
    return run


def tested_instead(cfg: Config) -> Run | None:
    """Test the run that is in ``out_dir`` and return it; None where the weights of ``model.init_from`` are to be.

    Raises:
        RunError: there is neither.
    """
    if cfg.out_dir and (Path(cfg.out_dir) / INFO).is_file():
        run = Run.open(cfg.out_dir)
        conclude(run, cfg)
        return run
    if getattr(cfg.model.options, "init_from", None) is None:
        if cfg.out_dir and is_ensemble(Path(cfg.out_dir)):
            raise RunError(
                "this is an ensemble of several runs, and one is tested so",
                where=f"out_dir {cfg.out_dir}",
                fix=f"test them as one by `spectrain test {cfg.out_dir}`",
            )
        raise RunError(
            "there is nothing to test: no run in out_dir, and no weights",
            where="hparams.skip_training",
            fix="name weights by model.init_from=FILE (--model_weights_path FILE), or the folder of a run by out_dir",
        )
    return None


def _trained(cfg: Config, run: Run | None, checkpoint: dict[str, Any] | None) -> tuple[Run, str, bool]:
    """Train; return the run, which still logs, its status, and whether this is the main process."""
    with process_group(resolve_device(cfg.general.device, 0, cfg.general.device_ids).type):
        session = build_session(cfg, checkpoint)
        try:
            check_monitor(session, rehearse(session))
            run = _shared_run(session.cfg, run)
            with torch.autograd.set_detect_anomaly(cfg.general.debug):
                return run, _run(session, run, checkpoint), rank() == 0
        finally:
            session.close()


def _run(session: Session, run: Run, checkpoint: dict[str, Any] | None) -> str:
    """Fit, and return the run's status, which is left right whatever happens."""
    cfg, state = session.cfg, State()
    if checkpoint is not None:
        state = State.from_record(checkpoint)
        if changed := differences(checkpoint["progress"]["arithmetic"], arithmetic(session)):
            log.warning("continues, not bit-identically: %s", ", ".join(changed))
        _take_up(run, Path(checkpoint["path"]), state.progress)
    training = None
    try:
        try:
            _begin(session, run, state)
            line = ProgressLine(
                epochs=cfg.hparams.epochs,
                steps_per_epoch=session.train_order.steps_per_epoch,
                enabled=rank() == 0,
                start=state.progress.step,
            )
            log.info("%s", describe(session, run))
            if state.progress.stopped or state.progress.epoch >= cfg.hparams.epochs:
                why = "it was stopped early" if state.progress.stopped else "for more, name a larger hparams.epochs"
                log.info("nothing is left to train after epoch %d: %s", state.progress.epoch, why)
            if checkpoint is None:
                _doubt(session)
            left = 0 if cfg.hparams.skip_training else session.total_steps - state.progress.step
            tracing = profiler(cfg.general.profile and rank() == 0, run.folder, left)
            with stop_on_signal() as stop, tracing as profile, line:
                line.show(layer_table(session.model))
                training = Training(session, run, state, checkpoint_meta(session, run), line, stop, profile)
                status = training.fit()
            if status == "finished":
                log.info("%s", ended(session, state, run))
        finally:
            run.update_info(**_results(session, state, training))
    except BaseException:
        run.finish("failed")
        raise
    return status


def _begin(session: Session, run: Run, state: State) -> None:
    """Cut a run back to where it goes on, and write down what is known before the first step."""
    cfg = session.cfg
    run.cut_back(epoch=state.progress.epoch, step=state.progress.step)
    if rank() == 0:
        keep_folds(cfg.dataset, run.folder)
    datasets = datasets_of(session.train.patches)
    run.update_info(
        status="running",
        fingerprint=session.measured.fingerprint,
        processes=world_size(),
        parameters=sum(parameter.numel() for parameter in session.model.parameters()),
        bands=[one.bands.to_json() for one in datasets],
        members=[list(one.shape) for one in datasets] if len(datasets) > 1 else None,
        data={
            name: list(source.patches.shape)
            for name, source in (("train", session.train), ("valid", session.valid))
            if source is not None
        },
        hardware=hardware_facts(session.device),
        derived_names=derived_names(cfg),
        remarks=session.task.remarks(
            session.train_order.samples_per_step, 0 if session.valid is None else len(session.valid.patches)
        ),
    )


def _take_up(run: Run, path: Path, progress: Progress) -> None:
    """Make the checkpoints of a run those of the one that it goes on from; a best one that is lost is forgotten."""
    if not from_main(lambda: take_up(run, path, progress)):
        log.warning(
            "the weights of epoch %d, the best so far, are no longer there: the best of those that come is kept",
            progress.best_epoch,
        )
        progress.best, progress.best_epoch = math.nan, 0
    if not progress.best_epoch:
        run.update_info(best=None)


def ended(session: Session, state: State, run: Run) -> str:
    """Return how a training ended, how good it became, and what to do with it."""
    cfg, progress = session.cfg, state.progress
    if cfg.hparams.skip_training:
        return f"nothing is trained, the weights are tested → {run.folder}"
    said = f"finished after epoch {progress.epoch} of {cfg.hparams.epochs}"
    if progress.stopped and progress.epoch < cfg.hparams.epochs:
        said += f", stopped early: {progress.bad_validations} validations were no better"
    if progress.best_epoch:
        said += f"; best {session.monitor} {rounded(progress.best)} in epoch {progress.best_epoch}"
    if is_tested(cfg):
        return f"{said} → {run.folder}"
    return f"{said}; next: spectrain test {run.folder}"


def keep_folds(options: DatasetOptions, folder: Path) -> None:
    """Write the folds that were drawn for a run into its folder: ``splits.json``, of further data ``splits_1.json``."""
    for number, place in enumerate(options.places):
        if (content := run_folds(place, options)) is not None:
            name = f"splits_{number}.json" if number else "splits.json"
            atomic_write(folder / name, json.dumps(content, indent=1) + "\n")


def _doubt(session: Session) -> None:
    """Warn where the model's options hardly go with the images."""
    doubts = getattr(getattr(session.model, "net", None), "doubts", None)
    if doubts is None:
        return
    found = [doubt for one in datasets_of(session.train.patches) for doubt in doubts(one.bands, one.shape[2:])]
    for doubt in dict.fromkeys(found):
        log.warning("%s", doubt)


def checkpoint_meta(session: Session, run: Run) -> dict[str, Any]:
    """Return what a checkpoint says of itself: all that is needed to use its weights elsewhere."""
    cfg, patches = session.cfg, session.train.patches
    first, *more = (
        {"bands": one.bands.to_json(), "image_size": list(one.shape[2:]), "statistics": statistics.to_json()}
        for one, statistics in zip(datasets_of(patches), session.statistics, strict=True)
    )
    return {
        "recipe": cfg.recipe,
        **first,
        "more": more,
        "channels": session.task.channels,
        "preparation": patches.preparation,
        "config": cfg.to_dict(),
        "fingerprint": session.measured.fingerprint,
        "valid": session.measured.valid,
        "spectrain": __version__,
        "run_name": run.run_name,
        "run_id": run.run_id,
        "trial_name": cfg.trial_name,
        "seed": cfg.general.seed,
        "fold": cfg.dataset.fold,
    }


def check_monitor(session: Session, names: set[str]) -> None:
    """Raise a `RunError` where the value to monitor is none of those that the run will have."""
    if session.monitor not in names:
        raise RunError(
            f"there is no value {session.monitor!r} to monitor" + perhaps(session.monitor, names),
            where="hparams.monitor",
            fix=f"this run has {', '.join(sorted(names))}",
        )


def describe(session: Session, run: Run) -> str:
    """Return a line that says what is about to be trained, on what, where."""
    shapes = [one.shape for one in datasets_of(session.train.patches)]
    data = " and ".join(f"{count} patches of {bands}×{height}×{width}" for count, bands, height, width in shapes)
    parameters = sum(parameter.numel() for parameter in session.model.parameters())
    return (
        f"{session.cfg.recipe}: {parameters / 1e6:.2f} million parameters on {data}, "
        f"{session.train_order.steps_per_epoch} steps an epoch, "
        f"{session.device} → {run.folder}"
    )


def _results(session: Session, state: State, training: Training | None) -> dict[str, Any]:
    """Return what `run.json` says of how it went."""
    facts: dict[str, Any] = {
        "timings": training.clock.totals() if training is not None else {},
        "steps": state.progress.step,
        "best": {"epoch": state.progress.best_epoch, "monitor": session.cfg.hparams.monitor},
    }
    if state.progress.best_epoch:
        facts["best"]["value"] = state.progress.best
    if session.device.type == "cuda":
        facts["timings"]["gpu_memory_mib"] = torch.cuda.max_memory_allocated(session.device) / 2**20
    return facts


def _shared_run(cfg: Config, run: Run | None) -> Run:
    """Make or reopen the run on the main process, and its silent twin on the others."""
    made: list[Run] = []

    def make() -> str:
        made.append(Run.create(cfg) if run is None else Run.open(run.folder, cfg))
        return str(made[0].folder)

    folder = from_main(make)
    return made[0] if made else Run.silent(cfg, Path(folder))


def _restore_threads(cfg: Config, checkpoint: dict[str, Any] | None) -> None:
    """Take the threads that the run had, unless this start names a number."""
    if checkpoint is not None and not cfg.general.threads:
        set_threads(checkpoint["progress"]["arithmetic"]["threads"])


@contextlib.contextmanager
def _clear_errors() -> Iterator[None]:
    """Say what to change where the device ran out of memory, or a step cannot be taken."""
    try:
        yield
    except (RuntimeError, MemoryError, ValueError) as error:
        if (advice := advice_on(error)) is not None:
            raise advice from error
        raise
