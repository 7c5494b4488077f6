"""The journal: everything that trackers are to be told, in order, on the disk before anybody is told."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from ...core.atomic import disk_errors
from ..tables import Lines
from .base import Event


class Journal:
    """A JSON Lines file. Each tracker's thread reads on from the byte that it stands at; several threads may write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(exist_ok=True)
        self._lines, self._writing = Lines(path), Lock()
        self._lines.cut(lambda line: True)  # a killed process may have left half a line
        self._serial = max((line["serial"] for line in self._lines.read()), default=-1) + 1

    def add(
        self, *, kind: str, epoch: int, step: int, values: Mapping[str, float], name: str = "", path: Path | None = None
    ) -> None:
        """Write an entry; a picture's path is kept relative to the run folder."""
        record: dict[str, Any] = {"kind": kind, "time": round(time.time(), 3), "epoch": epoch, "step": step}
        if values:
            record["values"] = {key: float(value) for key, value in values.items()}
        if path is not None:
            record.update(name=name, path=path.relative_to(self._folder).as_posix())
        with self._writing:
            self._lines.add({"serial": self._serial, **record})
            self._serial += 1

    def cut(self, epoch: int, step: int) -> None:
        """Drop the entries of later epochs and steps; numbers go on from where they were."""
        self._lines.cut(lambda line: line["step"] <= step and (line["kind"] == "interval" or line["epoch"] <= epoch))

    def size(self) -> int:
        """Return the length in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, start: int) -> list[tuple[Event, int]]:
        """Return the whole entries from byte ``start`` on, each with the byte after it."""
        if not self.path.exists():
            return []
        found = []
        with self.path.open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):  # being written just now
                    break
                start += len(line)
                found.append((self._event(json.loads(line)), start))
        return found

    def _event(self, record: dict[str, Any]) -> Event:
        return Event(
            serial=record["serial"],
            kind=record["kind"],
            time=record["time"],
            epoch=record["epoch"],
            step=record["step"],
            values=record.get("values", {}),
            name=record.get("name", ""),
            path=self._folder / record.get("path", ""),
        )

    @property
    def _folder(self) -> Path:
        return self.path.parent.parent
