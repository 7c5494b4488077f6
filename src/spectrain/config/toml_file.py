"""TOML with line numbers. Only the tables ``[spectrain]`` and ``[darts]`` are read, so one file serves many programs.

Tables within them only group: a key counts by its last name (``[darts.training] batch-size`` is ``batch_size``).
In ``[spectrain]`` a table that is a section or group of ours keeps its name (``[spectrain.hparams] epochs`` is
``hparams.epochs``).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..core.errors import ConfigError, Problem
from .coerce import plain_text
from .entries import Entry, normal_prefix, place
from .schema import GROUPS, SECTIONS

ROOTS = ("spectrain", "darts")
_KEY_PART = re.compile(r"""\s*("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)\s*""")
_DEEP = re.compile(r"""(?:^|[\[{,])[ \t]*(?:(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){100}""", re.MULTILINE)
"""A key of a hundred names: the standard reader takes the square of their number."""
_SKIP = re.compile(r"(?:\s|#[^\n]*)*")
_HEADER = re.compile(r"\[\[?")
_STRING = re.compile(r"\"\"\".*?(?<!\\)\"{3,5}|'''.*?'{3,5}|\"(?:\\.|[^\"\\])*\"|'[^']*'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """A key of a TOML document, with the tables that it is in, and its line."""

    path: tuple[str, ...]
    line: int


def entries_of(text: str, file: str) -> tuple[list[Entry], list[Problem]]:
    """Return the entries of the tables that are ours, and a problem for each key that is given twice.

    Raises:
        ConfigError: it is not TOML, or has neither table.
    """
    if _DEEP.search(text):
        raise ConfigError([Problem(file, file, "is nested too deeply to be read")])
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax(str(error), text, file)]) from None
    except ValueError as error:  # of a whole number without end
        raise ConfigError([Problem(file, file, f"is not TOML: {error}")]) from None
    except RecursionError:
        raise ConfigError([Problem(file, file, "is nested too deeply to be read")]) from None
    if not any(isinstance(document.get(root), dict) for root in ROOTS):
        what = f"has neither a table [{ROOTS[0]}] nor [{ROOTS[1]}]; the tables are {', '.join(document) or 'none'}"
        raise ConfigError([Problem(file, place(file, 1), what, "other tables are not read, so nothing would be set")])
    lines = {statement.path: statement.line for statement in statements(text)}
    entries: list[Entry] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for root in ROOTS:
        table = document.get(root)
        for path, value in _leaves(table, (root,)) if isinstance(table, dict) else ():
            key, origin = _key(path), place(file, _line(path, lines))
            if key in seen:
                problems.append(Problem(key, origin, f"is given twice, first in {seen[key]}"))
                continue
            seen[key] = origin
            entries.append(Entry(key, value, origin, plain_text(value)))
    return entries, problems


def _key(path: tuple[str, ...]) -> str:
    names = path[1:]
    if path[0] == "spectrain" and normal_prefix(names[0]) in (*SECTIONS, *GROUPS):
        if [normal_prefix(name) for name in names[:2]] == ["mlflow", "tags"]:
            return ".".join(("mlflow", "tags", *names[2:]))
        return normal_prefix(".".join(names))
    return normal_prefix(names[-1])


def _leaves(table: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _line(path: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> int | None:
    """Return the line of a key, or of the nearest table that has one (keys of an inline table have none)."""
    for length in range(len(path), 0, -1):
        if (line := lines.get(path[:length])) is not None:
            return line
    return None


def _syntax(message: str, text: str, file: str) -> Problem:
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message)
    what, line = (found[1], int(found[2]) if found[2] else None) if found else (message, None)
    if line is not None and what.startswith(("Cannot overwrite", "Cannot declare", "Cannot mutate")):
        # a value of many lines is refused at its end
        before = [statement for statement in statements(text) if statement.line <= line]
        same = [item.line for item in before if item.path[: len(before[-1].path)] == before[-1].path]
        if len(same) > 1:
            said = f"is given twice, first in {place(file, same[0])}"
            return Problem(".".join(before[-1].path), place(file, same[-1]), said)
    return Problem(file, place(file, line), f"is not TOML: {what}")


def statements(text: str) -> Iterator[Statement]:
    """Yield the tables and keys of a TOML document in order; the standard reader keeps no positions.

    A document that is damaged ends where it can be followed no further.
    """
    position, counted, line = 0, 0, 1
    table: tuple[str, ...] = ()
    while (position := _skip(text, position)) < len(text):
        line, counted = line + text.count("\n", counted, position), position
        header = _HEADER.match(text, position)
        path, position = _path(text, header.end() if header else position)
        position = text.find("]" if header else "=", position)
        if not path or position < 0:
            return
        if header:
            table = path
        else:
            position = _value_end(text, position + 1)
            path = (*table, *path)
        yield Statement(path, line)
        position = text.find("\n", position)
        if position < 0:
            return


def _skip(text: str, position: int) -> int:
    found = _SKIP.match(text, position)
    return found.end() if found else position


def _path(text: str, position: int) -> tuple[tuple[str, ...], int]:
    names: list[str] = []
    while (part := _KEY_PART.match(text, position)) is not None:
        names.append(part[1][1:-1] if part[1][0] in "\"'" else part[1])
        position = part.end()
        if text[position : position + 1] != ".":
            break
        position += 1
    return tuple(names), position


def _value_end(text: str, position: int) -> int:
    """Return where a value ends that begins at ``position``: at a line's end outside brackets and strings."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character in "\"'":
            string = _STRING.match(text, position)
            position = string.end() if string else len(text)
            continue
        if character == "#":
            position = text.find("\n", position)
            if position < 0:
                return len(text)
            continue
        if character == "\n" and depth == 0:
            return position
        depth += (character in "[{") - (character in "]}")
        position += 1
    return position
