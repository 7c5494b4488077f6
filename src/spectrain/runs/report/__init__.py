"""The page that explains a run, or lays several side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...core.atomic import atomic_write
from ...core.damage import reading
from ...core.errors import RunError


def write_report(folders: Sequence[Path | str], out: Path | str | None = None) -> Path:
    """Write one self-contained HTML page: numbers, curves, pictures, tests, configuration, environment.

    The page needs no network and no other file. A run that has no epoch yet gets a page that says so; a value that is
    not finite is a gap in its curve. Of several folders, one that holds no run is left out, and the page says why.

    Args:
        folders: one run folder or checkpoint, or several to compare.
        out: the file; by default `report.html` in the run folder, or in the folder that all of the runs lie in.

    Returns:
        The page's path.

    Raises:
        ValueError: no folder is given.
        RunError: of one folder, or of all but one, none holds a run; or the page cannot be written.
    """
    from .compared import compared_page
    from .page import run_page
    from .read_run import ReadRun

    if not folders:
        raise ValueError("no run folder is given")
    runs, left_out = [], []
    for folder in folders:
        try:
            runs.append(ReadRun.read(Path(folder)))
        except RunError as error:
            left_out.append(error)
    if len(runs) < 2 and left_out:  # nothing is left to compare, and the page would be that of the one run
        raise left_out[0]
    path = Path(out) if out else Path(os.path.commonpath([run.folder.absolute() for run in runs])) / "report.html"
    with reading(runs[0].folder, RunError, fix="see which file of the run was changed"):
        if len(folders) == 1:
            page = run_page(runs[0], path.parent)
        else:
            page = compared_page(runs, [f"Left out is {error.where}: {error.what}." for error in left_out])
    atomic_write(path, page)
    return path
