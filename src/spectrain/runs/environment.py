"""What a result depends on besides configuration and data: versions, code, machine."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

PACKAGES = ("spectrain", "torch", "numpy", "h5py", "zarr", "hydra-core", "pandas", "matplotlib")
GIT_SECONDS = 5.0  # a repository on a slow network disk must not hold a training up


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that a training uses."""
    return dict(_versions())


@functools.cache  # a process keeps what it has imported, and looking takes as long as a page of a report
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the repository around ``folder``, and whether tracked files were changed since.

    Returns:
        ``{"commit": str, "dirty": bool | None}``; dirty is None where git took too long; None without git, without a
        repository or before the first commit.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def hardware() -> dict[str, Any]:
    """Return host, processor, usable cores, memory in bytes, and the names and memory of the GPUs."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory(),
        "gpus": _gpus(),
    }


def command() -> list[str]:
    """Return the command line of this process."""
    return list(sys.argv)


def _git(folder: Path, *arguments: str) -> str | None:
    # GIT_OPTIONAL_LOCKS: looking at a repository must not disturb what the user does in it at the same time
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _gpus() -> list[dict[str, Any]]:
    import torch

    if not torch.cuda.is_available():
        return []
    devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return [{"name": device.name, "memory_bytes": device.total_memory} for device in devices]
