"""Reads many hostile files in children that are forked from a process that has imported everything once.

A child reads one file after the other and says of each how it went. Where it dies or takes too long, that file is to
blame, and another child goes on behind it.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from spectrain.core.errors import SpectrainError

SECONDS, MEMORY, WAITED = 10.0, 1 << 30, 120.0
FINE, REFUSED, FOREIGN, DIED, HUNG = "fine", "refused", "foreign", "died", "hung"


@dataclass(frozen=True)
class Outcome:
    """How a file was read: ``text`` is the message, a traceback, or the signal; ``seconds`` is how long it took."""

    item: int
    kind: str
    text: str = ""
    seconds: float = 0.0


def outcome_of(item: int, work: Callable[[int], None]) -> Outcome:
    """Do the work on an item, whatever it raises."""
    start = time.monotonic()
    try:
        work(item)
        kind, text = FINE, ""
    except SpectrainError as error:
        kind, text = REFUSED, str(error)
    except BaseException:
        kind, text = FOREIGN, traceback.format_exc(limit=-12)
    return Outcome(item, kind, text[-6000:], time.monotonic() - start)


def outcomes(
    work: Callable[[int], None],
    items: Sequence[int],
    after_death: Callable[[int], None] = lambda item: None,
    *,
    seconds: float = SECONDS,
    memory: int = MEMORY,
) -> Iterator[Outcome]:
    """Yield how each item went, in order.

    Args:
        work: done on each item, in a child.
        items: numbers.
        after_death: called here with the item that a child died of, before another child goes on.
        seconds: of processor time that an item may take.
        memory: bytes that a child may take beyond what its parent has.
    """
    left = list(items)
    while left:
        for one in _in_one_child(work, list(left), seconds, memory):
            assert one.item == left.pop(0)
            if one.kind in (DIED, HUNG):
                after_death(one.item)
            yield one


def _in_one_child(work, items, seconds: float, memory: int) -> Iterator[Outcome]:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _serve(work, items, theirs, memory)
    os.close(theirs)
    done, held, hung, since, began = 0, b"", False, used(child), time.monotonic()
    while True:
        if not select.select([ours], [], [], 1.0)[0]:
            hung = used(child) - since > seconds or time.monotonic() - began > WAITED
            if not hung:
                continue
            os.kill(child, signal.SIGKILL)
            break
        part = os.read(ours, 1 << 16)
        if not part:
            break
        *lines, held = (held + part).split(b"\n")
        for line in lines:
            done, since, began = done + 1, used(child), time.monotonic()
            yield Outcome(**json.loads(line))
    os.close(ours)
    _, status = os.waitpid(child, 0)
    if done < len(items):
        text = (
            f"killed after {seconds:g} s of computing" if hung else f"by signal {os.WTERMSIG(status)}, status {status}"
        )
        yield Outcome(items[done], HUNG if hung else DIED, text)


def used(process: int) -> float:
    """Return the processor time of a process in seconds: a machine with much else to do is no reason to be hung."""
    fields = open(f"/proc/{process}/stat").read().rpartition(")")[2].split()  # noqa: PTH123, SIM115
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(work, items, pipe: int, memory: int) -> None:
    """Read in the child until all is read. It leaves without the parent's clean-up."""
    try:
        pages = int(open("/proc/self/statm").read().split()[0])  # noqa: PTH123, SIM115
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for item in items:
            line = json.dumps(outcome_of(item, work).__dict__).encode() + b"\n"
            while line:
                line = line[os.write(pipe, line) :]
    finally:
        os._exit(0)
