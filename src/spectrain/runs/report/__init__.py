"""The page that explains a run, or lays several side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...core.damage import reading
from ...core.errors import RunError
from ..atomic import atomic_write


def write_report(folders: Sequence[Path | str], out: Path | str | None = None) -> Path:
    """Write one self-contained HTML page: curves, pictures, metrics, configuration, environment.

    The page needs no network and no other file. A run that has no epoch yet gets a page that says so; a value that is
    not finite is a gap in its curve.

    Args:
        folders: one run folder, or several to compare.
        out: the file; by default `report.html` in the run folder, or in the folder that all of the runs lie in.

    Returns:
        The page's path.

    Raises:
        ValueError: no folder is given.
        RunError: a folder holds no run, or the page cannot be written.
    """
    from .page import compared_page, run_page
    from .subject import Subject

    if not folders:
        raise ValueError("no run folder is given")
    runs = [Subject.read(Path(folder)) for folder in folders]
    path = Path(out) if out else Path(os.path.commonpath([run.folder for run in runs])) / "report.html"
    with reading(runs[0].folder, RunError, fix="see which file of the run was changed"):
        page = run_page(runs[0]) if len(runs) == 1 else compared_page(runs)
    atomic_write(path, page)
    return path
