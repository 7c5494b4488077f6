"""A child process whose libraries crash, hang or take all memory on files that are named so."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Any

from spectrain.inspection import child, probes


def raster(path: str) -> dict[str, Any]:
    """Do what the file's name says, else look at it."""
    name = Path(path).name
    if "crash" in name:
        ctypes.string_at(0)
    if "hang" in name:
        time.sleep(600)
    if "memory" in name:
        return {"bands": len(bytearray(1 << 40))}
    return probes.raster(path)


if __name__ == "__main__":
    child.ASKED["raster"] = raster
    child.main()
