"""All pictures of a sweep, and their files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...core.atomic import atomic_write
from ...runs.report.document import part
from ...runs.report.html import Html, el
from ..importance import Importance
from ..results import Results
from .bars import bars
from .drawing import Picture
from .folds import folds
from .history import history
from .parallel import parallel
from .pareto import pareto
from .scored import scored
from .slices import slices


@dataclass(frozen=True)
class Gallery:
    """The pictures by what they tell.

    Attributes:
        course: of the search.
        folds: runs of the best trials.
        parameters: all of them and the scores.
        slices: one parameter each; a group a metric, with its title.
        importance: what decides.
    """

    course: list[Picture]
    folds: list[Picture]
    parameters: list[Picture]
    slices: list[tuple[str, list[Picture]]]
    importance: list[Picture]

    def all(self) -> list[Picture]:
        """Return them one by one."""
        each = [one for _, group in self.slices for one in group]
        return [*self.course, *self.folds, *self.parameters, *each, *self.importance]


def gallery(results: Results, importance: Sequence[Importance]) -> Gallery:
    """Draw whatever there is to draw; a sweep without a finished run has no picture."""
    places = [place for place in range(len(results.metrics)) if scored(results, place)]
    several = len(results.metrics) > 1

    def named(one: Picture, place: int) -> Picture:
        stem = re.sub(r"[^A-Za-z0-9.-]+", "_", results.metrics[place].name)
        return replace(one, name=f"{one.name}_{stem}") if several else one

    spreads = [(place, folds(results, place)) for place in places]
    shares = [(place, bars(one)) for place, one in enumerate(importance)]
    whole = [one for one in (parallel(results),) if one is not None]
    pair = [one for one in (pareto(results),) if one is not None]
    return Gallery(
        course=[*pair, *(named(history(results, place), place) for place in places)],
        folds=[named(one, place) for place, one in spreads if one is not None],
        parameters=whole,
        slices=[
            (results.metrics[place].name if several else "", [named(one, place) for one in slices(results, place)])
            for place in places
            if results.varying()
        ],
        importance=[named(one, place) for place, one in shares if one is not None],
    )


def write_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """Write each picture as an SVG file of its own, and remove those that there are no more.

    The files are light, on white, with plain colours that every program knows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{one.name}.svg": one for one in pictures}
    for old in folder.glob("*.svg"):
        if old.name not in wanted:
            old.unlink()
    style = _plain_style()
    for name, one in wanted.items():
        head, _, rest = one.wide.partition(">")
        _, _, width, height = re.search(r'viewBox="([^"]*)"', head)[1].split()  # type: ignore[index]
        sheet = el("style", Html(style))
        paper = el("rect", width=width, height=height, class_="paper")
        whole = f'{head} width="{width}" height="{height}">{sheet}{paper}{rest}'
        atomic_write(folder / name, '<?xml version="1.0" encoding="UTF-8"?>\n' + whole + "\n")


def _plain_style() -> str:
    """Return the style of pictures with the light colours in place of their names."""
    own = part("picture.css", __package__)
    light = [sheet.partition("@media")[0] for sheet in (part("base.css"), own)]
    colours = dict(pair for sheet in light for pair in re.findall(r"(--[\w-]+): ([^;]+);", sheet))
    rules = own.partition("/* marks */")[2]
    return re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], rules)
