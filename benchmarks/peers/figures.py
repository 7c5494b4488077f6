"""Medians, ratios of rounds and their tables: arithmetic alone, without a contestant."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rounds = Mapping[str, Sequence[Mapping[str, Any]]]
"""By contestant, the figures of each round."""
EVEN = 0.03
"""A ratio that is as near to 1 is neither a win nor a loss."""


@dataclass(frozen=True)
class Column:
    """A figure of a table.

    Args:
        key: of the contestants' figures.
        title: of the table's column, with the unit.
        better: "high", "low", or "" where neither is.
        compared: a ratio is told beside the figure; without one only the median is.
    """

    key: str
    title: str
    better: str = ""
    compared: bool = True


def ratios(ours: Sequence[float], theirs: Sequence[float], better: str) -> list[float]:
    """Return how many times better ours is, round by round: above 1 is a win, whatever the direction."""
    pairs = list(zip(ours, theirs, strict=True))
    return [a / b for a, b in pairs] if better == "high" else [b / a for a, b in pairs]


def median(rounds: Rounds, contestant: str, key: str) -> float | None:
    """Return the median over rounds, or None where this contestant has no such figure."""
    values = [one[key] for one in rounds[contestant] if one.get(key) is not None]
    return statistics.median(values) if values else None


def verdict(rounds: Rounds, reference: str, contestant: str, column: Column) -> str:
    """Return "2.10 × (1.95 to 2.20)": the ratio of the medians, and the range of the rounds' own ratios.

    A loss is bold and says so. The medians are what decides: rounds are minutes apart, and a machine that is busy for
    one of them would spoil a ratio of neighbours.
    """
    both = [
        (mine[column.key], other[column.key])
        for mine, other in zip(rounds[reference], rounds[contestant], strict=True)
        if mine.get(column.key) and other.get(column.key)
    ]
    if not both:
        return ""
    ours, theirs = zip(*both, strict=True)
    found = ratios(ours, theirs, column.better)
    (middle,) = ratios([statistics.median(ours)], [statistics.median(theirs)], column.better)
    text = f"{middle:.2f} ×" + (f" ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else "")
    return f"**{text}, a loss**" if middle < 1 - EVEN else text


def table(rounds: Rounds, reference: str, columns: Sequence[Column]) -> str:
    """Return a Markdown table: each contestant's medians, and how many times better the reference is."""
    head = ["", *(column.title for column in columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for contestant in rounds:
        cells = [contestant]
        for column in columns:
            value = median(rounds, contestant, column.key)
            cell = "" if value is None else shown(value)
            if value is not None and contestant != reference and column.better and column.compared:
                told = verdict(rounds, reference, contestant, column)
                cell += f"; {told}" if told else ""
            cells.append(cell)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(value: float) -> str:
    """Return a number of three digits."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
