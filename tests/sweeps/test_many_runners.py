"""Several runners of one command end together, however that comes about: none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from spectrain.sweeps import many
from spectrain.sweeps.many import Child, run_children

CHILDREN = [Child(name, []) for name in ("first", "second", "third")]


@pytest.fixture
def started(monkeypatch):
    """Processes that last, in the place of runners; a function of a name may do something while one is started."""
    found, meanwhile = [], []

    def start(child, environment):
        for one in meanwhile:
            one(child.name)
        process = subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE, text=True, start_new_session=True)
        found.append(process)
        return process

    monkeypatch.setattr(many, "_start", start)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield found, meanwhile
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    for process in found:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_they_are_started_reaches_those_that_run(started, number):
    found, meanwhile = started
    meanwhile.append(lambda name: name == "second" and os.kill(os.getpid(), number))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # the test must outlive it
    try:
        with pytest.raises(KeyboardInterrupt):
            run_children(CHILDREN, {})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [process.poll() for process in found] == [-number, -number]


def test_one_that_cannot_be_started_stops_the_others(started):
    found, meanwhile = started

    def fail(name):
        if name == "third":
            raise OSError("no memory for another process")

    meanwhile.append(fail)
    with pytest.raises(OSError, match="no memory"):
        run_children(CHILDREN, {})
    assert [process.poll() for process in found] == [-signal.SIGTERM] * 2


def test_what_they_say_is_passed_on_and_failures_are_counted(monkeypatch, capfd):
    def start(child, environment):
        code = f"print({child.name!r}, 'says'); raise SystemExit({int(child.name == 'second')})"
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(many, "_start", start)
    assert run_children(CHILDREN, {}) == 1
    assert "[third] third says" in capfd.readouterr().err
