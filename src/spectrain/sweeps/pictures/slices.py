"""The score against one parameter, a small picture each."""

from __future__ import annotations

import math
import re

from ...runs.report.html import Html
from ..results import Results
from .drawing import LETTER, Frame, Picture, at, dot, short
from .scored import Values, look, said, score_axis, scored, tones

WIDTH, HEIGHT = 310, 225


def slices(results: Results, place: int) -> list[Picture]:
    """Return a picture of each parameter that has two values."""
    if not scored(results, place):
        return []
    found = []
    for name in results.varying():
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:80]
        found.append(Picture(f"slice_{stem}", name, _drawn(results, place, name), small=True))
    return found


def _drawn(results: Results, place: int, name: str) -> Html:
    axis, y_axis, tone = Values.of(results, name), score_axis(results, place), tones(results, place)
    frame = Frame(WIDTH, HEIGHT, f"{results.metrics[place].name} against {name}", left=56, right=12, top=8, bottom=26)
    frame.y_axis(y_axis.labels(4))
    room = (WIDTH - 68) / (LETTER * max(len(axis.choices), 1)) - 1 if axis.scale is None else 12
    frame.x_axis([(share, short(label, max(int(room), 3))) for share, label in axis.labels(4)], "")
    for trial in scored(results, place):
        share = axis.place(trial.parameters.get(name))
        if math.isnan(share):
            continue
        if axis.scale is None:  # one beside the other, the same each time it is drawn
            share += ((trial.number * 0.618) % 1 - 0.5) * 0.5 / len(axis.choices)
        y = frame.y(at(y_axis, trial.scores[place].mean))
        frame.add(dot(frame.x(share), y, look(trial, tone), said(trial, results), trial.number, 4))
    return frame.svg()
