"""Several runners from one command: a process each, what they say under their names, and one end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOOK = 0.1
"""Seconds between two looks whether all have ended, or are to be stopped."""


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

    Ctrl-C and SIGTERM reach each of them, which then keeps what it has; where one cannot be started, the others are
    stopped in the same way.

    Raises:
        KeyboardInterrupt: after all have ended, where that was asked for.
        OSError: one cannot be started.
    """
    started: list[subprocess.Popen[str]] = []
    threads: list[threading.Thread] = []
    stopped: list[int] = []

    def stop(number: int, frame: Any) -> None:
        stopped.append(number)

    # before anything runs: who is in a session of its own would train on without us
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        try:
            for one in children:
                if stopped:
                    break
                process = _start(one, environment)
                started.append(process)
                thread = threading.Thread(target=_pass_on, args=(one.name, process))
                thread.start()
                threads.append(thread)
        except BaseException:
            stopped.append(signal.SIGTERM)
            raise
        finally:
            _wait(started, stopped)
            for thread in threads:
                thread.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        raise KeyboardInterrupt
    return sum(process.returncode != 0 for process in started)


def _wait(started: Sequence[subprocess.Popen[str]], stopped: Sequence[int]) -> None:
    """Wait for all to end, and send each of them the signals that come in meanwhile, or came before."""
    sent = 0
    while any(process.poll() is None for process in started):
        for number in stopped[sent:]:
            sent += 1
            for process in started:
                process.send_signal(number)  # to one that has ended it does nothing
        time.sleep(LOOK)


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
