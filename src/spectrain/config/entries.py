"""What the readers of files and of the command line return: keys with values, and where each was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.errors import Problem

OPEN = ("mlflow.tags.",)
"""Prefixes below which any name is allowed, and is kept as it was written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as somebody wrote it.

    Attributes:
        key: dotted, with underscores for hyphens.
        value: plain value: None, bool, int, float, str, list, dict.
        origin: "opts.json:12", "command line", "recipe contrastive".
        text: the value as it was written, where the reader can tell.
    """

    key: str
    value: Any
    origin: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value in a file, with its line and the text it was written as."""

    value: Any
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a table of a file: its name, line and value (a `Leaf`, or the rows of a table)."""

    name: str
    line: int | None
    value: Leaf | list[Row]


def normal(key: str) -> str:
    """Return a key with underscores for hyphens, except what stands below an open table."""
    for prefix in OPEN:
        if normal_prefix(key).startswith(prefix):
            return prefix + key[len(prefix) :]
    return normal_prefix(key)


def normal_prefix(key: str) -> str:
    """Return a key with underscores for hyphens, everywhere; an empty one can be seen."""
    return key.replace("-", "_") or "''"


def place(file: str, line: int | None) -> str:
    """Return "file:line", or the file alone where the line is not known."""
    return file if line is None else f"{file}:{line}"


def flatten(rows: list[Row], file: str, prefix: str = "") -> tuple[list[Entry], list[Problem]]:
    """Return the entries of nested rows with dotted keys, and a problem for each name that its table has twice."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    seen: dict[str, Row] = {}
    for row in rows:
        key, origin = normal(prefix + row.name), place(file, row.line)
        if key in seen:
            problems.append(Problem(key, origin, f"is given twice, first in {place(file, seen[key].line)}"))
            continue
        seen[key] = row
        if isinstance(row.value, Leaf):
            entries.append(Entry(key, row.value.value, origin, row.value.text))
        else:
            below, wrong = flatten(row.value, file, f"{prefix}{row.name}.")
            entries += below
            problems += wrong
    return entries, problems
