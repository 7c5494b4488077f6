"""A trace of a few steps, on request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch


class Profiler:
    """Counts the steps for `torch.profiler`; without one it does nothing."""

    def __init__(self, profile: Any = None) -> None:
        self._profile = profile

    def step(self) -> None:
        """Note that an optimiser step is done."""
        if self._profile is not None:
            self._profile.step()


@contextlib.contextmanager
def profiler(wanted: bool, folder: Path) -> Iterator[Profiler]:
    """Write ``trace.json`` (for a browser's trace viewer) of three steps after three others to warm up."""
    if not wanted:
        yield Profiler()
        return
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(
        activities=activities,
        schedule=torch.profiler.schedule(wait=1, warmup=2, active=3, repeat=1),
        on_trace_ready=lambda profile: profile.export_chrome_trace(str(folder / "trace.json")),
        acc_events=True,
    ) as profile:
        yield Profiler(profile)
