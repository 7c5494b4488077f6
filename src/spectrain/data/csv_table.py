"""Small tables of text, as people write them: a header and a row a thing."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DataError

LONGEST_HEADER = 1 << 20
"""Characters."""
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"(-?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?|-?\.\d+([eE][-+]?\d+)?|nan|NaN|-?inf)?")


@dataclass(frozen=True)
class CsvTable:
    """A CSV file as text.

    Attributes:
        path: the file.
        columns: names in the header, without blanks around them.
        rows: one text a column each, without blanks around it.
        lines: number of the line that each row ends on, counted from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def named(self, names: Sequence[str]) -> str | None:
        """Return the column with the first of these names that is there, in capitals or not."""
        lower = {column.lower(): column for column in reversed(self.columns)}
        return next((lower[name.lower()] for name in names if name.lower() in lower), None)

    def column(self, name: str) -> list[str]:
        """Return the texts of a column."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


def csv_header(path: Path) -> list[str]:
    """Return the names in the first line of a file, none where it is no text."""
    with path.open("rb") as file:
        first = file.readline(1 << 16)
    try:
        text = first.decode("utf-8-sig")
        return [name.strip() for name in next(csv.reader([text], delimiter=_delimiter(text)), [])]
    except (UnicodeDecodeError, csv.Error):
        return []


def read_csv_table(path: Path) -> CsvTable:
    """Return a CSV file with commas, or semicolons where its header has no comma; empty lines are left out.

    Raises:
        DataError: it is missing, empty or not text, a name in the header occurs twice, or a row has another number of
            cells than the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"the table cannot be read: {error.strerror or error}", where=str(path), fix="correct its path"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError("the table is not UTF-8 text", where=str(path), fix="save it as CSV in UTF-8") from error
    if "\0" in text:
        raise DataError(
            "the table is not text: it holds a NUL character", where=str(path), fix="save it as CSV in UTF-8"
        )
    lines = text.splitlines(keepends=True)
    reader = csv.reader(lines, delimiter=_delimiter(lines[0] if lines else ""))
    if lines and len(lines[0]) > LONGEST_HEADER:
        raise DataError("the first line is no header: it is longer than 1 MiB", where=str(path), fix="write it again")
    try:
        columns = tuple(name.strip() for name in next(reader, []))
    except csv.Error as error:
        raise DataError(f"the table is damaged: {error}", where=f"{path}, line 1", fix="write it again") from error
    if not columns:
        raise DataError("the table is empty", where=str(path), fix="write a header and a row a thing")
    if doubled := sorted(name for name, count in Counter(columns).items() if name and count > 1):
        raise DataError(f"the column {doubled[0]!r} occurs twice", where=f"{path}, line 1", fix="rename one of them")
    rows, numbers = [], []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(columns):
                raise DataError(
                    f"the row has {len(row)} cells, the header {len(columns)}",
                    where=f"{path}, line {reader.line_num}",
                    fix="correct the row; texts with commas need quotes",
                )
            rows.append(tuple(cell.strip() for cell in row))
            numbers.append(reader.line_num)
    except csv.Error as error:
        raise DataError(
            f"the table is damaged: {error}", where=f"{path}, line {reader.line_num}", fix="write it again"
        ) from error
    return CsvTable(path, columns, tuple(rows), tuple(numbers))


def typed(texts: Sequence[str]) -> list[Any]:
    """Return a column as whole numbers, or as decimals with NaN for blanks, or else as the texts they are.

    Numbers that begin with a superfluous 0 are names, and stay texts.
    """
    if texts and all(_WHOLE.fullmatch(text) for text in texts):
        return [int(text) for text in texts]
    if any(texts) and all(_DECIMAL.fullmatch(text) for text in texts):
        return [float(text) if text else float("nan") for text in texts]
    return list(texts)


def _delimiter(header: str) -> str:
    return ";" if "," not in header and ";" in header else ","
