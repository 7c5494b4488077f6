"""Which parameters decide: PED-ANOVA (Watanabe et al. 2023, as Optuna has it), held against chance."""

from __future__ import annotations

import logging
import math
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from .results import Results, TrialResult, better
from .space import Distribution
from .store import values_of

FEWEST = 10
"""Complete trials, below which nothing is said."""
GOOD = 5
"""Trials that should at least count as good."""
SHUFFLES = 40
NO_CHANCE = 0.95
"""Share of shuffled sweeps in which a parameter matters less than what is drawn as chance."""


@dataclass(frozen=True)
class Importance:
    """How much each parameter decides whether a trial is among the good ones.

    Attributes:
        metric: that is decided.
        shares: by parameter, most important first; they add up to 1. Empty where nothing can be said.
        chance: by parameter, the share that it would reach in 19 of 20 sweeps whose scores had nothing to do with it.
        good: how many trials count as good.
        remark: a sentence: what the shares are, or why there are none.
    """

    metric: str
    shares: Mapping[str, float] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    good: int = 0
    remark: str = ""


def importances(results: Results) -> list[Importance]:
    """Return the importance of the parameters, for each metric.

    A parameter is important where the good trials' values of it lie otherwise than all trials'. Chance is measured: the
    scores are dealt out anew to the trials, and what the parameters then seem to decide is noise.
    """
    return [_importance(results, place) for place in range(len(results.metrics))]


def _importance(results: Results, place: int) -> Importance:
    metric = results.metrics[place]
    trials = [
        one
        for one in results.trials
        if one.state == "complete" and math.isfinite(better(one.scores[place].mean, metric))
    ]
    names = [name for name in results.varying() if len({repr(one.parameters.get(name)) for one in trials}) > 1]
    scores = [better(one.scores[place].mean, metric) for one in trials]
    if len(trials) < FEWEST:
        said = (
            f"Importance needs {FEWEST} complete trials, and there {'is' if len(trials) == 1 else 'are'} {len(trials)}."
        )
        return Importance(metric.name, remark=said)
    if not names:
        return Importance(metric.name, remark="All trials have the same parameters, so none can be important.")
    if len(set(scores)) == 1:
        return Importance(metric.name, remark="All trials have the same score, so no parameter decides.")
    study = _study(results, trials, names)
    quantile = min(0.5, max(0.1, GOOD / len(trials)))
    found = _shares(study, names, scores, quantile)
    dealt = random.Random(0)
    noise: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(SHUFFLES):
        for name, share in _shares(study, names, dealt.sample(scores, len(scores)), quantile).items():
            noise[name].append(share)
    chance = {name: sorted(values)[math.ceil(NO_CHANCE * SHUFFLES) - 1] for name, values in noise.items()}
    shares = dict(sorted(found.items(), key=lambda one: -one[1]))
    good = math.ceil(quantile * len(trials))
    above = [name for name, share in shares.items() if share > chance[name]]
    said = f"Share of each parameter in what tells the best {good} of {len(trials)} complete trials from the rest."
    if not above:
        said += " None is above what chance alone gives: more trials are needed to tell."
    return Importance(metric.name, shares, {name: chance[name] for name in shares}, good, said)


def _study(results: Results, trials: Sequence[TrialResult], names: Sequence[str]) -> optuna.Study:
    """Return a study in memory with these trials as Optuna's importance wants them."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    spaces = {
        name: _told(results.space.parameters[name], [one.parameters.get(name) for one in trials]) for name in names
    }
    study = optuna.create_study(direction="maximize")
    for one in trials:
        values = {name: values_of(one.parameters.get(name)) for name in names}
        study.add_trial(optuna.create_trial(params=values, distributions=spaces, value=0.0))
    return study


def _told(one: Distribution, values: Sequence[Any]) -> BaseDistribution:
    """Return the range of a parameter as far as it was tried, or its choices."""
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if one.kind in ("constant", "categorical") or len(numbers) < len(values):
        return CategoricalDistribution(list(dict.fromkeys(values_of(value) for value in values)))
    low, high = min(numbers), max(numbers)
    return FloatDistribution(low, high, log=low > 0 and (one.log or one.kind.endswith("log_normal")))


def _shares(study: optuna.Study, names: Sequence[str], scores: Sequence[float], quantile: float) -> dict[str, float]:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
    with warnings.catch_warnings():  # of small values being the good ones, which they are here
        warnings.simplefilter("ignore")
        found = evaluator.evaluate(study, list(names), target=lambda trial: -scores[trial.number])
    total = sum(found.values())
    return {name: value / total if total > 0 else 0.0 for name, value in found.items()}
