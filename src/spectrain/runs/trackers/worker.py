"""The thread that tells one tracker what the journal holds, and goes on trying while it is unreachable."""

from __future__ import annotations

import importlib
import json
import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

from ...core.atomic import atomic_write
from ..info import RunInfo
from .base import Event, Refused, TrackedRun, Tracker
from .journal import Journal

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between attempts: doubled after each failure


class Worker(threading.Thread):
    """Reads the journal from where its tracker stands and passes each entry on, in order.

    An entry counts as sent when the tracker took it. Where it stands is kept in ``trackers/<name>.json``, so what was
    not taken is sent when the run goes on; after a crash the last few entries may come twice.
    """

    def __init__(self, name: str, path: str, run: TrackedRun, journal: Journal, info: RunInfo) -> None:
        super().__init__(name=f"tracker-{name}", daemon=True)  # one that hangs must not keep the process alive
        self._key, self._path, self._run, self._journal, self._info = name, path, run, journal, info
        self._cursor = journal.path.with_name(f"{name}.json")
        self._sent = min(_read_cursor(self._cursor), journal.size())
        self._tracker: Tracker | None = None
        self._wake, self._closed = threading.Event(), threading.Event()
        self._status = ""
        self._deadline = float("inf")
        self._failing = False
        self.done = False
        self.title = name

    def wake(self) -> None:
        """Say that the journal has grown."""
        self._wake.set()

    def close(self, status: str, deadline: float) -> None:
        """Say that nothing more comes, and until when (`time.monotonic`) to go on trying."""
        self._status, self._deadline = status, deadline
        self._closed.set()
        self._wake.set()

    def lacking(self) -> int:
        """Return how many entries the tracker has not taken."""
        return len(self._journal.read(self._sent))

    def run(self) -> None:
        """Work until closed and everything is sent, or the deadline has passed."""
        wait = FIRST_WAIT
        while not self.done and time.monotonic() < self._deadline:
            self._wake.clear()
            closing = self._closed.is_set()
            try:
                tracker = self._send()
                if closing:
                    tracker.finish(self._status)
                    self.done = True
            except Exception as error:
                self._failed(error)
                self._pause(wait)
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            wait = FIRST_WAIT
            if self._failing:
                self._failing = False
                logger.info("%s takes entries again", self.title)
            if not closing:
                self._wake.wait()

    def _send(self) -> Tracker:
        self._tracker = tracker = self._tracker or self._start()
        before = self._sent
        try:
            for event, after in self._journal.read(self._sent):
                self._tell(tracker, event)
                self._sent = after
        finally:
            if self._sent != before:
                atomic_write(self._cursor, json.dumps({"sent_bytes": self._sent}))
        return tracker

    def _start(self) -> Tracker:
        module, name = self._path.split(":")
        tracker: Tracker = getattr(importlib.import_module(module), name)()
        self.title = tracker.title
        ids = tracker.start(self._run)
        self._run = replace(self._run, ids=ids)
        self._info.update(trackers={self._key: ids})
        if tracker.replays:
            self._sent = 0
        return tracker

    def _tell(self, tracker: Tracker, event: Event) -> None:
        try:
            if event.kind != "picture":
                tracker.metrics(event)
            elif event.path.is_file():
                tracker.picture(event)
        except Refused as refusal:
            logger.warning("%s refuses an entry of step %d: %s", tracker.title, event.step, refusal)

    def _failed(self, error: Exception) -> None:
        self._tracker = None  # begins anew, under the same names, at the next attempt
        if not self._failing:
            self._failing = True
            reason = str(error).partition("\n")[0][:300]
            logger.warning(
                "%s cannot be reached (%s: %s); training goes on, what is logged is kept and sent later",
                self.title,
                type(error).__name__,
                reason,
            )
        logger.debug("%s", self.title, exc_info=error)

    def _pause(self, seconds: float) -> None:
        if self._closed.is_set():
            time.sleep(max(min(seconds, self._deadline - time.monotonic()), 0.0))
        else:
            self._closed.wait(seconds)


def _read_cursor(path: Path) -> int:
    try:
        return int(json.loads(path.read_text())["sent_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0  # sending again is better than sending never
