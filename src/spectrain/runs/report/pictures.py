"""The run's pictures, inside the page: a strip through the epochs, with a slider where the page's script runs."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .html import Html, el, join
from .panels import words
from .read_run import Picture, ReadRun

VIEWS = "A column a patch: below each other the views of it that are to be found alike."
SEEN = {
    "mae": (
        "Reconstructions",
        "A row a patch: what it is, what the model was shown of it, what it filled in, and how far that is off.",
    ),
    "contrastive": ("Views", VIEWS),
    "views": ("Views", VIEWS),
    "segmentation": (
        "Segmentation",
        "A row a patch: the image, its labels, what was found, and how surely. The colours are named at the foot.",
    ),
    "regression": (
        "Predictions",
        "A row a patch: the image, what was measured, what is predicted in the same colours, and how far that is off.",
    ),
    "map": (
        "Map",
        "What the model was given, what is known (part of it for training), and what it says of the whole scene.",
    ),
    "confusion": (
        "Predicted against true",
        "What is there against what was found of it; the best lies on the diagonal.",
    ),
    "roc": (
        "ROC curve",
        "True against false positives over all thresholds; chance is the diagonal, the best the corner.",
    ),
    "precision_recall": ("Precision against recall", "Over all thresholds; the best is the upper right corner."),
    "calibration": ("Error against predicted deviation", "On the diagonal, errors are as large as the model says."),
    "coverage": ("Coverage of intervals", "On the diagonal, intervals hold as many labels as they promise."),
    "retention": ("Error against the share kept", "How the error falls where the least sure predictions are left out."),
}
"""Stem of a picture's file -> its title, and what is to be seen on it."""
WIDE = 640
"""Pixels."""
MOST = 12  # of one name; more would make the page heavy
HEAVY = 2_500_000
"""Bytes of pictures of one run; of more, fewer epochs are shown."""


def pictures_of(run: ReadRun) -> Html | None:
    """Return the run's pictures, what the model made large and first; None where there are none.

    What was drawn once, at the end ("map"), goes before all.
    """
    made = str(run.option("task.name"))
    names = sorted(run.pictures, key=lambda name: (name != made, name))
    figures = [_single(path, name) for name, path in sorted(run.drawings.items())]
    chosen = {name: lighter(run.pictures[name], HEAVY // len(names)) for name in names}
    strips = [_strip(chosen[name], len(run.pictures[name])) for name in names]
    if not figures and not strips:
        return None
    first = 1 if names and names[0] == made else 0
    return join(*figures, *strips[:first], el("div", *strips[first:], class_="more") if strips[first:] else None)


def compared_pictures(runs: Sequence[ReadRun], labels: Sequence[str], *, alike: bool) -> Html | None:
    """Return the last picture of each name of each run, side by side; None where there are none.

    Args:
        runs: of one task.
        labels: what they are called.
        alike: all drew the same validation images.
    """
    made = str(runs[0].option("task.name"))
    names = sorted({name for run in runs for name in run.pictures}, key=lambda name: (name != made, name))
    whose = "Of the same images, as each run drew them last." if alike else "Of each run's own images, drawn last."
    figures, left = [], HEAVY
    for name in names:
        there = [
            (label, run.pictures[name][-1]) for run, label in zip(runs, labels, strict=True) if name in run.pictures
        ]
        sizes = np.cumsum([picture.path.stat().st_size for _, picture in there])
        shown = there[: max(int((sizes <= left).sum()), 2)]
        left -= int(sizes[len(shown) - 1])
        items = [_item(picture, f"{label}, epoch {picture.epoch}") for label, picture in shown]
        few = f" Those of the first {len(shown)} runs, as more would make the page heavy."
        note = whose + (few if len(shown) < len(there) else "")
        caption = _caption(name, note if len(there) > 1 else None)
        strip = el("ol", *items, class_="strip", tabindex="0", aria_label=f"{seen(name)[0]} of each run")
        figures.append(el("figure", caption, strip, class_="pictures"))
    return join(*figures) if figures else None


def _single(path: Path, name: str) -> Html:
    title, what = seen(name)
    return el("figure", _caption(name), _image(path, f"{title}. {what}".strip()), class_="pictures single")


def _strip(chosen: list[Picture], count: int) -> Html:
    name = chosen[0].name
    left_out = f"{len(chosen)} of {count} epochs, spread over the run" if len(chosen) < count else None
    slider = el(
        "label",
        el("span", "Epoch ", el("output", chosen[-1].epoch), class_="slider-text"),
        el(
            "input",
            type="range",
            min="0",
            max=len(chosen) - 1,
            value=len(chosen) - 1,
            step="1",
            aria_label=f"{seen(name)[0]}: epoch",
        ),
        class_="slider",
        hidden=True,
    )
    return el(
        "figure",
        _caption(name, left_out),
        slider if len(chosen) > 1 else None,
        el("ol", *(_item(picture, f"epoch {picture.epoch}") for picture in chosen), class_="strip"),
        class_="pictures",
    )


def _caption(name: str, more: str | None = None) -> Html:
    title, what = seen(name)
    return el("figcaption", el("h3", title), *(el("p", text, class_="note") for text in (what, more) if text))


def _item(picture: Picture, caption: str) -> Html:
    title, what = seen(picture.name)
    return item(picture.path, f"{title}, {caption}. {what}".strip(), caption, data_epoch=picture.epoch)


def item(path: Path, alt: str, caption: str, note: str = "", **attributes: object) -> Html:
    """Return a PNG file as an item of a list, of class "wide" where it is too wide to stand beside another."""
    with path.open("rb") as file:
        wide = int.from_bytes(file.read(20)[16:]) > WIDE  # where every PNG says its width
    below = el("span", caption, el("span", f". {note}", class_="remark") if note else None, class_="caption")
    return el("li", _image(path, alt), below, class_="wide" if wide else None, **attributes)


def _image(path: Path, alt: str) -> Html:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return el("img", src=f"data:image/png;base64,{data}", alt=alt, loading="lazy", decoding="async")


def seen(stem: str) -> tuple[str, str]:
    """Return title and meaning of a picture by its file's name: "segmentation_01" is as "segmentation" is."""
    name = re.sub(r"_\d+$", "", stem)
    return SEEN.get(name, (words(name), ""))


def lighter(pictures: list[Picture], most: int) -> list[Picture]:
    """Return as many of the pictures, evenly spread and the last among them, as have ``most`` bytes; one at least."""
    for count in range(min(MOST, len(pictures)), 1, -1):
        chosen = spread(pictures, count)
        if sum(picture.path.stat().st_size for picture in chosen) <= most:
            return chosen
    return pictures[-1:]


def spread(pictures: list[Picture], most: int = MOST) -> list[Picture]:
    """Return at most so many pictures, evenly spread, the first and the last among them."""
    if len(pictures) <= most:
        return pictures
    return [pictures[at] for at in np.linspace(0, len(pictures) - 1, most).round().astype(int).tolist()]
