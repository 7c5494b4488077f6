"""Work on which all processes depend: done by one for all, or by each, and the failure of one is the failure of all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist

from ...core.distributed import rank, world_size
from ...core.errors import ConfigError, RunError, SpectrainError

T = TypeVar("T")

PATIENCE = timedelta(days=2)
"""How long the others wait for the main process: a pass over a large archive takes longer than gradients may."""


def from_main(work: Callable[[], T]) -> T:
    """Return on every process what ``work`` returns on the main one, where alone it is called; a collective call.

    What comes out must be picklable. It goes through host memory, whatever the device.

    Raises:
        Exception: what ``work`` raised, on the main process as it was. On the others it is a `SpectrainError` of the
            same text, so that none waits for a process that is gone.
    """
    if world_size() == 1:
        return work()
    told: list[Any] = [None, None]
    raised: Exception | None = None
    with _host_group(PATIENCE) as group:
        if rank() == 0:
            try:
                told[0] = work()
            except Exception as error:
                raised, told[1] = error, _as_told(error)
        dist.broadcast_object_list(told, src=0, group=group)
    if raised is not None:
        raise raised
    if told[1] is not None:
        raise _from_told(told[1])
    found: T = told[0]
    return found


def on_each(work: Callable[[], T]) -> T:
    """Return what ``work`` returns on this process, once it succeeded on all; a collective call.

    Raises:
        Exception: what ``work`` raised, where it did; elsewhere a `SpectrainError` with the text of the first of these.
    """
    if world_size() == 1:
        return work()
    found: list[T] = []
    raised: Exception | None = None
    try:
        found.append(work())
    except Exception as error:
        raised = error
    told: list[Any] = [None] * world_size()
    with _host_group() as group:
        dist.all_gather_object(told, None if raised is None else _as_told(raised), group=group)
    if raised is not None:
        raise raised
    for other in told:
        if other is not None:
            raise _from_told(other)
    return found[0]


@contextlib.contextmanager
def _host_group(timeout: timedelta | None = None) -> Iterator[Any]:
    """Give a group of all processes that talks through host memory."""
    group = dist.new_group(backend="gloo", timeout=timeout)
    try:
        yield group
    finally:
        dist.destroy_process_group(group)


def _as_told(error: Exception) -> tuple[type[SpectrainError], str, str | None, str | None]:
    """Return an error as its parts: not every error can be pickled."""
    if isinstance(error, SpectrainError) and not isinstance(error, ConfigError):  # that one is made of other parts
        return type(error), error.what, error.where, error.fix
    return RunError, f"another process failed: {type(error).__name__}: {error}", None, None


def _from_told(told: tuple[type[SpectrainError], str, str | None, str | None]) -> SpectrainError:
    kind, what, where, fix = told
    return kind(what, where=where, fix=fix)
