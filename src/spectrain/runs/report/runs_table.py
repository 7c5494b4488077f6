"""Several runs as one table: how they stand, how good they became, and the options in which they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .frame import scroll
from .html import Html, el
from .read_run import ReadRun
from .words import STATUS, KeyNumber, key_numbers, monitored

MOST = 6
"""Options beside the numbers; where more differ, all stand in a table of their own."""
NAMES = ("run_name", "run_id", "out_dir", "trial_name")
"""Options that differ in any two runs and say nothing of them."""


def runs_table(runs: Sequence[ReadRun], labels: Sequence[str], looks: Sequence[str]) -> Html:
    """Return a row a run: its line's colour, status, key numbers, and what was chosen differently.

    The best of a number is marked in words, where the runs agree on what is best and two of them have the number.
    """
    found = [{one.name: one for one in key_numbers(run)} for run in runs]
    names = list(dict.fromkeys(name for each in found for name in each))
    options = differing(runs)[:MOST]
    values = [{option.key: option.value for option in run.options} for run in runs]
    telling = [name for name in names if any(name in each and each[name].sign for each in found)]
    rest = [name for name in names if name not in telling]
    titles = ["run", "status", *telling, *(el("span", key, class_="key") for key in options), *rest]
    head = el("tr", *(el("th", name, scope="col") for name in titles))
    alike = len({monitored(run) for run in runs}) == 1
    best = {name: _best([each.get(name) for each in found]) if alike else None for name in names}
    body = []
    for place, (run, label, look) in enumerate(zip(runs, labels, looks, strict=True)):
        swatch = el("span", class_=f"swatch {look}", aria_hidden="true")
        status, named = run.status(), str(run.facts.get("run_name"))
        cells = [
            el("th", swatch, label, el("small", named) if named not in label else None, scope="row", title=run.name),
            el("td", STATUS.get(status, status)),
            *(_number(found[place].get(name), best[name] == place) for name in telling),
            *(el("td", values[place].get(key, "–"), class_="chosen-value") for key in options),
            *(_number(found[place].get(name), False) for name in rest),
        ]
        body.append(el("tr", *cells))
    caption = el("caption", _caption(runs, len(options)))
    return scroll(el("table", caption, el("thead", head), el("tbody", *body), class_="runs"), "The runs")


def differences(runs: Sequence[ReadRun], labels: Sequence[str]) -> Html | None:
    """Return all options in which the runs differ behind a fold, a column a run; None where the runs' table has all."""
    keys = differing(runs)
    if len(keys) <= MOST:
        return None
    values = [{option.key: option.value for option in run.options} for run in runs]
    head = el("tr", *(el("th", name, scope="col") for name in ("option", *labels)))
    rows = [el("tr", el("th", key, scope="row"), *(el("td", each.get(key, "–")) for each in values)) for key in keys]
    table = el(
        "table",
        el("caption", "Options that differ", class_="unseen"),
        el("thead", head),
        el("tbody", *rows),
        class_="text",
    )
    summary = el("summary", f"All {len(keys)} options that differ")
    return el("details", summary, scroll(table, "Options that differ", tall=True))


def differing(runs: Sequence[ReadRun]) -> list[str]:
    """Return the keys of the options in which runs differ, those that somebody chose first."""
    values = [{option.key: option.value for option in run.options} for run in runs]
    chosen = {option.key for run in runs for option in run.options if option.origin not in ("default", "")}
    keys = dict.fromkeys(key for each in values for key in each if key not in NAMES)
    found = [key for key in keys if len({each.get(key) for each in values}) > 1]
    return sorted(found, key=lambda key: key not in chosen)


def _number(one: KeyNumber | None, best: bool) -> Html:
    if one is None:
        return el("td", "–")
    mark = el("span", " best", class_="mark") if best else None
    return el("td", one.value, mark, el("small", one.remark) if one.remark else None)


def _best(numbers: Sequence[KeyNumber | None]) -> int | None:
    """Return whose number is best, None where fewer than two have one or it is not known what is good."""
    there = [
        (one.sign * one.raw, place)
        for place, one in enumerate(numbers)
        if one is not None and one.sign and math.isfinite(one.raw)
    ]
    return min(there)[1] if len(there) > 1 and len({value for value, _ in there}) > 1 else None


def _caption(runs: Sequence[ReadRun], shown: int) -> str:
    if len(runs) == 1:
        return "One run, with nothing beside it"
    return "Key numbers, and options that differ" if shown else "Key numbers; the runs have the same options"
