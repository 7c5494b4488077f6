"""The page that explains a run, or compares several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write_report(folders: Sequence[Path | str], output: Path | str | None = None) -> Path:
    """Write the report of a run, or one that compares several, and return its path.

    One HTML file without any outside resource. A run under way, without an epoch or with damaged curves has a report
    too, of what there is.

    Args:
        folders: run folders.
        output: the page; ``report.html`` in the first folder where None.

    Raises:
        RunError: no folder was given, one is no run, or the page cannot be written.
    """
    from ...core.errors import RunError
    from ..atomic import atomic_write
    from .page import page
    from .subject import Subject

    if not folders:
        raise RunError("no run was named", fix="give one or more run folders")
    subjects = [Subject.read(Path(folder)) for folder in folders]
    path = Path(output) if output is not None else subjects[0].folder / "report.html"
    atomic_write(path, page(subjects))
    return path
