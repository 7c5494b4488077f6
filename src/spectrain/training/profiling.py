"""A trace of a few steps, on request."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger("spectrain")

WAIT, WARMUP, ACTIVE = 1, 2, 3
"""Steps before the profiler is on, those that it warms up in, and those that are traced."""


class Profiler:
    """Counts the steps for `torch.profiler`; without one it does nothing."""

    def __init__(self, profile: Any = None) -> None:
        self._profile = profile

    def step(self) -> None:
        """Note that an optimiser step is done."""
        if self._profile is not None:
            self._profile.step()


@contextlib.contextmanager
def profiler(wanted: bool, folder: Path, steps: int) -> Iterator[Profiler]:
    """Write ``trace.json`` (for a browser's trace viewer) of three steps after three others to warm up.

    A shorter training warms up in less, and one of under three steps is traced whole. Where it ended before the first
    traced step, a warning says that there is no trace.

    Args:
        wanted: False traces nothing.
        folder: where the file goes.
        steps: optimiser steps that are to come.
    """
    if not wanted:
        yield Profiler()
        return
    if steps < 1:
        log.warning("general.profile=true writes no trace.json: no step is left to train")
        yield Profiler()
        return
    last = min(steps, WAIT + WARMUP + ACTIVE) - 1
    first = max(0, last + 1 - ACTIVE)
    path, written = folder / "trace.json", False

    def action(step: int) -> torch.profiler.ProfilerAction:
        if step > last or step < first - WARMUP:
            return torch.profiler.ProfilerAction.NONE
        if step < first:
            return torch.profiler.ProfilerAction.WARMUP
        return torch.profiler.ProfilerAction.RECORD if step < last else torch.profiler.ProfilerAction.RECORD_AND_SAVE

    def write(profile: torch.profiler.profile) -> None:
        nonlocal written
        profile.export_chrome_trace(str(path))
        written = True

    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(
        activities=activities,
        schedule=action,
        on_trace_ready=write,
        acc_events=True,
    ) as profile:
        yield Profiler(profile)
    if written:
        log.info("a trace of the training → %s", path)
    else:
        log.warning(
            "general.profile=true wrote no trace.json: the training ended before step %d, the first to be traced",
            first + 1,
        )
