"""Stopping on request: Ctrl-C, and the TERM signal by which schedulers announce the end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Set once somebody asked the training to stop; the loop looks at it between steps."""

    def __init__(self) -> None:
        self.asked = False


@contextlib.contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request, so that a resumable checkpoint is written; the second kills.

    Outside the main thread, where signals cannot be caught, the request is never set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def ask(number: int, frame: FrameType | None) -> None:
        request.asked = True
        for other, handler in before.items():
            signal.signal(other, handler)

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
