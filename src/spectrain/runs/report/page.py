"""The page of one run: what it is and how good it became, then why, then everything else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from urllib.parse import quote

from .arranged import Arranged, first_charts, other_charts
from .frame import Section, empty, framed, local_time, numbers
from .html import Html, el, join
from .panels import run_panels, unit_of_labels
from .pictures import item, pictures_of, seen
from .read_run import ReadRun
from .scores import TestOfRun, meaning, scores_table, tests_of
from .tables import environment_table, metrics_table, options_table
from .words import STATUS, key_numbers, summary


def run_page(run: ReadRun, place: Path) -> str:
    """Return the page of one run.

    Args:
        run: what is in its folder.
        place: folder that the page will lie in, which links start from.
    """
    charts = Arranged.of(run_panels(run), [run])
    idents = (f"chart-{number}" for number in count())
    nothing = None if run.rows else empty("No epoch is complete yet.")
    leading = first_charts(charts, idents) or empty("No number was logged yet.")
    others = other_charts(charts, idents)
    pictures, tests, notes = pictures_of(run), tests_of(run.folder), run.facts.get("notes")
    return framed(
        f"{run.name} · spectrain",
        _header(run),
        [
            Section("Notes", el("p", notes, class_="notes")) if notes else None,
            Section("Training", join(leading, nothing)),
            Section("Pictures", pictures) if pictures else None,
            Section("Test", join(*(_test(one, run, place) for one in tests))) if tests else None,
            Section("Curves", join(others)) if others else None,
            Section("Epochs", metrics_table(run)) if run.rows else None,
            Section("Configuration", options_table(run)) if run.options else None,
            Section("Environment", environment_table(run)),
        ],
    )


def _header(run: ReadRun) -> Html:
    status = run.status()
    learned = str(run.facts.get("learned") or "")
    return el(
        "header",
        el("p", "spectrain run", class_="eyebrow"),
        el("h1", run.facts.get("run_name"), el("span", f" {run.facts.get('run_id')}", class_="ident")),
        el("p", summary(run), class_="lede"),
        el("p", f"{learned[:1].upper()}{learned[1:]}.", class_="learned") if learned else None,
        el(
            "p",
            el("span", STATUS.get(status, status), class_=f"status {status}"),
            f" started {local_time(run.facts.get('created'))}",
            f", ended {local_time(run.facts['ended'])}" if run.facts.get("ended") else None,
            class_="when",
        ),
        _resume(run, status),
        numbers(one[:3] for one in key_numbers(run)),
    )


def _resume(run: ReadRun, status: str) -> Html | None:
    if status not in ("interrupted", "killed", "failed"):
        return None
    command = f"spectrain train --resume {run.folder}"
    return el("p", "Go on with ", el("code", command), class_="resume")


def _test(test: TestOfRun, run: ReadRun, place: Path) -> Html:
    """Return a test's numbers and what the model made of its last split; its own page has the rest."""
    splits = " and ".join(f"{one.split} ({one.images:,} images)" for one in test.scores)
    link = quote(Path(os.path.relpath(test.page.absolute(), place.absolute())).as_posix())
    shown = [path for path in test.pictures if path.stem == f"{run.option('task.name')}_01"]
    return join(
        el("p", f"On {test.data}: {splits}. ", el("a", "The page of the test", href=link), " has more.", class_="said"),
        scores_table(test.scores, unit_of_labels(run)),
        meaning(test.scores),
        el("ol", *_items(shown, test.scores[-1].split), class_="gallery") if shown else None,
    )


def _items(paths: Sequence[Path], split: str) -> list[Html]:
    found = []
    for path in paths:
        title, what = seen(path.stem)
        found.append(item(path, f"{title} of {split}. {what}", f"{title} of {split}", what))
    return found
