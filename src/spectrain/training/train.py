"""`spectrain.train`: one run or several members, from a recipe or where they stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import RunError, UsageError
from ..runs.run import Run
from .api import missing_processes, resolve, train_config
from .several import Ensemble, is_members, resume_members, train_members


def train(
    recipe: str | None = None,
    *,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    flags: Sequence[str] = (),
    plugins: Sequence[str] = (),
    config_dir: str | Path | None = None,
    resume: str | Path | None = None,
    members: int | None = None,
    debug: bool = False,
) -> Run | Ensemble:
    """Train what a recipe and its changes describe, or continue a run exactly where it stood.

    Args:
        recipe: name of a recipe, e.g. "contrastive"; not needed with ``resume``.
        config: an options file (JSON with comments, TOML or YAML).
        overrides: ``key=value`` strings.
        flags: ``--KEY VALUE`` strings, as on a command line.
        plugins: modules or files to import first.
        config_dir: folder of the user's own groups.
        resume: a run folder or a checkpoint in it; its configuration is taken, ``overrides`` on top of it. Or the
            folder of ``members`` that were stopped, whose options stay.
        members: how many models to train by as many seeds, for an ensemble; None is one, and no ensemble.
        debug: two epochs of two batches, anomaly detection, a detailed log.

    Returns:
        The run; ``run.folder`` holds everything that it left. Of ``members`` the ensemble, with its ``runs``.

    Raises:
        ConfigError, DataError, RunError: with what, where and how to mend it.
    """
    if resume is not None and is_members(Path(resume)):
        refuse_options_of_members(config, overrides, flags, members)
        return resume_members(Path(resume), plugins)
    cfg, before, checkpoint = resolve(recipe, config, overrides, flags, plugins, config_dir, resume, debug)
    if members is not None:
        refuse_members(members, resume)
        return train_members(cfg, members)
    if (count := missing_processes(cfg)) > 1:
        raise RunError(
            f"general.device_ids names {count} devices, but one process was started",
            fix=f"use the command `spectrain train`, or start the script by `torchrun --nproc-per-node {count}`",
        )
    return train_config(cfg, run=before, checkpoint=checkpoint)


def refuse_members(members: int, resume: str | Path | None) -> None:
    """Raise a `UsageError` where so many members cannot be trained."""
    if members < 2:
        raise UsageError(f"{members} members are no ensemble", where="--members", fix="give 2 or more")
    if resume is not None:
        raise UsageError(
            "a single run is continued as one", where=f"--resume {resume}", fix="leave --members out, or --resume"
        )


def refuse_options_of_members(
    config: str | Path | None, overrides: Sequence[str], flags: Sequence[str], members: int | None
) -> None:
    """Raise a `UsageError` where members that are gone on with are given other options."""
    if config is not None or overrides or flags or members is not None:
        raise UsageError(
            "members go on with the options they began with", where="--resume", fix="give --resume FOLDER alone"
        )
