"""In which order a page has its charts: the loss and what decides first, then the others in groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .chart import chart
from .html import Html, el, join
from .panels import split
from .read_run import ReadRun
from .series import Panel
from .words import TELLING, best_epoch, monitored

QUALITY, PARTS, SPEED = "Quality", "Parts of the loss", "Rate and speed"


@dataclass(frozen=True)
class Arranged:
    """Charts in order.

    Attributes:
        first: the loss, and what decides beside it.
        groups: the others by title.
    """

    first: list[Panel]
    groups: dict[str, list[Panel]]

    @classmethod
    def of(cls, panels: Sequence[Panel], runs: Sequence[ReadRun]) -> Arranged:
        """Arrange the charts of runs of one task; where it is one run, its best value is marked.

        Of runs side by side each chart is of one phase, and that of the validation leads.
        """
        named = [split(monitored(run)[0])[0] for run in runs]
        wanted = dict.fromkeys(["loss", *named])
        first = [panel for stem in wanted for panel in _of(panels, stem)[:1]]
        if len(first) == 1:
            others = [panel for panel in panels if group_of(panel.stem) == QUALITY]
            telling = [panel for stem in TELLING for panel in _of(others, stem)[:1]]
            probes = [panel for way in ("linear_", "knn_") for panel in others if panel.stem.startswith(way)]
            first += (telling or probes or others)[:1]
        rest = [panel for panel in panels if panel not in first]
        groups = {
            title: [panel for panel in rest if group_of(panel.stem) == title] for title in (QUALITY, PARTS, SPEED)
        }
        if len(runs) == 1:
            first = [_with_best(panel, runs[0]) for panel in first]
        return cls(first, {title: found for title, found in groups.items() if found})


def group_of(stem: str) -> str:
    """Return the title of the group that a value's chart is in."""
    if not stem:
        return SPEED
    return PARTS if stem == "loss" or stem.startswith("loss_") else QUALITY


def first_charts(found: Arranged, idents: Iterator[str]) -> Html | None:
    """Return the charts that lead, None where there are none."""
    return el("div", *(chart(panel, next(idents)) for panel in found.first), class_="lead") if found.first else None


def other_charts(found: Arranged, idents: Iterator[str]) -> Html | None:
    """Return the others in their groups, None where there are none."""
    groups = []
    for title, panels in found.groups.items():
        charts = [chart(panel, next(idents), heading="h4", small=True) for panel in panels]
        groups.append(join(el("h3", title, class_="group"), el("div", *charts, class_="charts")))
    return join(*groups) if groups else None


def _of(panels: Sequence[Panel], stem: str) -> list[Panel]:
    return sorted((panel for panel in panels if panel.stem == stem), key=lambda panel: panel.phase == "train")


def _with_best(panel: Panel, run: ReadRun) -> Panel:
    name = monitored(run)[0]
    epoch = best_epoch(run)
    value = next((row[name] for row in run.rows if row["epoch"] == epoch and name in row), None)
    if panel.stem != split(name)[0] or epoch is None or value is None or not math.isfinite(value):
        return panel
    return replace(panel, best=(float(epoch), value))
