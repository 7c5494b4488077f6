"""``metrics.csv`` (a row an epoch) and ``metrics.jsonl`` (a line a log interval): appended to, cut back on resume."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..core.atomic import append, atomic_write
from ..core.damage import reading
from ..core.errors import RunError

_AGAIN = "take the damaged file away"
Row = dict[str, float]


class EpochTable:
    """`metrics.csv`: the columns epoch and step, then one for each name in the order in which names appeared.

    Numbers are written so that reading them back gives the same bits; NaN is ``nan``; a name that has no value in
    an epoch leaves its cell empty. A name never seen before becomes a new last column, and the file is written anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = _header(path)

    def add(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Add an epoch's row."""
        row: Row = {"epoch": epoch, "step": step, **{name: float(value) for name, value in values.items()}}
        if new := [name for name in row if name not in self.columns]:
            rows = read_epochs(self.path)
            self.columns = [*self.columns, *new]
            atomic_write(self.path, _csv(self.columns, [*rows, row], header=True))
        else:
            append(self.path, _csv(self.columns, [row], header=False), sync=True)

    def cut(self, epoch: int, step: int) -> None:
        """Drop the rows of later epochs and of later steps."""
        if self.columns:
            rows = [row for row in read_epochs(self.path) if row["epoch"] <= epoch and row["step"] <= step]
            atomic_write(self.path, _csv(self.columns, rows, header=True))


def read_epochs(path: Path) -> list[Row]:
    """Return the rows of a `metrics.csv`; an empty cell is no entry; no file is no rows.

    A last line without its line break was cut off by a crash and does not count.

    Raises:
        RunError: the file is damaged, or a row lacks its epoch or step.
    """
    with reading(path, RunError, fix=_AGAIN):
        rows = csv.DictReader(io.StringIO(whole_lines(path), newline=""))
        found = [{name: _number(text) for name, text in row.items() if text} for row in rows]
        for row in found:
            int(row["epoch"]), int(row["step"])
    return found


class Lines:
    """A JSON Lines file whose records have epoch and step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record; NaN and infinity are written as Python writes them."""
        append(self.path, json.dumps(record, ensure_ascii=False) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return all records; a last line without its line break does not count.

        Raises:
            RunError: a line is damaged, or lacks its step.
        """
        with reading(self.path, RunError, fix=_AGAIN):
            found: list[dict[str, Any]] = [json.loads(line) for line in _lines(self.path)]
            for record in found:
                float(record["step"])
        return found

    def cut(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the records that are not to be kept."""
        if self.path.exists():
            with reading(self.path, RunError, fix=_AGAIN):
                kept = "".join(f"{line}\n" for line in _lines(self.path) if keep(json.loads(line)))
            atomic_write(self.path, kept)


def whole_lines(path: Path) -> str:
    """Return a text file up to its last line break; no file is an empty one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ""
    with reading(path, RunError, fix=_AGAIN):
        return data[: data.rfind(b"\n") + 1].decode("utf-8")


def _lines(path: Path) -> list[str]:
    return [line for line in whole_lines(path).split("\n") if line]


def _header(path: Path) -> list[str]:
    return next(csv.reader(io.StringIO(whole_lines(path), newline="")), [])


def _csv(columns: list[str], rows: list[Row], *, header: bool) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(name, row[name]) if name in row else "" for name in columns])
    return text.getvalue()


def _cell(name: str, value: float) -> str:
    return str(int(value)) if name in ("epoch", "step") else repr(float(value))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
