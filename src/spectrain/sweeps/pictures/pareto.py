"""Two metrics against each other, with the trials that no other is better than in both."""

from __future__ import annotations

from ...runs.report.html import Html
from ..results import Results
from .drawing import NARROW, WIDE, Frame, Picture, at, dot, line, text
from .scored import said, score_axis, scored


def pareto(results: Results) -> Picture | None:
    """Return the first two metrics against each other; None where there is one metric, or no trial."""
    if len(results.metrics) < 2 or not scored(results):
        return None
    one, two = results.metrics[:2]
    goals = {"maximize": "large", "minimize": "small"}
    note = f"Good is a {goals[one.goal]} {one.name} and a {goals[two.goal]} {two.name}. Joined are the trials that no "
    note += f"other is better than in {'both' if len(results.metrics) == 2 else 'every metric'} (the Pareto front)."
    return Picture("pareto", f"{one.name} against {two.name}", _drawn(results, WIDE), _drawn(results, NARROW), note)


def _drawn(results: Results, width: int) -> Html:
    one, two = results.metrics[:2]
    there = [trial for trial in scored(results) if trial in scored(results, 1)]
    x_axis, y_axis = score_axis(results, 0), score_axis(results, 1)
    frame = Frame(width, 400 if width > 500 else 340, f"{one.name} against {two.name}", top=30)
    frame.y_axis(y_axis.labels(5))
    frame.x_axis(x_axis.labels(7 if width > 500 else 3), one.name)
    frame.add(text(4, 14, two.name, "from soft"))
    spots = {
        trial.number: (frame.x(at(x_axis, trial.scores[0].mean)), frame.y(at(y_axis, trial.scores[1].mean)))
        for trial in there
    }
    by_number = {trial.number: trial for trial in there}
    best = sorted(spots[number] for number in results.best if number in spots)
    if len(best) > 1:
        frame.add(line(best, "path"))
    for trial in there:
        if trial.number not in results.best:
            look = "t2" if trial.state == "complete" else trial.state
            frame.add(dot(*spots[trial.number], look, said(trial, results), trial.number))
    for number in results.best:
        if number in spots:
            x, y = spots[number]
            frame.add(dot(x, y, "t6", said(by_number[number], results), number, 5.5))
            frame.add(text(x + 9, y - 7, str(number), "from strong halo"))
    return frame.svg()
