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
    if made.failed:
        sys.exit(1)


@app.command
def show(
    sweep_id: str,
    /,
    *,
    output: Output = None,
    sweep_db: str | None = None,
    artifact_dir: Path = Path("runs"),
    debug: Switch = False,
) -> None:
    """Say how a sweep stands: trials, the best and how sure, importance; as tables, pictures and one page.

    Args:
        sweep_id: The sweep's id or folder.
        output: Folder to write; by default the sweep's own.
        sweep_db: Database, where the folder does not say it or a password is needed.
        artifact_dir: Folder that the sweep's folder is in.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    from ..sweeps.page import show as show_sweep
    from ..sweeps.sweep import open_sweep

    shown = show_sweep(open_sweep(sweep_id, sweep_db=sweep_db, artifact_dir=artifact_dir), output)
    print("\n".join([*shown.lines, str(shown.page)]))


@app.command
def retrain(
    sweep_id: str,
    /,
    *,
    trial: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    sweep_db: str | None = None,
    artifact_dir: Path = Path("runs"),
    debug: Switch = False,
) -> None:
    """Train the best trial on all folds, and test it on the splits that were kept for that.

    Args:
        sweep_id: The sweep's id or folder.
        trial: Number of another trial.
        seed: Seed of the training; by default the first of the sweep.
        device: auto, cpu, cuda or the number of a GPU; by default the configuration's.
        sweep_db: Database, where the folder does not say it or a password is needed.
        artifact_dir: Folder that the sweep's folder is in.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    from ..sweeps.retrain import retrain as train_again
    from ..sweeps.sweep import open_sweep
    from ..training.whole_run import StoppedError

    found = open_sweep(sweep_id, sweep_db=sweep_db, artifact_dir=artifact_dir)
    try:
        print(train_again(found, trial, device=device, seed=seed))
    except StoppedError as error:
        raise KeyboardInterrupt from error


@app.command
def ensemble(
    sweep_id: str,
    /,
    *,
    trial: int | None = None,
    output: Output = None,
    sweep_db: str | None = None,
    artifact_dir: Path = Path("runs"),
    debug: Switch = False,
) -> None:
    """Write the models of all runs of the best trial as one ensemble, which predict takes.

    Args:
        sweep_id: The sweep's id or folder.
        trial: Number of another trial.
        output: Folder to write; by default in the sweep's own.
        sweep_db: Database, where the folder does not say it or a password is needed.
        artifact_dir: Folder that the sweep's folder is in.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    from ..sweeps.ensemble import ensemble as gather
    from ..sweeps.sweep import open_sweep

    print(gather(open_sweep(sweep_id, sweep_db=sweep_db, artifact_dir=artifact_dir), trial, output))
