"""The page of a test: splits side by side, then each by region and scene, with its pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...metrics.base import Breakdown
from ..environment import versions
from ..info import now
from .document import document
from .html import Html, el, join
from .panels import unit_of, words
from .pictures import TITLES, item
from .scales import number
from .words import local_time

MOST = 40
"""Groups of a table; the rest stands in the CSV file beside the page."""
BINS = "target"
"""Kind of a table whose rows are bins of what is predicted."""
INTERVALS = {"model": "as the model says", "scaled": "of scaled variances", "conformal": "conformal"}
"""Of calibration.csv -> how the page calls them."""
_NAMES = {"labelled_pixels": "Labelled pixels", "share_of_class_1": "Share of class 1"}


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
    sections = [_section("Metrics", join(_summary(tests, unit), _meaning(tests)))]
    for one in tests:
        parts = [_intervals(one, unit)] if one.calibration else []
        parts += [] if one.breakdown is None else [_groups(kind, one, unit) for kind in one.breakdown.tables]
        shown = _pictures(one)
        if parts or shown is not None:
            sections.append(_section(one.split, join(shown, *parts)))
    footer = el(
        "footer", el("p", f"Written {local_time(now())} by spectrain {versions().get('spectrain', '')}".strip())
    )
    style, script = ((files(__package__) / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    return document(f"{model}, tested · spectrain", style, script, header, el("main", *sections), footer)


def _summary(tests: Sequence[SplitTest], labels: str) -> Html:
    names = list(dict.fromkeys(name for one in tests for name in _values(one)))
    head = el("tr", el("th", "metric", scope="col"), *(el("th", one.split, scope="col") for one in tests))
    body = []
    for name in names:
        title = _title(name, labels)
        cells = [el("td", *_cell(one, name)) for one in tests]
        body.append(el("tr", el("th", title, scope="row"), *cells))
    table = el("table", el("caption", "Metrics of each split"), el("thead", head), el("tbody", *body), class_="values")
    return _scroll(table, "Metrics of each split")


def _cell(one: SplitTest, name: str) -> list[object]:
    value = _values(one).get(name)
    if value is None:
        return ["–"]
    found: list[object] = [number(value)]
    interval = one.breakdown.intervals.get(name) if one.breakdown is not None else None
    if interval is not None and all(map(math.isfinite, interval)):
        found.append(el("span", f" {number(interval[0], 3)} to {number(interval[1], 3)}", class_="remark"))
    return found


def _meaning(tests: Sequence[SplitTest]) -> Html | None:
    over = sorted({f"{one.breakdown.over}s" for one in tests if one.breakdown is not None and one.breakdown.intervals})
    alone = [one for one in tests if one.breakdown is not None and one.breakdown.over and not one.breakdown.intervals]
    text = ""
    if over:
        text = (
            f"The range behind a number holds 95 % of 1,000 bootstrap samples of the {' or '.join(over)} of its split: "
            "how far the number would move had others been taken."
        )
    if alone:
        names, kind = " and ".join(one.split for one in alone), alone[0].breakdown.over if alone[0].breakdown else ""
        text += f" Numbers of {names} have no range: all images are of one {kind}, so nobody knows how others would do."
    return el("p", text.strip(), class_="remark") if text else None


def _groups(kind: str, one: SplitTest, labels: str) -> Html:
    assert one.breakdown is not None
    table = one.breakdown.tables[kind]
    count = len(table[kind])
    columns = [name for name in table if name != kind]
    first = f"{kind}, {labels}" if kind == BINS and labels else kind
    head = el("tr", el("th", first, scope="col"), *(el("th", _title(name, labels), scope="col") for name in columns))
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
    return _scroll(el("table", el("caption", caption), el("thead", head), el("tbody", *body)), caption)


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
    return _scroll(el("table", el("caption", caption), el("thead", head), el("tbody", *body)), caption)


def _pictures(one: SplitTest) -> Html | None:
    items = []
    for path in one.pictures:
        name = TITLES.get(path.stem) or path.stem.replace("_", " ")
        items.append(item(path, f"{name} of {one.split}", name))
    return el("ol", *items, class_="gallery") if items else None


def _values(one: SplitTest) -> dict[str, float]:
    return {**one.values}


def _title(name: str, labels: str) -> str:
    unit = unit_of(name, labels)
    return (_NAMES.get(name) or words(name)) + (f", {unit}" if unit else "")


def _number(value: Any) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else number(value, 3)  # of a group without labels
    return f"{value:,}" if isinstance(value, int) else str(value)


def _scroll(table: Html, label: str) -> Html:
    return el("div", table, class_="scroll", role="region", aria_label=label, tabindex="0")


def _section(title: str, content: Html) -> Html:
    ident = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return el("section", el("h2", title, id=ident), content, aria_labelledby=ident)
