"""Reads one hostile file in a child, with time and memory limits."""

from __future__ import annotations

from collections.abc import Callable

from forked import REFUSED, Outcome, outcomes


def reads(work: Callable[[], object], seconds: float = 10.0, memory: int = 1 << 30) -> Outcome:
    """Return how it went: nothing that is read may take more computing or memory than this."""

    def one(item: int) -> None:
        work()

    return next(outcomes(one, [0], seconds=seconds, memory=memory))


def refused(work: Callable[[], object]) -> str:
    """Return the one clear message with which it is refused."""
    found = reads(work)
    assert found.kind == REFUSED, f"{found.kind}: {found.text}"
    return found.text
