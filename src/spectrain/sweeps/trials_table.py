"""The trials as a table that can be sorted, each with links to the reports of its runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..runs.report.frame import scroll
from ..runs.report.html import Html, el
from ..runs.report.scales import number
from .pictures.scored import shown
from .results import Estimate, Results, TrialResult
from .store import RunRecord
from .words import STATES, count

REPORT = "report.html"


def trials_table(results: Results, runs: Path, folder: Path) -> Html:
    """Return a row a trial, best first; the page's script sorts by any column.

    Args:
        results: what was found.
        runs: folder that the runs' folders are in.
        folder: that the page will lie in, which links start from.
    """
    names = list(results.space.parameters)
    titles = ["trial", "state", *(metric.name for metric in results.metrics), *names, "runs"]
    head = el("tr", *(el("th", title, scope="col") for title in titles))
    body = []
    for one in results.ranked():
        best = one.number in results.best
        mark = el("span", " best", class_="mark") if best else None
        remark = (
            el("small", f"{len(one.done)} of {len(one.runs)} runs") if one.partial and one.state != "failed" else None
        )
        cells = [
            el("th", f"{one.number}", mark, scope="row", data_sort=one.number),
            el("td", STATES[one.state], remark, class_=f"state {one.state}"),
            *(_score(found) for found in one.scores),
            *(_value(one.parameters, name) for name in names),
            el("td", _runs(one, runs, folder), data_sort=len(one.done)),
        ]
        body.append(el("tr", *cells, class_="best" if best else None, data_trial=one.number))
    caption = (
        f"{count(len(body), 'trial')}, the best first; a click on a title sorts. Behind ±, the deviation over runs."
    )
    table = el("table", el("caption", caption), el("thead", head), el("tbody", *body), class_="trials")
    return scroll(table, "Trials", tall=True)


def parameters_table(results: Results) -> Html:
    """Return the parameters of the best trial, or of those of the Pareto front side by side."""
    best = [one for one in results.ranked() if one.number in results.best][:6]
    head = el("tr", el("th", "", scope="col"), *(el("th", f"trial {one.number}", scope="col") for one in best))
    rows = [
        el("tr", el("th", metric.name, scope="row"), *(_score(one.scores[place]) for one in best))
        for place, metric in enumerate(results.metrics)
    ]
    rows += [
        el("tr", el("th", name, scope="row"), *(_value(one.parameters, name, 6) for one in best))
        for name in results.space.parameters
    ]
    table = el(
        "table", el("caption", "Parameters", class_="unseen"), el("thead", head), el("tbody", *rows), class_="chosen"
    )
    return scroll(table, "Parameters of the best")


def failures(results: Results) -> Html:
    """Return the trials that failed, each with its reason."""
    failed = [one for one in results.trials if one.state == "failed"]
    head = el("tr", el("th", "trial", scope="col"), el("th", "reason", scope="col"))
    rows = [el("tr", el("th", one.number, scope="row"), el("td", one.reason or "no reason is known")) for one in failed]
    caption = el("caption", f"{count(len(failed), 'trial')} failed")
    table = el("table", caption, el("thead", head), el("tbody", *rows), class_="text")
    return scroll(table, "Failures", tall=True)


def _score(found: Estimate) -> Html:
    if found.mean != found.mean:
        return el("td", "–", data_sort="")
    interval = el("small", f"{number(found.low, 3)} to {number(found.high, 3)}") if found.low == found.low else None
    spread = el("span", f" ± {number(found.sd, 2)}", class_="remark") if found.sd == found.sd else None
    return el("td", number(found.mean), spread, interval, data_sort=repr(found.mean))


def _value(parameters: Any, name: str, digits: int = 3) -> Html:
    if name not in parameters:
        return el("td", "–", data_sort="")
    value = parameters[name]
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return el("td", shown(value, digits), data_sort=repr(value) if plain else shown(value))


def _runs(one: TrialResult, runs: Path, folder: Path) -> Html:
    items = [el("li", _run(run, runs, folder)) for run in one.runs]
    return el("details", el("summary", f"{len(one.done)} of {len(one.runs)}"), el("ul", *items))


def _run(run: RunRecord, runs: Path, folder: Path) -> Html:
    said = number(run.scores[0]) if run.scores else run.state
    report = runs / run.folder / REPORT if run.folder else None
    if report is None or not report.is_file():
        return el("span", f"{run.key} {said}")
    link = quote(Path(os.path.relpath(report.absolute(), folder.absolute())).as_posix())
    return el("a", f"{run.key} {said}", href=link)
