"""The runs of the best trials: how far folds and seeds differ beside the trials."""

from __future__ import annotations

import math

import numpy as np

from ...runs.report.html import Html, el, join
from ...runs.report.scales import LARGEST, Scale, fit, number
from ..results import Results, TrialResult
from .drawing import NARROW, WIDE, Frame, Picture, at, dot, text
from .scored import scored

MOST = 8
"""Trials that are drawn."""
ROW = 40
COLOURS = 8


def folds(results: Results, place: int) -> Picture | None:
    """Return the runs of the best complete trials in one metric; None where there are none."""
    there = [one for one in scored(results, place) if all(abs(run.scores[place]) <= LARGEST for run in one.done)]
    trials = [one for one in results.ranked() if one.state == "complete" and one in there][:MOST]
    if not trials:
        return None
    count = len(trials)
    title = f"Runs of the {'best trial' if count == 1 else f'best {count} trials'}: {results.metrics[place].name}"
    several = any(len(one.scores[place].by_fold) > 1 for one in trials)
    note = "A dot is a run"
    if several:
        note += ", its colour the fold; a diamond is a fold's mean, the bar the 95 % interval of the trial's mean"
        note += (
            " (Student's t over folds), the stroke the mean. Folds differ in how hard they are: compare trials colour"
        )
        note += " by colour."
    else:
        note += ", the stroke the mean. There is one fold, so there is no interval."
    return Picture("folds", title, _drawn(results, place, trials, WIDE), _drawn(results, place, trials, NARROW), note)


def _drawn(results: Results, place: int, trials: list[TrialResult], width: int) -> Html:
    found = [one.scores[place] for one in trials]
    values = [run.scores[place] for one in trials for run in one.done]
    spread = max(values) - min(values)
    # an interval of two folds may be ten times as wide as all that was seen: it then runs out of the picture
    ends = [end for one in found for end in (one.low, one.high) if math.isfinite(end)]
    near = [min(max(end, min(values) - spread), max(values) + spread) for end in ends]
    axis = fit(np.array([*values, *near], dtype=np.float64), log=False)
    metric = results.metrics[place].name
    numbered = sorted({run.fold for one in trials for run in one.done if run.fold is not None})
    top = 30.0 if numbered else 8.0
    frame = Frame(width, ROW * len(trials) + 44 + top, f"runs of the best trials, {metric}", 78, 78, top, 44)
    frame.x_axis(axis.labels(7 if width > 500 else 4), metric, grid=True)
    for spot, fold in enumerate(numbered):
        x = frame.left + 6 + spot * (66 if width > 500 else 42)
        if x < frame.width - 40:
            frame.add(dot(x, 12, f"run run{fold % COLOURS}", f"fold {fold}"))
            frame.add(text(x + 8, 16, f"fold {fold}" if width > 500 else f"f{fold}", "from soft"))
    for row, (one, score) in enumerate(zip(trials, found, strict=True)):
        y = frame.top + ROW * (row + 0.5)
        frame.add(text(frame.left - 12, y + 4, f"trial {one.number}", "until strong" if row == 0 else "until"))
        if math.isfinite(score.low):
            low, high = (frame.x(min(max(at(axis, end), 0.0), 1.0)) for end in (score.low, score.high))
            said = f"95 % interval of the mean: {number(score.low)} to {number(score.high)}"
            box = {"x": f"{low:.1f}", "y": f"{y - 9:.1f}", "width": f"{max(high - low, 1):.1f}", "height": 18}
            frame.add(el("rect", el("title", said), class_="interval", rx=3, **box))
        middle = frame.x(at(axis, score.mean))
        frame.add(el("path", class_="mean", d=f"M{middle:.1f} {y - 12:.1f}v24"))
        frame.add(_runs(frame, one, place, axis, y))
        frame.add(text(frame.width - frame.right + 12, y + 4, number(score.mean), "from"))
    return frame.svg()


def _runs(frame: Frame, trial: TrialResult, place: int, axis: Scale, y: float) -> Html:
    parts = []
    means = trial.scores[place].by_fold
    for run in trial.done:
        look = "run0" if run.fold is None else f"run{run.fold % COLOURS}"
        said = f"trial {trial.number}, {run.key}: {number(run.scores[place])}"
        parts.append(dot(frame.x(at(axis, run.scores[place])), y, f"run {look}", said, None, 4))
    if len(means) < len(trial.done):
        for fold, value in means.items():
            if fold is None:
                continue
            x = frame.x(at(axis, value))
            said = f"trial {trial.number}, mean of fold {fold}: {number(value)}"
            path = f"M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z"
            parts.append(el("path", el("title", said), d=path, class_=f"fold run{fold % COLOURS}"))
    return join(*parts)
