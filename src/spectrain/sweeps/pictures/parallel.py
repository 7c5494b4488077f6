"""Parallel coordinates: a line a trial, through its parameters to its score."""

from __future__ import annotations

import math

from ...runs.report.html import Html, el
from ..results import Results, TrialResult, better
from .drawing import LETTER, NARROW, WIDE, Frame, Picture, line, short, text
from .scored import Values, look, said, score_axis, scored, short_names, tones

MOST_UPRIGHT = 9
"""Axes that fit side by side; more lie one below the other."""
ROW = 64
"""Px from one lying axis to the next."""


def parallel(results: Results) -> Picture | None:
    """Return the parameters and scores of all trials that have one; None where no parameter has two values."""
    if not results.varying() or not scored(results):
        return None
    upright = len(results.varying()) + len(results.metrics) <= MOST_UPRIGHT
    wide = _upright(results) if upright else _lying(results, WIDE)
    note = "A line is a trial: the stronger its colour, the better. "
    note += "Axes of parameters that were searched on a logarithmic scale are logarithmic."
    return Picture("parallel", "Each trial, from its parameters to its score", wide, _lying(results, NARROW), note)


def _axes(results: Results) -> list[tuple[str, Values]]:
    names = results.varying()
    labels = short_names(names)
    axes = [(labels[name], Values.of(results, name)) for name in names]
    return axes + [(metric.name, Values(score_axis(results, place))) for place, metric in enumerate(results.metrics)]


def _places(results: Results, axes: list[tuple[str, Values]], trial: TrialResult) -> list[float]:
    values = [trial.parameters.get(name) for name in results.varying()] + [one.mean for one in trial.scores]
    return [axis.place(value) for (_, axis), value in zip(axes, values, strict=True)]


def _drawing_order(results: Results) -> list[TrialResult]:
    """Return the trials, the best last, so that it lies on top."""
    metric = results.metrics[0]
    return sorted(scored(results), key=lambda one: (one.state == "complete", better(one.scores[0].mean, metric)))


def _upright(results: Results) -> Html:
    axes, tone = _axes(results), tones(results)
    frame = Frame(WIDE, 400, "parameters and score of each trial", left=58, right=76, top=34, bottom=14)
    gap = (frame.width - frame.left - frame.right) / max(len(axes) - 1, 1)
    spots = [frame.left + gap * number for number in range(len(axes))]
    lines = []
    for trial in _drawing_order(results):
        places = _places(results, axes, trial)
        points = [(x, frame.y(share)) for x, share in zip(spots, places, strict=True) if not math.isnan(share)]
        lines.append(line(points, f"way {look(trial, tone)}", said(trial, results), trial.number))
    frame.add(*lines)
    for number, ((name, axis), x) in enumerate(zip(axes, spots, strict=True)):
        frame.add(el("path", class_="axis", d=f"M{x:.1f} {frame.top}V{frame.height - frame.bottom}"))
        strong = "strong" if number >= len(axes) - len(results.metrics) else ""
        label = short(name, max(int((gap - 6) / LETTER), 6))
        half = len(label) * LETTER / 2
        middle = min(max(x, half), frame.width - half)
        frame.add(el("g", el("title", name), text(middle, 16, label, f"about {strong}")))
        for share, label in axis.labels(5):
            frame.add(el("path", class_="axis", d=f"M{x - 4:.1f} {frame.y(share):.1f}h4"))
            frame.add(text(x + 6, frame.y(share) + 4, short(label, int((gap - 14) / LETTER)), "from halo"))
    return frame.svg()


def _lying(results: Results, width: int) -> Html:
    axes, tone = _axes(results), tones(results)
    frame = Frame(width, ROW * len(axes) + 8, "parameters and score of each trial", left=14, right=22)
    levels = [26.0 + ROW * number for number in range(len(axes))]
    for trial in _drawing_order(results):
        places = _places(results, axes, trial)
        points = [(frame.x(share), y) for share, y in zip(places, levels, strict=True) if not math.isnan(share)]
        frame.add(line(points, f"way {look(trial, tone)}", said(trial, results), trial.number))
    for number, ((name, axis), y) in enumerate(zip(axes, levels, strict=True)):
        frame.add(el("path", class_="axis", d=f"M{frame.left} {y:.1f}H{frame.width - frame.right}"))
        strong = "strong" if number >= len(axes) - len(results.metrics) else ""
        room = int((frame.width - 20) / LETTER)
        frame.add(text(4, y - 10, short(name, room), f"from halo {strong}"))
        end = -math.inf
        for share, label in axis.labels(5):
            x, label = frame.x(share), short(label, 14)
            half = len(label) * LETTER / 2
            if x - half < end:
                continue
            end = x + half + 5
            middle = min(max(x, half + 2), frame.width - half - 2)
            frame.add(el("path", class_="axis", d=f"M{x:.1f} {y:.1f}v4"), text(middle, y + 18, label, "about halo"))
    return frame.svg()
