"""`spectrain sweep`: begin a sweep, go on with it, run it on one device or several."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import load_config
from ..core.errors import UsageError
from ..training.whole_run import StoppedError
from .addresses import is_there, without_password
from .many import Child, run_children
from .options import SweepOptions, read_options
from .plan import Plan
from .runner import Runner
from .start import RECIPE, TRIALS, begin_sweep, go_on, plan_of
from .store import Store
from .sweep import FROM_ENVIRONMENT, Sweep, default_database, find_database

log = logging.getLogger("spectrain")


@dataclass(frozen=True)
class Swept:
    """What a call of `sweep` left.

    Attributes:
        sweep_id: of the sweep.
        folder: of the sweep.
        failed: trials that failed here; of several devices, runners that did not end well.
        command: that goes on with it.
    """

    sweep_id: str
    folder: Path
    failed: int
    command: str


def sweep(
    sweep_config: str | Path | None = None,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    flags: Sequence[str] = (),
    plugins: Sequence[str] = (),
    config_dir: str | Path | None = None,
    **options: Any,
) -> Swept:
    """Search the options of a recipe for the best, cross-validated; or go on with a search.

    ========  ======  =====================================================
    sweep_id  device
    ========  ======  =====================================================
    none      given   a new sweep begins, and ``n_trials`` run on the device
    given     given   the sweep goes on; where there is none, it begins
    given     none    an error
    none      none    a new sweep is made, and nothing runs
    ========  ======  =====================================================

    Args:
        sweep_config: the sweep file, in the style of W&B's; not needed for a sweep that is there.
        config: options file of sweep and training.
        overrides: ``key=value`` words of sweep and training.
        flags: ``--key value`` words of the training.
        plugins: modules or files to import first.
        config_dir: folder with group files of the user's own.
        options: of the sweep, see `SweepOptions`.

    Raises:
        UsageError: ``sweep_id`` without a device; no sweep file; or what is given is not what the sweep began with.
        ConfigError: with every mistake in sweep file and configuration at once.
        SpectrainError: the database refuses, or is away for too long.
        KeyboardInterrupt: somebody asked to stop; what runs is kept as it stands.
    """
    given = {**options, "sweep_config": None if sweep_config is None else str(sweep_config)}
    chosen, words = read_options(config, overrides, given)
    devices = chosen.devices or ([] if chosen.device is None else [chosen.device])
    if chosen.sweep_id is not None and not devices:
        raise UsageError(
            f"there is a sweep-id ({chosen.sweep_id}) and no device to go on with it on",
            fix="give --device auto, cpu or the number of a GPU; or leave out sweep-id to make a new sweep",
        )
    found = _existing(chosen, config, words, flags, plugins, config_dir)
    own: list[str] = []
    if found is not None:
        own = go_on(found, chosen, config, words, flags)
        log.info("sweep %s: %s", found.sweep_id, _state(found))
    else:
        if chosen.sweep_id is not None:
            log.info("there is no sweep %s yet: it begins under this id", chosen.sweep_id)
        plan = plan_of(chosen, config, words, flags, plugins, config_dir)
        found = begin_sweep(plan, chosen, devices[0] if devices else None)
        recipe = "" if chosen.recipe else f" of recipe {RECIPE}, as none is named," if plan.recipe == RECIPE else ""
        log.info("sweep %s%s begins in %s", found.sweep_id, recipe, found.folder)
        log.info("%s", describe(found))
    name = chosen.runner or f"{socket.gethostname()}-{os.urandom(2).hex()}"
    command = continuing(found, chosen, name, devices, own)
    password = "" if without_password(found.store.url) == found.store.url else " (with the password)"
    log.info("to go on with it%s:\n  %s", password, command)
    if not devices:
        return Swept(found.sweep_id, found.folder, 0, command)
    trials = chosen.n_trials
    if trials is None and found.store.total is None and found.plan.definition.total is None:
        trials = TRIALS
    try:
        if len(devices) > 1:
            failed = _on_several(found, name, devices, own, trials)
        else:
            with stopped_by_sigterm():
                failed = Runner(found.store, found.plan, name, devices[0], trials, None, own).work()
    except (KeyboardInterrupt, StoppedError):
        log.info("stopped; its trial is given back as it stands. To go on with the sweep:\n  %s", command)
        raise KeyboardInterrupt from None
    log.info("sweep %s: %s; spectrain sweep show %s", found.sweep_id, _state(found), found.folder)
    return Swept(found.sweep_id, found.folder, failed, command)


def _existing(
    chosen: SweepOptions,
    config: str | Path | None,
    words: Sequence[str],
    flags: Sequence[str],
    plugins: Sequence[str],
    config_dir: str | Path | None,
) -> Sweep | None:
    """Return the sweep that is to go on; None where one is to begin. A start by mistake leaves no file."""
    if chosen.sweep_id is None:
        return None
    cfg = load_config(chosen.recipe or RECIPE, config, words, flags=flags, plugins=plugins, config_dir=config_dir)
    _, url, folder = find_database(chosen.sweep_id, chosen.sweep_db, cfg.artifact_dir)
    if is_there(url):
        store = Store(url, chosen.sweep_id)
        if (record := store.load()) is not None:
            return Sweep(store, Plan.from_json(record), folder)
    if chosen.sweep_config is None:
        raise UsageError(
            f"there is no sweep {chosen.sweep_id!r}, and no sweep file to begin it with",
            where=without_password(url),
            fix="name the sweep file, or artifact_dir or --sweep-db as when it began",
        )
    return None


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Take SIGTERM, with which clusters end a job, for Ctrl-C: the trial is given back, and not left to run out.

    A training has a way of its own to stop at the next step; this is for what is around it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def describe(found: Sweep) -> str:
    """Return what a sweep does, in a line."""
    plan, definition = found.plan, found.plan.definition
    metrics = " and ".join(f"{one.goal} {one.name}" for one in definition.metrics)
    runs = " × ".join(
        f"{count} {word}{'s' * (count > 1)}"
        for count, word in ((plan.folds, "fold"), (plan.randoms, "seed"))
        if count > 1 or word == "seed"
    )
    ends = [one for one in (found.store.total, definition.total) if one is not None]
    count = f", {min(ends)} trials" if ends else ""
    searched = sum(one.kind != "constant" for one in definition.space.parameters.values())
    of = f"{searched} parameter{'s' * (searched != 1)}"
    return f"{definition.method} search over {of}{count}, {runs} a trial, to {metrics}"


def _state(found: Sweep) -> str:
    """Return how far a sweep is, in words."""
    counts: dict[str, int] = {}
    for trial in found.store.trials():
        counts[trial.state.name.lower()] = counts.get(trial.state.name.lower(), 0) + 1
    said = {"complete": "complete", "running": "running", "pruned": "given up", "fail": "failed"}
    parts = [f"{counts[name]} {words}" for name, words in said.items() if counts.get(name)]
    return ", ".join(parts) + " trials" if parts else "no trials yet"


def continuing(found: Sweep, chosen: SweepOptions, runner: str, devices: Sequence[str], own: Sequence[str]) -> str:
    """Return the whole command that goes on with a sweep, for a shell; a password is left out."""
    words = ["spectrain", "sweep", "--sweep-id", found.sweep_id]
    words += ["--devices", ",".join(devices)] if len(devices) > 1 else ["--device", (devices or ["auto"])[0]]
    if devices:
        words += ["--runner", runner]
    if chosen.n_trials is not None:
        words += ["--n-trials", str(chosen.n_trials)]
    artifact_dir = found.folder.parent
    if found.store.url != default_database(artifact_dir, found.sweep_id):
        words += ["--sweep-db", without_password(found.store.url)]
    places = list(own)
    if not any(word.startswith("artifact_dir=") for word in places) and str(artifact_dir) != "runs":
        places.append(f"artifact_dir={artifact_dir}")
    return shlex.join([*words, *places])


def _on_several(found: Sweep, name: str, devices: Sequence[str], own: Sequence[str], trials: int | None) -> int:
    """Run a runner a device, each in a process of its own; return how many did not end well."""
    children = []
    for number, device in enumerate(devices):
        words = ["sweep", "--sweep-id", found.sweep_id, "--device", device, "--runner", f"{name}-{number}"]
        words += [] if trials is None else ["--n-trials", str(trials)]
        children.append(
            Child(device if len(set(devices)) == len(devices) else f"{number}", [*words, *_places(found, own)])
        )
    return run_children(children, {FROM_ENVIRONMENT: found.store.url})


def _places(found: Sweep, own: Sequence[str]) -> list[str]:
    given = any(word.startswith("artifact_dir=") for word in own)
    return [*own, *([] if given else [f"artifact_dir={found.folder.parent}"])]
