"""`spectrain sweep` and what is below it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ..config.command_line import split_tokens
from .terminal import log_to_terminal
from .words import Output, Several, Switch, Words

app = App(name="sweep", help="Search a recipe's options for the best, cross-validated, by any number of runners.")


@app.default
def sweep(
    sweep_config: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *words: Words,
    config: Path | None = None,
    sweep_id: str | None = None,
    device: str | None = None,
    devices: str | None = None,
    n_trials: int | None = None,
    total_trials: int | None = None,
    runner: str | None = None,
    n_folds: int | None = None,
    n_randoms: int | None = None,
    sweep_db: str | None = None,
    recipe: str | None = None,
    score: Literal["best", "last"] | None = None,
    sweep_seed: int | None = None,
    config_dir: Path | None = None,
    plugin: Several = None,
    debug: Switch = False,
) -> None:
    """Begin a sweep, or go on with one; without a device it is only made.

    Args:
        sweep_config: Sweep file, in the style of W&B's; not needed for a sweep that is there.
        words: Options of the trainings: key=value, --key value; and of the sweep, which options files may hold too.
        config: Options file of sweep and trainings: TOML, YAML or JSON with comments.
        sweep_id: The sweep to go on with; one that is not there begins under this id.
        device: What to train on: auto, cpu, cuda or the number of a GPU.
        devices: Several, as 0,1,2: a runner on each.
        n_trials: Trials that each runner begins; by default 10, or what --total-trials or a grid leave.
        total_trials: Trials of the whole sweep, whoever runs them.
        runner: Name that --n-trials is counted by across restarts; by default a new one each time.
        n_folds: Folds of each trial; 1 takes the data's own splits. By default 5, for encoders 1.
        n_randoms: Seeds of each trial. By default 3, for encoders 1.
        sweep_db: postgresql://USER@HOST:PORT/NAME, sqlite:///FILE or journal:FILE; by default SQLite in the sweep's
            folder. $SPECTRAIN_SWEEP_DB is taken too.
        recipe: What is trained; segmentation by default.
        score: What a run scores: its best epoch (the default), or its last.
        sweep_seed: Seed of random search.
        config_dir: Folder with groups of your own.
        plugin: Module or file to import first; may be repeated.
        debug: A detailed log, and where a failure happened.
    """
    if sweep_config is not None and (sweep_config.startswith("-") or "=" in sweep_config):
        words, sweep_config = (sweep_config, *words), None
    overrides, flags = split_tokens(words)
    log_to_terminal(debug)
    from ..sweeps.api import sweep as search
    from ..sweeps.training import StoppedError

    try:
        made = search(
            sweep_config,
            config,
            overrides,
            flags=flags,
            plugins=plugin or (),
            config_dir=config_dir,
            sweep_id=sweep_id,
            device=device,
            devices=devices,
            n_trials=n_trials,
            total_trials=total_trials,
            runner=runner,
            n_folds=n_folds,
            n_randoms=n_randoms,
            sweep_db=sweep_db,
            recipe=recipe,
            score=score,
            sweep_seed=sweep_seed,
        )
    except StoppedError as error:
        raise KeyboardInterrupt from error
    if made.failed:
        sys.exit(1)


__all__ = ["Output", "app"]
