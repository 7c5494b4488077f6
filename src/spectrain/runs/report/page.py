"""The page: its sections in order, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from ..environment import versions
from ..info import now
from .chart import chart
from .document import document
from .html import Html, el
from .panels import compared_panels, look, run_panels
from .pictures import compared_pictures, picture_sections
from .subject import Subject
from .tables import differences_table, environment_table, metrics_table, options_table, runs_table
from .words import STATUS, key_numbers, local_time, summary


def run_page(run: Subject) -> str:
    """Return the page of one run."""
    status = run.status()
    header = el(
        "header",
        el("p", "spectrain run", class_="eyebrow"),
        el("h1", run.facts.get("run_name"), el("span", f" {run.facts.get('run_id')}", class_="ident")),
        el("p", summary(run), class_="lede"),
        el(
            "p",
            el("span", STATUS.get(status, status), class_=f"status {status}"),
            f" started {local_time(run.facts.get('created'))}",
            f", ended {local_time(run.facts['ended'])}" if run.facts.get("ended") else None,
            class_="when",
        ),
        _resume(run, status),
        _numbers(run),
    )
    charts = [chart(panel, f"chart-{at}") for at, panel in enumerate(run_panels(run))]
    notes = run.facts.get("notes")
    return _page(
        f"{run.name} · spectrain",
        header,
        _section("Notes", el("p", notes, class_="notes")) if notes else None,
        _section("Curves", el("div", *charts, class_="charts") if charts else _empty("No number was logged yet.")),
        _section("Pictures", pictures) if (pictures := picture_sections(run)) else None,
        _section("Metrics", metrics_table(run) if run.rows else _empty("No epoch is complete yet.")),
        _section("Configuration", options_table(run)) if run.options else None,
        _section("Environment", environment_table(run)),
    )


def compared_page(runs: Sequence[Subject]) -> str:
    """Return the page that lays several runs side by side."""
    labels = _labels(runs)
    looks = [look(place) for place in range(len(runs))]
    header = el(
        "header",
        el("p", "spectrain runs", class_="eyebrow"),
        el("h1", f"{len(runs)} runs compared"),
        el("p", " ".join(dict.fromkeys(summary(run) for run in runs)), class_="lede"),
    )
    charts = [chart(panel, f"chart-{at}") for at, panel in enumerate(compared_panels(runs, labels))]
    differences = differences_table(runs, labels)
    return _page(
        f"{len(runs)} runs compared · spectrain",
        header,
        _section("Runs", runs_table(runs, labels, looks)),
        _section("Differences", differences or _empty("The runs have the same options.")),
        _section("Curves", el("div", *charts, class_="charts") if charts else _empty("No number was logged yet.")),
        _section("Pictures", pictures) if (pictures := compared_pictures(runs, labels)) else None,
    )


def _page(title: str, header: Html, *sections: Html | None) -> str:
    footer = el(
        "footer", el("p", f"Written {local_time(now())} by spectrain {versions().get('spectrain', '')}".strip())
    )
    return document(title, _part("style.css"), _part("script.js"), header, el("main", *sections), footer)


def _part(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _section(title: str, content: Html) -> Html:
    ident = title.lower()
    return el("section", el("h2", title, id=ident), content, aria_labelledby=ident)


def _numbers(run: Subject) -> Html:
    items = [
        el("div", el("dt", name), el("dd", value, el("span", remark, class_="remark") if remark else None))
        for name, value, remark in key_numbers(run)
    ]
    return el("dl", *items, class_="numbers")


def _resume(run: Subject, status: str) -> Html | None:
    if status not in ("interrupted", "killed", "failed"):
        return None
    command = f"spectrain train --resume {run.folder}"
    return el("p", "Go on with ", el("code", command), class_="resume")


def _empty(text: str) -> Html:
    return el("p", text, class_="empty")


def _labels(runs: Sequence[Subject]) -> list[str]:
    """Return the shortest names that tell the runs apart."""
    names = [str(run.facts.get("run_name")) for run in runs]
    idents = [str(run.facts.get("run_id")) for run in runs]
    if len(set(names)) == len(runs):
        return names
    if len(set(idents)) == len(runs):
        return idents
    both = [f"{name} {ident}" for name, ident in zip(names, idents, strict=True)]
    return both if len(set(both)) == len(runs) else [f"{place + 1} {text}" for place, text in enumerate(both)]
