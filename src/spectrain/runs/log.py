"""``log.txt``: what the package says through `logging`, while a run is open."""

from __future__ import annotations

import logging
from pathlib import Path

LOGGER = "spectrain"


class LogFile(logging.FileHandler):
    """Adds what the logger "spectrain" and its children say to a file, from now until `detach`."""

    def __init__(self, path: Path, *, debug: bool = False) -> None:
        super().__init__(path, mode="a", encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        logger = logging.getLogger(LOGGER)
        self._level_before = logger.level
        # without a level of its own the logger would take the root's, WARNING, and keep nearly everything back
        logger.setLevel(logging.DEBUG if debug else logging.INFO)
        logger.addHandler(self)

    def detach(self) -> None:
        """Close the file and leave the logger as it was found."""
        logger = logging.getLogger(LOGGER)
        logger.removeHandler(self)
        logger.setLevel(self._level_before)
        self.close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - overrides
        """Say nothing: a full disk stops the run with a clear message at its next metrics row, not in the log."""
