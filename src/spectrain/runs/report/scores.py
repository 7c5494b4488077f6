"""What tests found: the numbers of each split as a table, and those that lie in a run's folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import RunError
from ..migrations import migrated
from .frame import scroll
from .html import Html, el
from .panels import unit_of, words
from .scales import number

NAME, VERSION = "spectrain.tests", 1
"""Format of ``tests.json``."""
FIRST = {"name": NAME, "version": 1}
"""Of files that do not say it: the first ones did not."""
_NAMES = {"labelled_pixels": "Labelled pixels", "share_of_class_1": "Share of class 1"}


@dataclass(frozen=True)
class Scores:
    """The numbers of one split.

    Attributes:
        split: its name.
        images: how many it has.
        values: metrics by name; NaN where there is none.
        intervals: low and high end by name, where there are such.
        over: what was drawn for the intervals ("scene"), "" where nothing could be.
    """

    split: str
    images: int
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    over: str = ""


@dataclass(frozen=True)
class TestOfRun:
    """A test in a run's folder.

    Attributes:
        page: its own page.
        data: what was tested on.
        scores: each split.
        pictures: PNG files of the last split.
    """

    page: Path
    data: str
    scores: Sequence[Scores]
    pictures: Sequence[Path]


def tests_of(folder: Path) -> list[TestOfRun]:
    """Return the tests in a run's folder by the name of their data; one that cannot be read is left out."""
    found = []
    for path in sorted(folder.glob("test/*/tests.json")):
        try:
            record = {"format": FIRST, **json.loads(path.read_text(encoding="utf-8"))}
            record = migrated(record, NAME, VERSION, where=str(path))
            splits = [_read(name, one) for name, one in record["splits"].items()]
            data = ", ".join(Path(one).name for one in record["data"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RunError):
            continue
        if splits:
            pictures = sorted((path.parent / splits[-1].split / "pictures").glob("*.png"))
            found.append(TestOfRun(path.parent / "index.html", data, splits, pictures))
    return found


def scores_table(tests: Sequence[Scores], labels: str = "") -> Html:
    """Return a row a metric, a column a split; behind a number its interval.

    Args:
        tests: one or more.
        labels: unit of what is predicted, "" where there is none or it is not known.
    """
    names = list(dict.fromkeys(name for one in tests for name in one.values))
    head = el("tr", el("th", "metric", scope="col"), *(el("th", one.split, scope="col") for one in tests))
    body = [
        el("tr", el("th", title_of(name, labels), scope="row"), *(el("td", *_cell(one, name)) for one in tests))
        for name in names
    ]
    caption = "Metrics of each split"
    return scroll(el("table", el("caption", caption), el("thead", head), el("tbody", *body), class_="values"), caption)


def meaning(tests: Sequence[Scores]) -> Html | None:
    """Return what the intervals are, or why there are none; None where nothing is to be said."""
    over = sorted({f"{one.over}s" for one in tests if one.intervals})
    alone = [one for one in tests if one.over and not one.intervals]
    text = ""
    if over:
        text = (
            f"The range behind a number holds 95 % of 1,000 bootstrap samples of the {' or '.join(over)} of its split: "
            "how far the number would move had others been taken."
        )
    if alone:
        names = " and ".join(one.split for one in alone)
        text += f" Numbers of {names} have no range: all images are of one {alone[0].over}, so nobody knows how "
        text += "others would do."
    return el("p", text.strip(), class_="remark") if text else None


def title_of(name: str, labels: str) -> str:
    """Return what a metric is called, with its unit."""
    unit = unit_of(name, labels)
    return (_NAMES.get(name) or words(name)) + (f", {unit}" if unit else "")


def _cell(one: Scores, name: str) -> list[object]:
    value = one.values.get(name)
    if value is None:
        return ["–"]
    found: list[object] = [number(value)]
    interval = one.intervals.get(name)
    if interval is not None and all(map(math.isfinite, interval)):
        found.append(el("span", f" {number(interval[0], 3)} to {number(interval[1], 3)}", class_="remark"))
    return found


def _read(split: str, record: Mapping[str, object]) -> Scores:
    """Return the scores of a split as `tests.json` has them: null is what is no number."""
    metrics = record["metrics"]
    assert isinstance(metrics, Mapping)
    values = {name: _number(found["value"]) for name, found in metrics.items()}
    intervals = {
        name: (_number(found["low"]), _number(found["high"])) for name, found in metrics.items() if "low" in found
    }
    return Scores(split, int(str(record["images"])), values, intervals, str(record.get("intervals_over") or ""))


def _number(value: object) -> float:
    return math.nan if value is None else float(str(value))
