"""How a sweep begins, and how it goes on: what is given is held against what it began with."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config.plugins import placed
from ..config.render import flattened
from ..config.resolver import personal_file
from ..core.errors import ConfigError, Problem, SpectrainError, UsageError, perhaps
from ..core.registry import lookup
from ..training.published import native_name
from .addresses import file_of, without_password
from .definition import Definition, read_definition
from .options import SweepOptions
from .plan import Plan, replaced, words_of
from .store import Store
from .sweep import Sweep, find_database
from .training import values_of_a_run

log = logging.getLogger("spectrain")

RECIPE = "segmentation"
OF_ENCODERS = ("contrastive", "mae")
"""Recipes whose runs are long and are compared on one split: one run a trial, unless more are asked for."""
FOLDS, RANDOMS, TRIALS = 5, 3, 10
"""As published: folds and seeds of a trial, and trials of a runner."""
PLACES = frozenset({
    "dataset.path", "dataset.labels_path", "dataset.splits", "artifact_dir", "general.device", "general.device_ids",
    "general.threads", "general.num_workers", "mlflow.tracking_uri", "wandb.mode",
})  # fmt: skip
"""What may differ from runner to runner: where things are and what computes; nothing that changes a result."""


def plan_of(
    options: SweepOptions,
    config: str | Path | None,
    overrides: Sequence[str],
    flags: Sequence[str],
    plugins: Sequence[str],
    config_dir: str | Path | None,
) -> Plan:
    """Return the plan of a sweep that begins; nothing of it is checked yet but that its files can be read.

    Raises:
        UsageError: no sweep file is named.
        SpectrainError: a file cannot be read.
    """
    if options.sweep_config is None:
        fix = "spectrain sweep SWEEP.yaml, or sweep-config in the options file"
        raise UsageError("no sweep file is named", fix=fix)
    file = Path(options.sweep_config).expanduser()
    definition = read_definition(file)
    personal = personal_file(config)
    recipe = options.recipe or RECIPE
    encoder = recipe in OF_ENCODERS
    return Plan(
        sweep_id=options.sweep_id or "sweep",
        recipe=recipe,
        file=str(file),
        text=definition.text,
        config_name=None if config is None else Path(config).name,
        config_text=None if config is None else Path(config).read_text(encoding="utf-8"),
        personal_text=None if personal is None else personal.read_text(encoding="utf-8"),
        config_dir=None if config_dir is None else str(Path(config_dir).absolute()),
        overrides=tuple(overrides),
        flags=tuple(flags),
        plugins=tuple(map(placed, plugins)),
        folds=options.n_folds or (1 if encoder else FOLDS),
        randoms=options.n_randoms or (1 if encoder else RANDOMS),
        seed=options.sweep_seed,
        score=options.score,
    )


def begin_sweep(plan: Plan, options: SweepOptions, device: str | None) -> Sweep:
    """Check a plan as a whole, and make its study; return the sweep.

    Args:
        plan: what was given.
        options: of the command.
        device: what the first runner trains on, for the rehearsal; None is the configuration's.

    Raises:
        ConfigError: a parameter is no option, or a value of it is impossible; no run has the metric.
        SpectrainError: the data do not go with the configuration, or the database refuses.
    """
    definition = plan.definition
    _, url, _ = find_database(options.sweep_id or "sweep", options.sweep_db, ".")
    if file_of(url) is None:
        Store(url, "")  # a wrong password is said before the model is built; a file is made when all else is well
    plan.check()
    artifact_dir = Path(plan.config().artifact_dir)
    check_metrics(plan, definition, device)
    directions = [metric.goal for metric in definition.metrics]
    for sweep_id in _ids(options.sweep_id, definition.name):
        _, url, folder = find_database(sweep_id, options.sweep_db, artifact_dir)
        store = Store(url, sweep_id)
        if options.sweep_id is None and sweep_id in store.names():
            continue
        named = replace(plan, sweep_id=sweep_id)
        names = [metric.name for metric in definition.metrics]
        kept = Plan.from_json(store.create(named.to_json(), directions, names))
        if kept == named:
            break
        if options.sweep_id is not None:
            raise SpectrainError(
                f"another runner began a sweep {sweep_id!r} at this moment, and it is a different one",
                where=without_password(url),
                fix="give another sweep-id, or continue that one",
            )
    if options.total_trials is not None:
        store.total = options.total_trials
    sweep = Sweep(store, named, folder)
    sweep.note_place()
    return sweep


def _ids(given: str | None, name: str) -> Sequence[str]:
    """Return the ids to try, the best first: ``sweep-NAME``, as published, then with a number."""
    if given is not None:
        return [given]
    base = "sweep-" + (re.sub(r"[^\w.\-]+", "-", name).strip("-.") or "of-mine")
    return [base, *(f"{base}-{number}" for number in range(2, 10_000))]


def go_on(
    kept: Sweep, options: SweepOptions, config: str | Path | None, overrides: Sequence[str], flags: Sequence[str]
) -> list[str]:
    """Hold what is given against the sweep as it began; return the ``key=value`` words that are this runner's own.

    Nothing need be given again. What is given must be as it was, but for `PLACES`.

    Args:
        kept: the sweep.
        options: of the command.
        config: options file.
        overrides: ``key=value`` words of the training.
        flags: ``--key value`` words of the training.

    Raises:
        UsageError: something else differs: one sweep cannot be two things.
        SpectrainError: a file cannot be read.
    """
    plan = kept.plan
    changes: list[tuple[str, Any, Any]] = [
        (key, was, now)
        for key, was, now in (
            ("n_folds", plan.folds, options.n_folds),
            ("n_randoms", plan.randoms, options.n_randoms),
            ("recipe", plan.recipe, options.recipe),
        )
        if now is not None and was != now
    ]
    if options.sweep_config is not None:
        now = read_definition(Path(options.sweep_config))
        changes += _changes_of_search(plan.definition, now)
    words = {}
    if config is not None or overrides or flags:
        given = replace(plan, overrides=tuple(replaced(plan.overrides, overrides)), flags=(*plan.flags, *flags))
        if config is not None:
            given = replace(given, config_name=Path(config).name, config_text=Path(config).read_text(encoding="utf-8"))
        before, after = (flattened(one.config().to_dict()) for one in (plan, given))
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                if key in PLACES:
                    words[key] = after.get(key)
                else:
                    changes.append((key, before.get(key), after.get(key)))
    if changes:
        lines = [f"  {key}: was {was}, and is {now} now" for key, was, now in changes]
        raise UsageError(
            "\n".join([f"the sweep {plan.sweep_id!r} began as another one", *lines]),
            fix="leave these out to go on with it, or begin another sweep under another sweep-id",
        )
    if options.total_trials is not None and kept.store.total != options.total_trials:
        kept.store.total = options.total_trials
    return words_of(words)


def _changes_of_search(one: Definition, other: Definition) -> list[tuple[str, Any, Any]]:
    """Return what two sweep files mean differently; name, comments and the order of lines do not count."""
    found: list[tuple[str, Any, Any]] = []
    if one.method != other.method:
        found.append(("method", one.method, other.method))
    if one.metrics != other.metrics:
        found.append(("metric", _said(one), _said(other)))
    for name in sorted({*one.space.parameters, *other.space.parameters}):
        there, here = one.space.parameters.get(name), other.space.parameters.get(name)
        if there is None or not there.same(here):
            found.append((f"parameters.{name}", there or "not there", here or "not there"))
    if one.pruning != other.pruning:
        found.append(("early_terminate", one.pruning, other.pruning))
    return found


def _said(definition: Definition) -> str:
    return ", ".join(f"{metric.goal} {metric.name}" for metric in definition.metrics)


def check_metrics(plan: Plan, definition: Definition, device: str | None) -> None:
    """Build a run and take two samples all the way; raise where it cannot be, or has no value of a metric's name.

    Raises:
        ConfigError: a metric is none of the values that each run will have.
        SpectrainError: what the first training would have raised.
    """
    run = plan.runs[-1] if plan.folds == 1 else plan.runs[plan.folds - 1]  # the last fold: it is there, so all are
    first = definition.space.grid(0) if definition.method == "grid" else definition.space.random(plan.seed, 0)
    cfg = plan.trial_config(0, first, run, device)
    names = values_of_a_run(cfg)
    published = getattr(lookup("task", cfg.task.name), "published", {})
    problems = []
    for metric in definition.metrics:
        if native_name(metric.name, published) not in names:
            known = sorted({*names, *(f"val/{one}" for one in published.values())})
            what = f"no run has a value {metric.name!r}" + perhaps(metric.name, known)
            problems.append(Problem("metric.name", plan.file, what, f"there are {', '.join(sorted(names))}"))
    if problems:
        raise ConfigError(problems)
