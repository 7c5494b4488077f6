"""Several runners from one command: a process each, what they say under their names, and one end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Child:
    """A process to start.

    Attributes:
        name: that its lines are marked with.
        words: of its command, behind ``spectrain``.
    """

    name: str
    words: Sequence[str]


def run_children(children: Sequence[Child], environment: Mapping[str, str]) -> int:
    """Start all, pass on what they say, and wait for all; return how many did not end with 0.

    Ctrl-C and SIGTERM reach each of them, which then keeps what it has.

    Raises:
        KeyboardInterrupt: after all have ended, where that was asked for.
    """
    started = [_start(one, environment) for one in children]
    threads = [
        threading.Thread(target=_pass_on, args=(one.name, process))
        for one, process in zip(children, started, strict=True)
    ]
    for thread in threads:
        thread.start()
    stopped: list[int] = []

    def stop(number: int, frame: Any) -> None:
        stopped.append(number)
        for process in started:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        codes = [process.wait() for process in started]
        for thread in threads:
            thread.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        raise KeyboardInterrupt
    return sum(code != 0 for code in codes)


def _start(child: Child, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    # a session of its own: Ctrl-C of the terminal then comes once, through us
    return subprocess.Popen(
        [sys.executable, "-m", "spectrain", *child.words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _pass_on(name: str, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(f"[{name}] {line}", end="", file=sys.stderr, flush=True)
