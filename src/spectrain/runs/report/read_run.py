"""What a report knows of one run: everything in its folder, read leniently, for a run may be under way or damaged."""

from __future__ import annotations

import json
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import RunError
from ...core.processes import is_gone
from ..curves import read_curves
from ..folder import find_folder
from ..info import RunInfo
from ..tables import Row, read_epochs, whole_lines
from .options import Option, read_options, read_values
from .series import FloatArray

EPOCH = re.compile(r"(?<=.)_(\d{4,})$")
"""What a picture's file is called after its name."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG of the run."""

    name: str
    epoch: int
    path: Path


@dataclass(frozen=True, slots=True)
class ReadRun:
    """One run as it stands in its folder.

    Attributes:
        folder: the run folder.
        facts: `run.json`.
        rows: of `metrics.csv`, without what stands there a second time under a published name ("val/JaccardIndex").
        intervals: of `metrics.jsonl`.
        curves: of `curves.h5`.
        pictures: by name, each in order of epochs.
        drawings: PNG files without an epoch, by name: what was drawn once.
        options: `config.yaml` line by line.
        config: `config.yaml` as values.
    """

    folder: Path
    facts: dict[str, Any]
    rows: list[Row]
    intervals: list[dict[str, Any]]
    curves: dict[str, FloatArray]
    pictures: dict[str, list[Picture]]
    drawings: dict[str, Path]
    options: list[Option]
    config: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> ReadRun:
        """Read a run folder.

        Raises:
            RunError: there is no run, it is of a newer version, or its tables are damaged. Curves that cannot be read
                are left out.
        """
        folder = find_folder(path)
        try:
            curves = read_curves(folder / "curves.h5")
        except RunError:
            curves = {}
        return cls(
            folder=folder,
            facts=RunInfo.read(folder).facts(),
            rows=[_own(row) for row in read_epochs(folder / "metrics.csv")],
            intervals=_intervals(folder / "metrics.jsonl"),
            curves={name: np.asarray(values, dtype=np.float64) for name, values in curves.items()},
            pictures=_pictures(folder / "plots"),
            drawings={
                path.stem: path for path in sorted((folder / "plots").glob("*.png")) if not EPOCH.search(path.stem)
            },
            options=read_options(folder / "config.yaml"),
            config=read_values(folder / "config.yaml"),
        )

    @property
    def name(self) -> str:
        """The run's two names."""
        return f"{self.facts.get('run_name')} {self.facts.get('run_id')}"

    def option(self, key: str) -> Any:
        """Return the value of "section.name", None where it is not set."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def column(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return epochs and values of a column of `metrics.csv`, where it has values."""
        pairs = [(row["epoch"], row[name]) for row in self.rows if name in row]
        table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def interval(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return steps and values of a name in `metrics.jsonl`; null is NaN."""
        pairs = [(line["step"], line[name]) for line in self.intervals if name in line]
        table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def epochs_of(self, steps: FloatArray) -> FloatArray:
        """Return steps in units of epochs, by the steps at which epochs ended; steps themselves before the first."""
        if not self.rows:
            return steps
        ends = np.array([[0.0, 0.0], *([row["step"], row["epoch"]] for row in self.rows)])
        slope = (ends[-1, 1] - ends[-2, 1]) / max(ends[-1, 0] - ends[-2, 0], 1.0)
        inside: FloatArray = np.interp(steps, ends[:, 0], ends[:, 1])
        beyond: FloatArray = np.maximum(steps - ends[-1, 0], 0.0) * slope
        return inside + beyond

    def status(self) -> str:
        """Return the status; a run whose process is gone without a word is "killed"."""
        status = str(self.facts.get("status", "unknown"))
        process = self.facts.get("process") or {}
        if status == "running" and process.get("host") == platform.node() and is_gone(process.get("pid")):
            return "killed"
        return status


def _intervals(path: Path) -> list[dict[str, Any]]:
    """Return the lines of `metrics.jsonl`; one that is damaged is left out."""
    found = []
    for line in whole_lines(path).splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict) and "step" in values:
            found.append(values)
    return found


def _pictures(folder: Path) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = {}
    for path in sorted(folder.glob("*.png")):
        if match := EPOCH.search(path.stem):
            found.setdefault(path.stem[: match.start()], []).append(
                Picture(path.stem[: match.start()], int(match[1]), path)
            )
    for pictures in found.values():
        pictures.sort(key=lambda picture: picture.epoch)
    return found


def _own(row: Row) -> Row:
    """Return a row without values under published names."""
    return {name: value for name, value in row.items() if "/" not in name}
