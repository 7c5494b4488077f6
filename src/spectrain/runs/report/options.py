"""What `config.yaml` says: each option with its value as it is written, and where it was set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

INDENT = 2
HAD_FROM = ", which had it from "


@dataclass(frozen=True, slots=True)
class Option:
    """One line of the configuration."""

    key: str
    value: str
    origin: str


def read_options(path: Path) -> list[Option]:
    """Return the options of a run's `config.yaml` in its order; a file that is missing has none."""
    if not path.is_file():
        return []
    options: list[Option] = []
    parents: list[str] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, colon, rest = line.strip().partition(":")
        if not colon or name.startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // INDENT
        parents = [*parents[:depth], name.strip("'\"")]
        if rest.strip():
            value, _, origin = rest.rpartition("  # ") if "  # " in rest else (rest, "", "")
            options.append(Option(".".join(parents), value.strip(), _first(origin.strip(), path)))
    return options


def _first(origin: str, path: Path) -> str:
    """Return where an option was set first: a run that was resumed has its options from its own `config.yaml`."""
    file, _, before = origin.partition(HAD_FROM)
    own = Path(file.rpartition(":")[0])
    return before if before and (own.parent.name, own.name) == (path.parent.name, path.name) else origin


def read_values(path: Path) -> dict[str, Any]:
    """Return a `config.yaml` as nested values; one that is missing or damaged is empty."""
    import yaml

    from ...config.yaml_file import PlainLoader

    try:
        values = yaml.load(path.read_text(encoding="utf-8"), PlainLoader)  # of aliases a page of gigabytes is made
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}
