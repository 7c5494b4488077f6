"""`spectrain inspect`: an answer whatever is there, since what opens files is done by a child process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import DataError, RunError
from ..core.registry import registered
from .found import Inspection
from .guard import Guard, UnreadError
from .listing import RUN
from .survey import Survey, survey

DATA_SET_SECONDS = 120.0


def inspect(
    path: str | Path,
    split: Sequence[str] | None = None,
    output: str | Path | None = None,
    window: int | None = None,
    labels: str | Path | None = None,
) -> Inspection:
    """Say what a data set, a folder of one's own files or a run holds, what is doubtful, and how to go on.

    Args:
        path: what to look at.
        split: splits of a data set to look at; all where None.
        output: picture (PNG) of the first patches of a data set to write.
        window: side in px of the windows to cut the images of a data set into.
        labels: folder of the labels of a data set, where they lie apart.

    Returns:
        What was found; printing it gives the page that the command prints.

    Raises:
        DataError: nothing is there; a file is no data set; or, where any option is given, a folder is none.
        RunError: a run is not as it should be.
    """
    place = Path(path)
    names = None if split is None else list(split)
    if place.exists() and _of_plugin(place):  # which the child has not loaded
        from .data_set import inspect as inspect_data_set

        return inspect_data_set(place, names, output, window, labels)
    about: dict[str, Any] = {
        "split": names,
        "output": None if output is None else str(Path(output).absolute()),
        "window": window,
        "labels": None if labels is None else str(labels),
    }
    with Guard() as guard:
        try:
            known = guard.ask("data_set", DATA_SET_SECONDS, path=str(place), **about)
            if not _may_have_labels(place, known["json"]) or any(about.values()):
                return Inspection.from_json(known["json"])
            found = survey(place, guard)  # a reader takes images alone where labels lie in a folder of any name
            if any(label.family for project in found.projects for label in project.labels) and found.ways:
                return _of_folder(place, found)
            return Inspection.from_json(known["json"])
        except UnreadError as error:
            if error.of_run:
                raise RunError(error.what, where=error.where, fix=error.fix) from error
            if not place.exists() or _is_run(place) or any(about.values()):
                raise
            refused = error
        found = survey(place, guard)
        if place.is_file() and not found.ways and not found.lonely:
            raise DataError(refused.what, where=str(place), fix=refused.fix)
        return _of_folder(place, found)


def _of_folder(path: Path, found: Survey) -> Inspection:
    words = found.ways[0].commands[0] if found.ways else ()
    return Inspection(path, [], (), (), kind="folder of files", words=words, folder=found)


def _of_plugin(path: Path) -> bool:
    """Say whether a reader of a plugin that this process has loaded opens it."""
    try:
        return any(reader.recognises(path) for reader in registered("reader").values())
    except OSError:  # which the child says
        return False


def _is_run(path: Path) -> bool:
    try:
        return (path / RUN).exists()
    except OSError:  # no right to look into the folder, which the survey says
        return False


def _may_have_labels(path: Path, known: dict[str, Any]) -> bool:
    """Say whether labels may lie beside what a reader opened: it is a folder of rasters of which it found none."""
    return path.is_dir() and "GeoTIFF" in known["kind"] and not any(split["labels"] for split in known["splits"])
