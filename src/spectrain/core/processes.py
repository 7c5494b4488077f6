"""Whether the process that began something is still there."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

UNKNOWN = "-"


@cache
def machine() -> str:
    """Return what a process id counts in: this boot of this machine, and the container; `UNKNOWN` if it is not told."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        inside = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no path
        return f"{boot}:{inside.strip('pid:[]')}"
    return UNKNOWN


def is_gone(process: Any) -> bool:
    """Say whether no process of this machine has this id; False where that cannot be told."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, TypeError, OverflowError):
        return True
    except OSError:  # another user's
        return False
    return False
