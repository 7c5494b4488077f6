"""An ensemble in a folder of its own: several checkpoints, and a file that says what they are.

``ensemble.json`` beside the checkpoints names them relative to itself, so the folder may be moved as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.atomic import atomic_write
from ...core.damage import reading
from ...core.errors import RunError
from ...runs.folder import ENSEMBLE
from ...runs.migrations import migrated

FILE = ENSEMBLE
NAME, VERSION = "spectrain.ensemble", 1


def write_ensemble(folder: Path, members: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> Path:
    """Write the file that makes a folder of checkpoints an ensemble; return it.

    Args:
        folder: that the checkpoints are in.
        members: of each at least ``checkpoint``, its file's name.
        facts: where they are from.
    """
    record = {"format": {"name": NAME, "version": VERSION}, **facts, "members": [dict(one) for one in members]}
    atomic_write(folder / FILE, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return folder / FILE


def is_ensemble(path: Path) -> bool:
    """Say whether a path is the folder of an ensemble, or its file."""
    return (path / FILE).is_file() or (path.name == FILE and path.is_file())


def folder_of_ensemble(path: Path) -> Path:
    """Return the folder of an ensemble that a path means: itself, or that of its file."""
    return path.parent if path.name == FILE else path


@dataclass(frozen=True)
class EnsembleFile:
    """What an ensemble's file says.

    Attributes:
        checkpoints: of its models, in its order.
        recalibration: what was fitted of all of them together, or None.
        record: all of it.
    """

    checkpoints: list[Path]
    recalibration: dict[str, Any] | None
    record: dict[str, Any]


def read_ensemble(path: Path) -> EnsembleFile:
    """Return what an ensemble is made of.

    Raises:
        RunError: the file is damaged or of a newer version, or checkpoints are missing.
    """
    file = path if path.name == FILE else path / FILE
    with reading(file, RunError, fix="write it again", what="the ensemble cannot be read"):
        record = migrated(json.loads(file.read_text(encoding="utf-8")), NAME, VERSION, where=str(file))
        names = [str(one["checkpoint"]) for one in record["members"]]
    found = [file.parent / one for one in names]
    if missing := [one.name for one in found if not one.is_file()]:
        raise RunError(
            f"the ensemble lacks {', '.join(missing)}" if names else "the ensemble has no member",
            where=str(file.parent),
            fix="copy the folder as a whole",
        )
    if not found:
        raise RunError("the ensemble has no member", where=str(file), fix="write it again")
    return EnsembleFile(found, record.get("recalibration"), record)
