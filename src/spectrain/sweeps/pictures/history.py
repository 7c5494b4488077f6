"""The scores in the order of the trials, and how the best of them came about."""

from __future__ import annotations

import numpy as np

from ...runs.report.html import Html, el
from ...runs.report.scales import fit
from ..results import Results, better
from .drawing import NARROW, WIDE, Frame, Picture, at, cross, dot, line, text
from .scored import look, said, score_axis, scored, tones

BARS = 60
"""Trials up to which their deviations are drawn."""


def history(results: Results, place: int) -> Picture:
    """Return the history of a metric."""
    metric = results.metrics[place]
    return Picture(
        "history",
        f"{metric.name} of each trial",
        _drawn(results, place, WIDE, 330),
        _drawn(results, place, NARROW, 300),
        "Dots are complete trials, those of a strong colour the best; rings are under way or given up, crosses failed. "
        "The line is the best so far; bars are a standard deviation over the runs of a trial.",
    )


def _drawn(results: Results, place: int, width: int, height: int) -> Html:
    metric, there, tone = results.metrics[place], scored(results, place), tones(results, place)
    failed = [one for one in results.trials if one.state == "failed"]
    few = len(results.trials) <= BARS
    ends = [one.scores[place].mean + side * one.scores[place].sd for one in there for side in (-1, 1)] if few else []
    y_axis = score_axis(results, place, ends)
    numbers = [one.number for one in results.trials]
    x_axis = fit(np.array(numbers, dtype=np.float64), log=False, pad=0.03)
    frame = Frame(width, height, f"{metric.name} in the order of the trials", bottom=64 if failed else 44)
    frame.y_axis(y_axis.labels(5))
    x_labels = [
        (where, label) for where, label in x_axis.labels(8 if width > 500 else 4, whole=True) if 0 <= where <= 1
    ]
    frame.x_axis([(where, label) for where, label in x_labels if not label.startswith("−")], "trial")
    spots = {
        one.number: (frame.x(at(x_axis, one.number)), frame.y(at(y_axis, one.scores[place].mean))) for one in there
    }
    best: list[tuple[float, float]] = []
    top = -np.inf
    for one in there:
        if one.state == "complete" and better(one.scores[place].mean, metric) > top:
            top = better(one.scores[place].mean, metric)
            x, y = spots[one.number]
            best += [(x, best[-1][1]), (x, y)] if best else [(x, y)]
    if best:
        frame.add(line([*best, (frame.x(1), best[-1][1])], "path"))
    for one in there:
        x, y = spots[one.number]
        deviation = one.scores[place].sd
        if few and deviation == deviation:
            low, high = (frame.y(at(y_axis, one.scores[place].mean + side * deviation)) for side in (-1, 1))
            frame.add(el("path", class_="bar", d=f"M{x:.1f} {low:.1f}V{high:.1f}"))
    frame.add(*(dot(*spots[one.number], look(one, tone), said(one, results), one.number) for one in there))
    if failed:
        base = height - 34.0
        frame.add(text(frame.left - 9, base + 4, "failed", "until soft"))
        for one in failed:
            why = f"trial {one.number} failed: {one.reason or 'no reason is known'}"
            frame.add(cross(frame.x(at(x_axis, one.number)), base, why, one.number))
    return frame.svg()
