"""Options files by their ending: JSON, TOML or YAML, each to entries with file and line; and options in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, Problem, nearest
from . import json_file, toml_file, yaml_file
from .coerce import plain_text
from .entries import Entry, Leaf, Row, flatten
from .render import with_first_origins

LARGEST = 1 << 20
"""Bytes; what is larger is no options file, and would be read for minutes."""
_TABLES = {
    ".json": json_file.rows_of,
    ".json5": json_file.rows_of,
    ".jsonc": json_file.rows_of,
    ".yaml": yaml_file.rows_of,
    ".yml": yaml_file.rows_of,
}


def read_file(path: Path) -> tuple[list[Entry], list[Problem]]:
    """Return the entries of an options file, and what is wrong with single keys (doubles).

    Raises:
        ConfigError: there is no such file, or it cannot be read as what its ending says.
    """
    file, kind = str(path), path.suffix.lower()
    if kind not in _TABLES and kind != ".toml":
        kinds = ", ".join((*_TABLES, ".toml"))
        raise ConfigError([Problem(file, "options file", f"does not end in one of {kinds}")])
    text = _text(path)
    if kind == ".toml":
        return toml_file.entries_of(text, file)
    entries, problems = flatten(_TABLES[kind](text, file), file)
    return with_first_origins(entries, text), problems


def read_values(values: Mapping[str, Any], where: str) -> tuple[list[Entry], list[Problem]]:
    """Return the entries of nested plain values, as `read_file` does those of a file.

    Args:
        values: keys with None, truth values, numbers, text, and lists and tables of these.
        where: the origin of all of them.

    Raises:
        ConfigError: they are nothing of the kind, as those of a damaged file may be.
    """
    try:
        return flatten(_rows(values, where, ""), where)
    except RecursionError:
        raise ConfigError([Problem(where, where, "is nested too deeply to be read")]) from None


def _rows(values: Any, where: str, prefix: str) -> list[Row]:
    if not isinstance(values, Mapping):
        kind = type(values).__name__
        raise ConfigError([Problem(prefix.rstrip(".") or where, where, f"must hold keys and values here, not {kind}")])
    rows = []
    for name, value in values.items():
        key = f"{prefix}{name}"
        if not isinstance(name, str):
            raise ConfigError([Problem(key, where, "has a key that is not a word")])
        below = isinstance(value, Mapping) and len(value) > 0
        plain = None if below else _plain(value, key, where)
        rows.append(Row(name, None, _rows(value, where, f"{key}.") if below else Leaf(plain, plain_text(plain))))
    return rows


def _plain(value: Any, key: str, where: str) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item, key, where) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item, key, where) for name, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError([Problem(key, where, f"cannot hold a value of type {type(value).__name__}")])


def _text(path: Path) -> str:
    file = str(path)
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError([Problem(file, "options file", f"is larger than {LARGEST >> 20} MiB: no options file")])
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ConfigError([Problem(file, "options file", "does not exist", _beside(path))]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(file, "options file", f"is not UTF-8 text (byte {error.start})")]) from None
    except OSError as error:
        raise ConfigError([Problem(file, "options file", f"cannot be read: {error.strerror or error}")]) from None
    except ValueError as error:
        raise ConfigError([Problem(file, "options file", f"is no path: {error}")]) from None


def _beside(path: Path) -> str | None:
    """Return the name in the same folder that looks most like ``path``'s."""
    try:
        near = nearest(path.name, [other.name for other in path.parent.iterdir()])
    except OSError:
        return f"nor does its folder {path.parent}"
    return f"did you mean {path.parent / near[0]}?" if near else None
