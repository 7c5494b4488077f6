"""Trials as pictures show them: in words, in colours by rank, and their parameters' places on axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runs.report.scales import Scale, drawable, fit, number
from ..results import Estimate, Results, TrialResult, better
from .drawing import TONES, at


def scored(results: Results, place: int = 0) -> list[TrialResult]:
    """Return the trials that have a number to draw for a metric, in order."""
    return [one for one in results.trials if drawable(np.array([one.scores[place].mean]))[0]]


def score_axis(results: Results, place: int, values: Sequence[float] = ()) -> Scale:
    """Return an axis for the scores of a metric, and further values."""
    means = [one.scores[place].mean for one in scored(results, place)]
    return fit(np.array([*means, *values], dtype=np.float64), log=None if _minimised(results, place) else False)


def _minimised(results: Results, place: int) -> bool:
    return results.metrics[place].goal == "minimize"


def tones(results: Results, place: int = 0) -> dict[int, str]:
    """Return the colour of each complete trial by its rank; others have none of it."""
    metric = results.metrics[place]
    trials = [one for one in scored(results, place) if one.state == "complete"]
    ranked = sorted(trials, key=lambda one: better(one.scores[place].mean, metric))
    count = max(len(ranked) - 1, 1)
    found = {one.number: f"t{round((TONES - 1) * rank / count)}" for rank, one in enumerate(ranked)}
    if len(ranked) == 1:
        found = {ranked[0].number: f"t{TONES - 1}"}
    return found


def look(trial: TrialResult, tone: dict[int, str]) -> str:
    """Return the CSS classes of a trial's mark."""
    return tone.get(trial.number, trial.state)


def value_text(found: Estimate, digits: int = 4) -> str:
    """Return "0.812 ± 0.010": mean and standard deviation over runs."""
    if math.isnan(found.mean):
        return "–"
    spread = "" if math.isnan(found.sd) else f" ± {number(found.sd, 2)}"
    return number(found.mean, digits) + spread


def shown(value: Any, digits: int = 3) -> str:
    """Return a parameter's value for people."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int):
        return str(value).replace("-", "−")
    return number(value, digits) if isinstance(value, float) else str(value)


def said(trial: TrialResult, results: Results) -> str:
    """Return a trial in a line."""
    pairs = zip(results.metrics, trial.scores, strict=True)
    scores = ", ".join(f"{metric.name} {value_text(found)}" for metric, found in pairs)
    state = "" if trial.state == "complete" else f" ({trial.state}, {len(trial.done)} of {len(trial.runs)} runs)"
    values = ", ".join(f"{name} {shown(trial.parameters.get(name))}" for name in results.varying())
    return f"trial {trial.number}{state}: {scores}" + (f"; {values}" if values else "")


@dataclass(frozen=True)
class Values:
    """An axis of a parameter: a range, or choices one beside the other.

    Attributes:
        scale: of a range; None for choices.
        choices: as text, in the order in which they were written.
        whole: the range is one of whole numbers.
    """

    scale: Scale | None
    choices: tuple[str, ...] = ()
    whole: bool = False

    @classmethod
    def of(cls, results: Results, name: str) -> Values:
        """Return the axis of a parameter, as far as it was tried; choices all."""
        one = results.space.parameters[name]
        given = [trial.parameters.get(name) for trial in results.trials if name in trial.parameters]
        numbers = [float(value) for value in given if isinstance(value, int | float) and not isinstance(value, bool)]
        if one.kind in ("constant", "categorical") or len(numbers) < len(given) or not numbers:
            known = [*(one.values or ()), *given] if one.kind == "categorical" else given
            return cls(None, tuple(dict.fromkeys(shown(value) for value in known)))
        log = (one.log or one.kind.endswith("log_normal")) and min(numbers) > 0
        whole = all(isinstance(value, int) for value in given)
        return cls(fit(np.array(numbers), log=log, pad=0.05), whole=whole)

    def place(self, value: Any) -> float:
        """Return where a value lies, from 0 to 1; NaN where it has no place."""
        if self.scale is None:
            said = shown(value)
            return (self.choices.index(said) + 0.5) / len(self.choices) if said in self.choices else math.nan
        return at(self.scale, float(value)) if isinstance(value, int | float) else math.nan

    def labels(self, about: int = 5) -> list[tuple[float, str]]:
        """Return positions and texts; of many choices some."""
        if self.scale is not None:
            return self.scale.labels(about, whole=self.whole)
        every = max(1, math.ceil(len(self.choices) / max(about, 6)))
        return [((spot + 0.5) / len(self.choices), text) for spot, text in enumerate(self.choices)][::every]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return the shortest endings that tell the parameters apart: "lr" for "optimizer.lr"."""
    found = {}
    for name in names:
        parts = name.split(".")
        endings = [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
        others = [other for other in names if other != name]
        found[name] = next(
            (end for end in endings if not any(f".{other}".endswith(f".{end}") for other in others)), name
        )
    return found
