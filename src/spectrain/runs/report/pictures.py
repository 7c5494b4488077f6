"""The run's pictures, inside the page: a strip through the epochs, with a slider where the page's script runs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .html import Html, el, join
from .panels import words
from .subject import Picture, Subject

TITLES = {
    "mae": "Reconstructions",
    "regression": "Predictions",
    "confusion": "Predicted against true",
    "calibration": "Error against predicted deviation",
    "coverage": "Coverage of intervals",
    "retention": "Error against the share kept",
}
"""What a task draws, where the file's name does not say it."""
WIDE = 640
"""Pixels."""
MOST = 12  # of one name; more would make the page heavy


def picture_sections(run: Subject) -> Html | None:
    """Return a figure for each name of picture, None where the run has no pictures."""
    names = sorted(run.pictures, key=lambda name: name != run.option("task.name"))  # what the model made comes first
    return join(*(_strip(run.pictures[name]) for name in names)) if names else None


def compared_pictures(runs: Sequence[Subject], labels: Sequence[str]) -> Html | None:
    """Return the last picture of each name of each run, side by side."""
    names = dict.fromkeys(name for run in runs for name in run.pictures)
    figures = []
    for name in names:
        shown = [
            (label, run.pictures[name][-1]) for run, label in zip(runs, labels, strict=True) if name in run.pictures
        ]
        items = [_item(picture, f"{label}, epoch {picture.epoch}") for label, picture in shown]
        figures.append(
            el("figure", el("figcaption", el("h3", title(name))), el("ol", *items, class_="strip"), class_="pictures")
        )
    return join(*figures) if figures else None


def _strip(pictures: list[Picture]) -> Html:
    chosen = spread(pictures)
    name = title(chosen[0].name)
    left_out = f"{len(chosen)} of {len(pictures)}, spread over the run" if len(chosen) < len(pictures) else None
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
            aria_label=f"{name}: epoch",
        ),
        class_="slider",
        hidden=True,
    )
    return el(
        "figure",
        el("figcaption", el("h3", name), el("p", left_out, class_="note") if left_out else None),
        slider if len(chosen) > 1 else None,
        el("ol", *(_item(picture, f"epoch {picture.epoch}") for picture in chosen), class_="strip"),
        class_="pictures",
    )


def _item(picture: Picture, caption: str) -> Html:
    return item(picture.path, f"{title(picture.name)}, {caption}", caption, data_epoch=picture.epoch)


def item(path: Path, alt: str, caption: str, **attributes: object) -> Html:
    """Return a PNG file as an item of a list, of class "wide" where it is too wide to stand beside another."""
    content = path.read_bytes()
    data = base64.b64encode(content).decode("ascii")
    wide = int.from_bytes(content[16:20]) > WIDE  # where every PNG says its width
    image = el("img", src=f"data:image/png;base64,{data}", alt=alt, loading="lazy", decoding="async")
    return el("li", image, el("span", caption, class_="caption"), class_="wide" if wide else None, **attributes)


def title(name: str) -> str:
    """Return what stands above the pictures of a name."""
    return TITLES.get(name, words(name))


def spread(pictures: list[Picture]) -> list[Picture]:
    """Return at most `MOST` pictures, evenly spread, the first and the last among them."""
    if len(pictures) <= MOST:
        return pictures
    return [pictures[at] for at in np.linspace(0, len(pictures) - 1, MOST).round().astype(int).tolist()]
