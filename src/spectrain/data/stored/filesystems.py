"""Which files lie on a network, where a mapped page can fail long after the file was opened."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

NETWORK_TYPES = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "davfs", "9p", "virtiofs"),
        *("lustre", "gpfs", "ceph", "beegfs", "glusterfs", "pvfs2", "orangefs", "panfs"),
    )
)
_MOUNTS = Path("/proc/self/mountinfo")


def is_network(path: Path) -> bool:
    """Return whether ``path`` lies on a network file system or behind FUSE; False where the system does not say."""
    kind = _type_of(os.path.realpath(path.parent))
    return kind in NETWORK_TYPES or kind.startswith("fuse.") or kind == "fuse"


@lru_cache(maxsize=256)
def _type_of(folder: str) -> str:
    """Return the type of the mount that holds ``folder``, "" where it is not known (not Linux)."""
    try:
        text = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    return longest_mount(text, folder)


def longest_mount(mountinfo: str, folder: str) -> str:
    """Return the file system type of the deepest mount point above ``folder``; of doubles the last one counts.

    Args:
        mountinfo: text in the format of ``/proc/self/mountinfo`` (see proc(5)).
        folder: an absolute path without symbolic links.
    """
    depth, found = -1, ""
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        if not dash or len(fields := before.split(" ")) < 5:
            continue
        point = _unescaped(fields[4])
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= depth:
            depth, found = len(point), after.split(" ")[0]
    return found


def _unescaped(field: str) -> str:
    """Undo the octal escapes that the kernel uses for blanks and backslashes."""
    for code in ("040", "011", "012", "134"):
        field = field.replace(f"\\{code}", chr(int(code, 8)))
    return field
