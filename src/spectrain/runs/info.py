"""``run.json``: what a run is and how it stands, always whole on the disk."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core.atomic import atomic_write
from ..core.errors import RunError
from .migrations import migrated

FILE = "run.json"
FORMAT_NAME, FORMAT_VERSION = "spectrain.run", 1
STATUSES = ("running", "finished", "interrupted", "failed")


class RunInfo:
    """The facts of `run.json`; several threads may add to them."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path
        self._facts = dict(facts)
        self._lock = threading.Lock()

    @classmethod
    def create(cls, folder: Path, facts: Mapping[str, Any]) -> RunInfo:
        """Write the first `run.json` of a folder."""
        info = cls(folder / FILE, {"format": {"name": FORMAT_NAME, "version": FORMAT_VERSION}, "created": now()})
        info.update(**facts)
        return info

    @classmethod
    def read(cls, folder: Path) -> RunInfo:
        """Read the `run.json` of a folder.

        Raises:
            RunError: there is none, it is damaged, or it is of a newer version.
        """
        path = folder / FILE
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(
                "this is not a run folder: it has no run.json", where=str(folder), fix="give the folder of a run"
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"run.json cannot be read: {error}", where=str(path)) from error
        if not isinstance(facts, dict):
            raise RunError("run.json is not a JSON object", where=str(path))
        return cls(path, migrated(facts, FORMAT_NAME, FORMAT_VERSION, where=str(path)))

    def update(self, **facts: Any) -> None:
        """Set facts and write the file; a dict is added to the dict that is there, anything else replaces.

        Values that JSON does not know become what comes nearest: paths text, arrays lists, NaN and infinity null.
        """
        with self._lock:
            for name, value in facts.items():
                value, old = plain(value), self._facts.get(name)
                self._facts[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
            atomic_write(self.path, json.dumps(self._facts, indent=2, ensure_ascii=False) + "\n")

    def __getitem__(self, name: str) -> Any:
        return self._facts[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a fact, or ``default`` where it was never set."""
        return self._facts.get(name, default)

    def facts(self) -> dict[str, Any]:
        """Return all facts."""
        with self._lock:
            return dict(self._facts)


def now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def plain(value: Any) -> Any:
    """Return ``value`` as JSON values; NaN and infinity, which JSON lacks, become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy and torch, without importing them
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
