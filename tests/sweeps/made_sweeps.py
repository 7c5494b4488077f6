"""Sweeps whose scores are made up, in every state that a page may meet."""

from __future__ import annotations

import math
import random
import time
from dataclasses import asdict, replace

import optuna
from optuna.trial import TrialState

from spectrain.sweeps.plan import Plan
from spectrain.sweeps.runner import told
from spectrain.sweeps.store import LEASE, PARAMETERS, REASON, RELEASED, RUNS, Store, values_of
from spectrain.sweeps.sweep import Sweep

STATES = {
    "complete": TrialState.COMPLETE,
    "running": TrialState.RUNNING,
    "waiting": TrialState.RUNNING,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

TEXT = """\
name: small
method: random
metric: {name: jaccard_valid, goal: maximize}
parameters:
  optimizer.lr: {min: 0.0001, max: 0.1, distribution: log_uniform_values}
  hparams.batch_size: {values: [2, 4, 8]}
  model.encoder: {values: [resnet18, resnet34, mit_b0]}
  loss.gamma: {min: 0.0, max: 5.0}
"""


def many(count=8):
    """Return a sweep file of so many parameters, with names as long as real ones."""
    lines = [
        "  augmentation.probability_of_rotation: {min: 0.0, max: 1.0}",
        "  optimizer.weight_decay: {min: 0.000001, max: 0.1, distribution: log_uniform_values}",
        "  scheduler.warmup_epochs: {min: 0, max: 10}",
        "  general.use_amp: {values: [true, false]}",
        "  loss.smoothing: {mu: 0.1, sigma: 0.02}",
    ]
    return TEXT + "\n".join(lines[: count - 4]) + "\n"


def two_metrics(text=TEXT):
    """Return a sweep file with a metric to be large and one to be small."""
    pair = "[{name: jaccard_valid, goal: maximize}, {name: loss_valid, goal: minimize}]"
    return text.replace("{name: jaccard_valid, goal: maximize}", pair)


def made(folder, text=TEXT, folds=3, randoms=2, sweep_id="s1", url=None):
    """Return a sweep without a trial, in ``folder/s1``; in SQLite there unless an address is given."""
    plan = Plan(sweep_id, "segmentation", "sweep.yaml", text, folds=folds, randoms=randoms)
    store = Store(url or f"sqlite:///{folder / sweep_id}/study.db", sweep_id)
    goals = ["maximize" if one.goal == "maximize" else "minimize" for one in plan.definition.metrics]
    store.create(plan.to_json(), goals)
    sweep = Sweep(store, plan, folder / sweep_id)
    sweep.note_place()
    return sweep


def add(sweep, scores=None, state="complete", reason="", parameters=None):
    """Add a trial; ``scores`` is from (number, parameters, run) to a score a metric, or None for a run not done."""
    store, plan = sweep.store, sweep.plan
    space, number = plan.definition.space, len(store.trials())
    values = space.random(plan.seed, number) | (parameters or {})
    records = []
    for run in plan.runs:
        found = scores(number, values, run) if scores is not None else None
        folder = f"small-{number}/small-{number}-{run.key}-abc"
        records.append(run if found is None else replace(run, state="done", scores=found, folder=folder, attempts=1))
    if state == "failed":
        records[0] = replace(records[0], state="failed", reason=reason)
    means = None
    if state == "complete":
        means = [sum(column) / len(column) for column in zip(*(one.scores for one in records), strict=True)]
    template = optuna.create_trial(
        state=STATES[state],
        values=means,
        params={name: values_of(value) for name, value in values.items()},
        distributions={name: told(one) for name, one in space.parameters.items()},
        user_attrs={
            LEASE: {"owner": "r", "beat": RELEASED if state == "waiting" else time.time()},
            RUNS: {run.key: asdict(run) for run in records},
            PARAMETERS: values,
            **({REASON: reason} if reason else {}),
        },
    )
    study = store.storage.get_study_id_from_name(store.name)
    store.storage.create_new_trial(study, template_trial=template)  # at once, as it would end
    return number


def plausible(metrics=1):
    """Return scores that depend on the learning rate above all, on the encoder, and on fold and seed."""

    def scores(number, parameters, run):
        dealt = random.Random(f"{number} {run.key}")
        good = 0.8 - 0.08 * (math.log10(parameters["optimizer.lr"]) + 2.2) ** 2
        good += {"resnet18": 0.0, "resnet34": 0.02, "mit_b0": 0.035}[parameters["model.encoder"]]
        good += 0.02 * ((run.fold or 0) - 1) + dealt.gauss(0, 0.008)
        return (good, 0.3 + 0.5 * (1 - good) + 0.05 * parameters["loss.gamma"])[:metrics]

    return scores
