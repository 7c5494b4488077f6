"""The page that lays several runs side by side: what can be compared, and only that."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from .arranged import Arranged, first_charts, other_charts
from .frame import Section, empty, framed
from .html import Html, el, join
from .panels import compared_panels, look
from .pictures import compared_pictures
from .read_run import ReadRun
from .runs_table import differences, differing, runs_table
from .words import monitored, paths

DATA = "dataset."
"""What the names of options that say which images there are begin with."""
UNSURE = "nobody knows by this page which of them is better"


def compared_page(runs: Sequence[ReadRun], left_out: Sequence[str] = ()) -> str:
    """Return the page of several runs.

    Numbers, curves and pictures are compared within a task; what makes even these doubtful (other data, another fold, a
    run under way) is said at the top.

    Args:
        runs: two or more.
        left_out: what was named besides and is no run, each with its reason.
    """
    labels = labels_of(runs)
    tasks = _by_task(runs)
    idents = (f"chart-{number}" for number in count())
    said = [*doubts(runs, tasks), *left_out]
    header = el(
        "header",
        el("p", "spectrain runs", class_="eyebrow"),
        el("h1", f"{len(runs)} runs compared"),
        el("p", _lede(runs, tasks), class_="lede"),
        el("ul", *(el("li", text) for text in said), class_="doubts") if said else None,
    )
    sections: list[Section | None] = []
    for task, places in tasks.items():
        of = f" of {task}" if len(tasks) > 1 else ""
        group, names = [runs[place] for place in places], [labels[place] for place in places]
        sections.append(Section(f"Runs{of}", _table(group, names, [look(place) for place in places])))
        charts = Arranged.of(compared_panels(group, names, places), group)
        leading = first_charts(charts, idents)
        if leading is None:
            sections.append(Section(f"Curves{of}", empty("No number was logged yet.")))
            continue
        others = other_charts(charts, idents)
        sections.append(Section(f"Training{of}", join(_legend(names, places), leading)))
        pictures = compared_pictures(group, names, alike=alike(group))
        sections.append(Section(f"Pictures{of}", pictures) if pictures else None)
        sections.append(Section(f"Curves{of}", others) if others else None)
    return framed(f"{len(runs)} runs compared · spectrain", header, sections)


def doubts(runs: Sequence[ReadRun], tasks: dict[str, list[int]]) -> list[str]:
    """Return in sentences what must be known before runs are compared."""
    found = []
    if len(tasks) > 1:
        found.append("Their tasks differ, so each task has its own table, curves and pictures.")
    for task, places in tasks.items():
        group, of = [runs[place] for place in places], f" of {task}" if len(tasks) > 1 else ""
        if len(group) < 2:
            continue
        if not alike(group):
            keys = [key for key in differing(group) if key.startswith(DATA)]
            by = f" ({', '.join(keys)})" if keys else ""
            found.append(f"The runs{of} have different data, or split them differently{by}, and {UNSURE}.")
        if len({monitored(run) for run in group}) > 1:
            found.append(f"The runs{of} call different values best, so no best one is marked.")
    if unfinished := [run for run in runs if run.status() != "finished"]:
        count_, verb = len(unfinished), "is" if len(unfinished) == 1 else "are"
        found.append(f"{count_} of them {verb} not finished; their numbers are of as far as they came.")
    return found


def alike(runs: Sequence[ReadRun]) -> bool:
    """Return whether runs look at the same validation images, as far as it is known."""
    facts = {(str(run.facts.get("fingerprint")), str(run.facts.get("fold"))) for run in runs}
    return len(facts) == 1 and not any(key.startswith(DATA) for key in differing(runs))


def labels_of(runs: Sequence[ReadRun]) -> list[str]:
    """Return the shortest names that tell the runs apart."""
    names = [str(run.facts.get("run_name")) for run in runs]
    idents = [str(run.facts.get("run_id")) for run in runs]
    if len(set(names)) == len(runs):
        return names
    if len(set(idents)) == len(runs):
        return idents
    both = [f"{name} {ident}" for name, ident in zip(names, idents, strict=True)]
    return both if len(set(both)) == len(runs) else [f"{place + 1} {text}" for place, text in enumerate(both)]


def _by_task(runs: Sequence[ReadRun]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        found.setdefault(str(run.option("task.name") or run.facts.get("recipe") or "an unknown task"), []).append(place)
    return found


def _lede(runs: Sequence[ReadRun], tasks: dict[str, list[int]]) -> str:
    kinds = ", ".join(f"{len(places)} of {task}" for task, places in tasks.items())
    data = list(dict.fromkeys(paths(run) for run in runs if paths(run)))
    if len(tasks) == 1:
        kinds = f"All of {next(iter(tasks))}"
    return f"{kinds}{', on ' + ' and '.join(data[:3]) if data else ''}{' and others' if len(data) > 3 else ''}."


def _table(runs: Sequence[ReadRun], labels: Sequence[str], looks: Sequence[str]) -> Html:
    rest = differences(runs, labels)
    return join(runs_table(runs, labels, looks), rest)


def _legend(labels: Sequence[str], places: Sequence[int]) -> Html | None:
    """Return a box for each run that hides its lines; the page's script shows it."""
    boxes = [
        el(
            "label",
            el("input", type="checkbox", checked=True, data_run=place),
            el("span", class_=f"swatch {look(place)}", aria_hidden="true"),
            label,
        )
        for label, place in zip(labels, places, strict=True)
    ]
    return el("fieldset", el("legend", "Lines shown"), *boxes, class_="legend", hidden=True) if len(boxes) > 1 else None
