"""A configuration as nested values and as YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from .entries import Entry
from .schema import GROUPS, SECTIONS, Config, TopLevel
from .yaml_file import dumped

HEADER = "# The whole configuration of a training; behind each value, where it was written."
_ORIGIN = re.compile(r".*  # (?:.*, which had it from )?(.*)")


def to_dict(cfg: Config) -> dict[str, Any]:
    """Return recipe, top-level options, parts and sections as nested plain values."""
    top = {item.name: getattr(cfg, item.name) for item in fields(TopLevel)}
    parts = {group: getattr(cfg, group).to_dict() for group in GROUPS}
    sections = {section: asdict(getattr(cfg, section)) for section in SECTIONS}
    return {"recipe": cfg.recipe, **_plain(top), **_plain(parts), **_plain(sections)}


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested plain values as one flat dict, ``{"optimizer.lr": 0.1, ...}``; an empty table stays a value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{key}.{inner}": item for inner, item in flattened(value).items()}
        else:
            found[str(key)] = value
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def to_yaml(cfg: Config) -> str:
    """Return YAML with the origin of each value behind it."""
    lines = [HEADER]
    _write(to_dict(cfg), "", cfg.origins, lines)
    if cfg.left_alone:
        lines += ["", "# given, and left alone:", *(f"#   {key} ({place})" for key, place in cfg.left_alone.items())]
    return "\n".join(lines) + "\n"


def _write(table: dict[str, Any], prefix: str, origins: dict[str, str], lines: list[str]) -> None:
    indent = "  " * prefix.count(".")
    for name, value in table.items():
        key = f"{prefix}{name}"
        written = f"{indent}{dumped(name)}:"
        if isinstance(value, dict) and value:
            lines.append(written)
            _write(value, f"{key}.", origins, lines)
        else:
            origin = " ".join(origins.get(key, "default").split())
            lines.append(f"{written} {dumped(value)}" + ("" if key == "recipe" else f"  # {origin}"))


def with_first_origins(entries: list[Entry], text: str) -> list[Entry]:
    """Return the entries of a file that `to_yaml` wrote with what it says of their origins; of other files as they are.

    So a run that is continued, whose ``config.yaml`` is written anew, still knows what came from whom.
    """
    lines = text.split("\n")
    if lines[0] != HEADER:
        return entries
    return [replace(entry, origin=_first_origin(entry.origin, lines)) for entry in entries]


def _first_origin(origin: str, lines: list[str]) -> str:
    found = _ORIGIN.fullmatch(lines[int(origin.rpartition(":")[2]) - 1])
    return f"{origin}, which had it from {found[1]}" if found else origin
