"""What a sweep has found: its trials with their runs, how good each is, which is best, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from .definition import Metric
from .intervals import interval, spread
from .space import Space
from .store import GRACE, LEASE, PARAMETERS, REASON, RELEASED, RUNS, RunRecord
from .sweep import Sweep

State = Literal["waiting", "running", "complete", "pruned", "failed"]
STATES: tuple[State, ...] = ("complete", "running", "waiting", "pruned", "failed")


@dataclass(frozen=True)
class Estimate:
    """A trial's value of one metric, over the runs that are done.

    Attributes:
        mean: over runs; NaN where none is done.
        sd: standard deviation over runs.
        folds_sd: standard deviation of the folds' means: how much the result depends on what is held out.
        seeds_sd: standard deviation of the seeds' means: how much it depends on chance in training.
        low: end of the 95 % interval of the mean, by Student's t over the folds' means. Runs of one fold are no
            independent evidence of other data, so a fold counts once however many seeds it has. The interval is still
            too narrow by some, as folds share most of their training data. NaN with fewer than two folds.
        high: the other end.
        by_fold: mean over seeds, a fold each.
    """

    mean: float
    sd: float
    folds_sd: float
    seeds_sd: float
    low: float
    high: float
    by_fold: Mapping[int | None, float]


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        number: in the order in which they were begun, from 0.
        state: "waiting" is begun, and nobody works on it now.
        parameters: by name.
        runs: all of them, done or not.
        scores: an estimate for each metric.
        reason: why it failed or was given up.
    """

    number: int
    state: State
    parameters: Mapping[str, Any]
    runs: tuple[RunRecord, ...]
    scores: tuple[Estimate, ...]
    reason: str | None = None

    @property
    def done(self) -> list[RunRecord]:
        """The runs that are finished."""
        return [run for run in self.runs if run.state == "done"]

    @property
    def partial(self) -> bool:
        """Whether the scores are of some of the runs only."""
        return len(self.done) < len(self.runs)


@dataclass(frozen=True)
class Lead:
    """How far the best trial is before the next, over the runs of the same fold and seed.

    Attributes:
        best: number of the trial.
        next: number of the one that comes after.
        difference: mean over runs of what the best is better by, 0 or more whatever the goal.
        low: end of its 95 % interval, by Student's t over the folds' mean differences; NaN with fewer than two folds.
        high: the other end.
        won: runs in which the best is better.
        runs: runs that were compared.
    """

    best: int
    next: int
    difference: float
    low: float
    high: float
    won: int
    runs: int


@dataclass(frozen=True)
class Results:
    """A sweep as it stands.

    Attributes:
        sweep_id: its name in the database and of its folder.
        name: what its file calls it.
        recipe: of the trainings.
        method: how parameters are chosen.
        metrics: what decides.
        score: the best epoch of each run counts, or the last.
        folds: of each trial.
        seeds: of each trial.
        space: what parameters are chosen from.
        trials: in the order of their numbers.
        best: the best complete trial; of several metrics all that no other is better than in every metric.
        lead: how sure that is; None for several metrics, or where there is no other to compare with.
        total: trials that there will be at most; None where nobody said.
    """

    sweep_id: str
    name: str
    recipe: str
    method: str
    metrics: tuple[Metric, ...]
    score: str
    folds: int
    seeds: int
    space: Space
    trials: tuple[TrialResult, ...]
    best: tuple[int, ...]
    lead: Lead | None
    total: int | None = None

    def ranked(self) -> list[TrialResult]:
        """Return the trials, best first: complete ones, then those under way, given up and failed."""
        return sorted(self.trials, key=lambda one: (STATES.index(one.state), self._rank(one)))

    def _rank(self, trial: TrialResult) -> tuple[float, ...]:
        value = better(trial.scores[0].mean, self.metrics[0])
        front = 0 if trial.number in self.best else 1
        return (front if len(self.metrics) > 1 else 0, math.inf if math.isnan(value) else -value, trial.number)

    def counts(self) -> dict[State, int]:
        """Return how many trials are in each state, those states that there are."""
        found = Counter(trial.state for trial in self.trials)
        return {state: found[state] for state in STATES if found[state]}

    def trial(self, number: int) -> TrialResult | None:
        """Return the trial of a number, None where there is none."""
        return next((trial for trial in self.trials if trial.number == number), None)

    def varying(self) -> list[str]:
        """Return the parameters that have more than one value in the trials."""
        seen = {name: {repr(trial.parameters.get(name)) for trial in self.trials} for name in self.space.parameters}
        return [name for name, values in seen.items() if len(values) > 1]


def results_of(sweep: Sweep) -> Results:
    """Read a sweep's study; nothing is written."""
    definition = sweep.plan.definition
    metrics = definition.metrics
    now, started = sweep.store.clock()
    trials = [_trial(one, metrics, now, started) for one in sweep.store.trials()]
    complete = [one for one in trials if one.state == "complete" and _finite(one)]
    best = front(complete, metrics)
    return Results(
        sweep_id=sweep.sweep_id,
        name=definition.name,
        recipe=sweep.plan.recipe,
        method=definition.method,
        metrics=metrics,
        score=sweep.plan.score,
        folds=sweep.plan.folds,
        seeds=sweep.plan.randoms,
        space=definition.space,
        trials=tuple(trials),
        best=best,
        lead=lead(complete, metrics[0]) if len(metrics) == 1 else None,
        total=min((one for one in (sweep.store.total, definition.total) if one is not None), default=None),
    )


def estimate(runs: Sequence[RunRecord], place: int) -> Estimate:
    """Return what finished runs say of the metric at ``place``; all NaN where there are none."""
    values = [run.scores[place] for run in runs]
    by_fold = _means(runs, values, lambda run: run.fold)
    by_seed = _means(runs, values, lambda run: run.seed)
    low, high = interval(list(by_fold.values()))
    middle = mean(values) if values else math.nan
    return Estimate(
        middle, spread(values), spread([*by_fold.values()]), spread([*by_seed.values()]), low, high, by_fold
    )


def _means(
    runs: Sequence[RunRecord], values: Sequence[float], key: Callable[[RunRecord], int | None]
) -> dict[int | None, float]:
    groups: dict[int | None, list[float]] = {}
    for run, value in zip(runs, values, strict=True):
        groups.setdefault(key(run), []).append(value)
    return {name: mean(held) for name, held in groups.items()}


def better(value: float, metric: Metric) -> float:
    """Return a value so that larger is better."""
    return value if metric.goal == "maximize" else -value


def front(trials: Sequence[TrialResult], metrics: Sequence[Metric]) -> tuple[int, ...]:
    """Return the trials that no other is better than: the best one, or the Pareto front of several metrics.

    Of equal trials the one with the lower number stands for all.
    """
    points = {
        one.number: tuple(better(each.mean, metric) for each, metric in zip(one.scores, metrics, strict=True))
        for one in sorted(trials, key=lambda one: one.number)
    }
    first = {point: number for number, point in reversed(points.items())}
    return tuple(
        number for point, number in sorted(first.items(), key=lambda one: one[1]) if _undominated(point, first)
    )


def _undominated(point: tuple[float, ...], others: Mapping[tuple[float, ...], int]) -> bool:
    return not any(other != point and all(a >= b for a, b in zip(other, point, strict=True)) for other in others)


def lead(trials: Sequence[TrialResult], metric: Metric) -> Lead | None:
    """Return how far the best of complete trials is before the next; None where there are fewer than two."""
    ranked = sorted(trials, key=lambda one: (-better(one.scores[0].mean, metric), one.number))
    if len(ranked) < 2:
        return None
    one, other = ranked[:2]
    there = {run.key: run for run in other.done}
    pairs = [(run, there[run.key]) for run in one.done if run.key in there]
    if not pairs:
        return None
    ours = [better(run.scores[0], metric) - better(its.scores[0], metric) for run, its in pairs]
    compared = [replace(run, scores=(by,)) for (run, _), by in zip(pairs, ours, strict=True)]
    found = estimate(compared, 0)
    return Lead(one.number, other.number, found.mean, found.low, found.high, sum(by > 0 for by in ours), len(ours))


def _trial(trial: FrozenTrial, metrics: Sequence[Metric], now: float, started: float) -> TrialResult:
    attributes = trial.user_attrs
    records = tuple(RunRecord.from_json(one) for one in attributes.get(RUNS, {}).values())
    done = [run for run in records if run.state == "done" and len(run.scores) == len(metrics)]
    scores = tuple(estimate(done, place) for place in range(len(metrics)))
    parameters = attributes.get(PARAMETERS, trial.params)
    state = _state(trial, now, started)
    return TrialResult(trial.number, state, dict(parameters), records, scores, attributes.get(REASON))


def _state(trial: FrozenTrial, now: float, started: float) -> State:
    ended: dict[TrialState, State] = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
    }
    lease = trial.user_attrs.get(LEASE)
    if trial.state in ended:
        return ended[trial.state]
    if lease is None:  # just begun
        return "running"
    beat = float(lease["beat"])
    return "waiting" if beat == RELEASED or now - max(beat, started) > GRACE else "running"


def _finite(trial: TrialResult) -> bool:
    return all(math.isfinite(one.mean) for one in trial.scores)
