"""How far a preparation is."""

from __future__ import annotations

import sys
import time


class Progress:
    """One line that is written over on a terminal; elsewhere a line now and then.

    Args:
        total: scenes to do.
        done: scenes that were done before.
    """

    EVERY_S = 10.0

    def __init__(self, total: int, done: int = 0) -> None:
        self._total, self._before, self._done = total, done, done
        self._patches, self._failed = 0, 0
        self._began = self._shown = time.monotonic()
        self._live = sys.stderr.isatty()

    def step(self, patches: int, failed: bool) -> None:
        """Count a scene."""
        self._done += 1
        self._patches += patches
        self._failed += failed
        now = time.monotonic()
        if self._live or now - self._shown >= self.EVERY_S:
            self._shown = now
            print(f"\r{self.line(now)}\033[K" if self._live else self.line(now), end="" if self._live else "\n",
                  file=sys.stderr, flush=True)  # fmt: skip

    def line(self, now: float) -> str:
        """Return scenes, patches, patches a second and the time left."""
        seconds = max(now - self._began, 1e-9)
        here = self._done - self._before
        left = (self._total - self._done) * seconds / max(here, 1)
        failed = f" · {self._failed} failed" if self._failed else ""
        return (
            f"scene {self._done}/{self._total}{failed} · {self._patches} patches · "
            f"{self._patches / seconds:.1f}/s · {int(left) // 60}:{int(left) % 60:02d} left"
        )

    def close(self) -> None:
        """End the line."""
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
