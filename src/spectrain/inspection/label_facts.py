"""What labels are like, a line each: the share of each class, the range of values. None of it is doubtful."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .families import Facts
from .found_text import labels_text
from .projects import Label

SHOWN, CLASSES = 4, 12
MANY = 3
"""Classes besides 0 from which on 0 may mean "not labelled"; of fewer it is mostly the background."""


def some(names: Sequence[str]) -> str:
    """Return the first few of some names."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def label_text(label: Label) -> str:
    """Return what the labels of a project are like."""
    facts = label.facts
    if label.family is None:
        if label.kind == "polygons":
            few = None if label.column is None else facts["values"][label.column]
            return "one class" if few is None else f"{len(few)} classes in column {label.column}: {some(few)}"
        low, high = facts["ranges"][label.column] or (None, None)
        return f"column {label.column}" + ("" if low is None else f" from {low:g} to {high:g}")
    files = list(label.family.facts.values())
    if label.kind == "classes":
        shown = [f"{name} {share:.1%}" for name, share in class_shares(class_counts(files)).items()]
        return "classes " + ", ".join(shown[:CLASSES]) + (", ..." if len(shown) > CLASSES else "")
    low = lowest(files)
    high = max((one["high"][0] for one in files if one["high"][0] is not None), default=None)
    if low is None:
        return "no pixel is labelled"
    gaps = sum(one["missing"][0] for one in files) / max(1, len(files))
    return f"values from {low:g} to {high:g}; {1 - gaps:.1%} of the pixels are labelled"


def set_text(record: Mapping[str, Any]) -> str:
    """Return what the labels of the first split of a data set are like; "" where it has none."""
    split = record["splits"][0]
    if split["ranges"] and (one := split["ranges"][0]):
        return f"{one['count']:,} values from {one['minimum']:g} to {one['maximum']:g}"
    if not split["labels"]:
        return ""
    return "classes " + labels_text(split["labels"], split["ignored"], split["names"])


def class_counts(facts: Sequence[Facts]) -> Counter[str]:
    """Return the pixels of each class in the files that were looked at."""
    counts: Counter[str] = Counter()
    for one in facts:
        counts.update(one["classes"] or {})
    return counts


def class_shares(counts: Counter[str]) -> dict[str, float]:
    """Return the share of each class, by number."""
    return {name: counts[name] / max(1, counts.total()) for name in sorted(counts, key=float)}


def zero_doubt(counts: Mapping[str, int], ignore: str) -> list[str]:
    """Return a question where class 0 may mean "not labelled": it covers more than any other of several classes.

    Args:
        counts: pixels or images of each class, by number.
        ignore: the option by which it would not count.
    """
    others = [count for name, count in counts.items() if name not in ("0", "255")]
    if len(others) < MANY or counts.get("0", 0) <= max(others):
        return []
    share = counts["0"] / sum(counts.values())
    return [f"class 0 covers {share:.0%}, more than any other: if it means 'not labelled', add {ignore}"]


def lowest(facts: Sequence[Facts]) -> float | None:
    """Return the lowest value, None where none was measured."""
    return min((one["low"][0] for one in facts if one["low"][0] is not None), default=None)
