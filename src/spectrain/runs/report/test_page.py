"""The page of a test: splits side by side, then each by region and scene, with its pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...metrics.base import Breakdown
from .frame import Section, framed, scroll
from .html import Html, el, join
from .pictures import item, seen
from .scales import number
from .scores import Scores, meaning, scores_table, title_of

MOST = 40
"""Groups of a table; the rest stands in the CSV file beside the page."""
BINS = "target"
"""Kind of a table whose rows are bins of what is predicted."""
INTERVALS = {"model": "as the model says", "scaled": "of scaled variances", "conformal": "conformal"}
"""Of calibration.csv -> how the page calls them."""


@dataclass(frozen=True)
class SplitTest:
    """What the test of one split found.

    Attributes:
        split: its name.
        images: how many it has.
        values: metrics by name.
        breakdown: by group, with intervals; or None.
        pictures: PNG files.
        calibration: what intervals hold, as `LabelledPixels.calibration` says it; empty where there are none.
    """

    split: str
    images: int
    values: Mapping[str, float]
    breakdown: Breakdown | None
    pictures: Sequence[Path]
    calibration: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def test_page(model: str, data: str, tests: Sequence[SplitTest], unit: str = "") -> str:
    """Return the page.

    Args:
        model: what was tested.
        data: on what.
        tests: one or more splits.
        unit: of the labels that are predicted, "" where there are none or it is not known.
    """
    splits = " and ".join(f"{one.split} ({one.images:,} images)" for one in tests)
    header = el(
        "header",
        el("p", "spectrain test", class_="eyebrow"),
        el("h1", model),
        el("p", f"Tested on {data}: {splits}.", class_="lede"),
    )
    scores = [_scores(one) for one in tests]
    sections = [Section("Metrics", join(scores_table(scores, unit), meaning(scores)))]
    for one in tests:
        parts = [_intervals(one, unit)] if one.calibration else []
        parts += [] if one.breakdown is None else [_groups(kind, one, unit) for kind in one.breakdown.tables]
        shown = _pictures(one)
        if parts or shown is not None:
            sections.append(Section(one.split, join(shown, *parts)))
    return framed(f"{model}, tested · spectrain", header, sections)


def _scores(one: SplitTest) -> Scores:
    found = one.breakdown
    return Scores(
        one.split,
        one.images,
        {**one.values},
        {} if found is None else found.intervals,
        "" if found is None else found.over or "",
    )


def _groups(kind: str, one: SplitTest, labels: str) -> Html:
    assert one.breakdown is not None
    table = one.breakdown.tables[kind]
    count = len(table[kind])
    columns = [name for name in table if name != kind]
    first = f"{kind}, {labels}" if kind == BINS and labels else kind
    head = el("tr", el("th", first, scope="col"), *(el("th", title_of(name, labels), scope="col") for name in columns))
    order = list(range(count))
    if kind != BINS:  # which have an order of their own
        order = sorted(order, key=lambda row: -table["images"][row])[:MOST]
    body = [
        el(
            "tr",
            el("th", table[kind][row] or "none", scope="row"),
            *(el("td", _number(table[name][row])) for name in columns),
        )
        for row in order
    ]
    rest = "" if len(order) == count else f", the {MOST} with most images; all are in {kind}s.csv"
    called = "bin" if kind == BINS else kind
    caption = f"{count:,} {called}{'s' * (count != 1)}{' of the target' * (kind == BINS)} of {one.split}{rest}"
    return scroll(el("table", el("caption", caption), el("thead", head), el("tbody", *body)), caption)


def _intervals(one: SplitTest, unit: str) -> Html:
    """Return which share of labels each kind of interval holds, and how wide it is on average."""
    table = one.calibration
    levels = [name.removeprefix("coverage_") for name in table if name.startswith("coverage_")]
    several = len(set(table["quantity"])) > 1
    widths = f"mean width{f', {unit}' if unit else ''}"
    head = el(
        "tr",
        el("th", "interval", scope="col"),
        *(el("th", text, scope="col") for level in levels for text in (f"{level} % holds", widths)),
    )
    body = []
    for row, kind in enumerate(table["interval"]):
        name = INTERVALS[kind] + (f", {table['quantity'][row]}" if several else "")
        cells = [
            el("td", text)
            for level in levels
            for text in (f"{100 * table[f'coverage_{level}'][row]:.1f} %", _number(table[f"width_{level}"][row]))
        ]
        body.append(el("tr", el("th", name, scope="row"), *cells))
    caption = f"What intervals hold of the labels of {one.split}"
    return scroll(el("table", el("caption", caption), el("thead", head), el("tbody", *body)), caption)


def _pictures(one: SplitTest) -> Html | None:
    items = []
    for path in one.pictures:
        name, what = seen(path.stem)
        items.append(item(path, f"{name} of {one.split}. {what}".strip(), name, what))
    return el("ol", *items, class_="gallery") if items else None


def _number(value: Any) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else number(value, 3)  # of a group without labels
    return f"{value:,}" if isinstance(value, int) else str(value)
