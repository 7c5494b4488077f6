"""`spectrain inspect`: an answer whatever is there, since what opens files is done by a child process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from .guard import Guard, UnreadError
from .listing import RUN
from .page import plain, text_of
from .survey import survey

DATA_SET_SECONDS = 120.0


@dataclass(frozen=True)
class Answer:
    """What `spectrain inspect` says.

    Attributes:
        text: the page.
        usable: there is something to go on with.
    """

    text: str
    usable: bool


def look(
    path: Path,
    split: list[str] | None = None,
    output: Path | None = None,
    window: int | None = None,
    labels: Path | None = None,
) -> Answer:
    """Say what a data set, a folder of one's own files or a run holds; see `inspection`.

    Args:
        path: what to look at.
        split: splits of a data set to look at; all where None.
        output: picture of the first patches of a data set to write.
        window: side in px of the windows to cut the images of a data set into.
        labels: folder of the labels of a data set, where they lie apart.

    Raises:
        DataError: nothing is there; a file is no data set; or, where any option is given, a folder is none.
    """
    with Guard() as guard:
        about: dict[str, Any] = {
            "split": split,
            "output": None if output is None else str(output.absolute()),
            "window": window,
            "labels": None if labels is None else str(labels),
        }
        try:
            known = guard.ask("data_set", DATA_SET_SECONDS, path=str(path), **about)
            if not _may_have_labels(path, known["json"]) or any(about.values()):
                return Answer(_named(known["text"], path), True)
            found = survey(path, guard)  # a reader takes images alone where labels lie in a folder of any name
            if any(label.family for project in found.projects for label in project.labels) and found.ways:
                return Answer(text_of(path, found), True)
            return Answer(_named(known["text"], path), True)
        except UnreadError as error:
            if not path.exists() or _is_run(path) or any(about.values()):
                raise
            refused = error
        found = survey(path, guard)
        if path.is_file() and not found.ways and not found.lonely:
            raise DataError(refused.what, where=str(path), fix=refused.fix)
        return Answer(text_of(path, found), found.usable)


def _is_run(path: Path) -> bool:
    try:
        return (path / RUN).exists()
    except OSError:  # no right to look into the folder, which the survey says
        return False


def _may_have_labels(path: Path, known: dict[str, Any]) -> bool:
    """Say whether labels may lie beside what a reader opened: it is a folder of rasters of which it found none."""
    return path.is_dir() and "GeoTIFF" in known["kind"] and not any(split["labels"] for split in known["splits"])


def _named(text: str, path: Path) -> str:
    return text.replace(str(path), plain(str(path)), 1)
