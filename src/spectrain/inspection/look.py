"""`spectrain inspect`: an answer whatever is there, since what opens files is done by a child process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from .guard import Guard, UnreadError
from .page import text_of
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
            return Answer(guard.ask("data_set", DATA_SET_SECONDS, path=str(path), **about)["text"], True)
        except UnreadError as error:
            if not path.exists() or (path / "run.json").exists() or any(about.values()):
                raise
            refused = error
        found = survey(path, guard)
        if path.is_file() and not found.ways and not found.lonely:
            raise DataError(refused.what, where=str(path), fix=refused.fix)
        return Answer(text_of(path, found), found.usable)
