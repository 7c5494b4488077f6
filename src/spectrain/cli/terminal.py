"""The log on the terminal."""

from __future__ import annotations

import logging
import sys

from ..core.launched import launched_world


class TerminalLog(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever the standard error is at the time, so that a live progress line can move out of the way."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def log_to_terminal(debug: bool) -> None:
    """Print the log of this process to the terminal; other processes of a training stay quiet."""
    logger = logging.getLogger("spectrain")
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    for handler in [handler for handler in logger.handlers if isinstance(handler, TerminalLog)]:
        logger.removeHandler(handler)
    if launched_world()[0] == 0:
        terminal = TerminalLog()
        terminal.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(terminal)
