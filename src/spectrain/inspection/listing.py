"""The files below a folder, within bounds: how many names and how long, no loop of links twice."""

from __future__ import annotations

import stat
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

MOST, SECONDS = 200_000, 10.0
"""Names that are listed at most, and the time for it."""
ZARR = frozenset(("zarr.json", ".zgroup", ".zarray", ".zmetadata"))
"""A folder with one of these is a Zarr array or group, of which the chunks are not listed."""
RUN = "run.json"


@dataclass
class Listing:
    """What is below a folder; paths are relative to it, with forward slashes.

    Attributes:
        root: the folder.
        files: regular files, sorted.
        zarrs: Zarr arrays and groups, outermost.
        runs: run folders.
        closed: folders and files that may not be read.
        broken: links that lead nowhere, or round.
        special: what is no regular file: pipes, sockets, devices.
        empty: files without content, which are not in ``files``.
        whole: everything was listed.
    """

    root: Path
    files: list[str] = field(default_factory=list)
    zarrs: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    whole: bool = True

    def endings(self) -> list[tuple[str, int]]:
        """Return the endings of the files with their counts, the most frequent first."""
        found = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in self.files)
        return found.most_common()


def listed(root: Path, most: int = MOST, seconds: float = SECONDS) -> Listing:
    """Return what is below a folder, or the one file that is given in its place.

    Hidden files are left out. Links are followed, a folder is entered once.
    """
    if root.is_file():
        return Listing(root.parent, [root.name])
    found, until = Listing(root), time.monotonic() + seconds
    waiting: list[str] = [""]
    entered: set[tuple[int, int]] = set()
    while waiting:
        inner = waiting.pop()
        folder = root / inner
        try:
            about = folder.stat()
            names = sorted(one.name for one in folder.iterdir())
        except OSError:
            found.closed.append(inner or ".")
            continue
        if (about.st_dev, about.st_ino) in entered:
            continue
        entered.add((about.st_dev, about.st_ino))
        prefix = f"{inner}/" if inner else ""
        if inner and not ZARR.isdisjoint(names):
            found.zarrs.append(inner)
            continue
        if inner and RUN in names:
            found.runs.append(inner)
            continue
        folders: list[str] = []
        for name in names:
            if name.startswith("."):
                continue
            if len(found.files) >= most or time.monotonic() > until:
                found.whole = False
                waiting.clear()
                break
            _note(found, root, prefix + name, folders)
        if found.whole:
            waiting += reversed(folders)
    found.files.sort()
    return found


def _note(found: Listing, root: Path, path: str, folders: list[str]) -> None:
    """Put a name where it belongs."""
    try:
        about = (root / path).stat()
    except OSError:
        found.broken.append(path)
        return
    if stat.S_ISDIR(about.st_mode):
        folders.append(path)
    elif not stat.S_ISREG(about.st_mode):
        found.special.append(path)
    elif not about.st_size:
        found.empty.append(path)
    else:
        found.files.append(path)
