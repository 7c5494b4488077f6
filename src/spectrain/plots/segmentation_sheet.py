"""A sheet of segmented images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import to_rgb
from .segmentation import MISSED, RIGHT, WRONG, coloured, compared, shades
from .sheet import Sheet, height_of, name_row

_LEFT, _HEAD, _SIDE, _GAP, _BAR, _BARS, _FOOT = 0.35, 0.35, 2.1, 0.08, 0.14, 0.5, 0.5
"""Inches: names of rows, words above, an image's width, between two, a bar's width, that with its numbers, legend."""
_GAMMA = 1 / 1.4  # forests and tundra are dark
_MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes:
        name: left of its row.
        image: [C,H,W].
        valid: bool [C,H,W].
        y: classes [H,W], 255 where nothing is known.
        predicted: classes [H,W].
        probability: [H,W], of class 1 of two, else of the class found.
    """

    name: str
    image: NDArray[Any]
    valid: NDArray[np.bool_]
    y: NDArray[Any]
    predicted: NDArray[Any]
    probability: NDArray[Any]


def draw_samples(
    samples: Sequence[Sample], bands: Bands | None, names: Sequence[str], *, dpi: int = 110, save_format: str = "png"
) -> Figure:
    """Return a figure with a row a sample; none gives a figure that says so.

    Args:
        samples: of one number of bands.
        bands: of the images, for true colours.
        names: of the classes.
        dpi: dots per inch.
        save_format: "png", "pdf" or "svg": what ``savefig`` writes where the file's name does not say.
    """
    binary = len(names) == 2
    titles = ["image", "labels", "found" if not binary else "right, wrong, missed"]
    titles.append(f"probability of {names[1]}" if binary else "probability of the class found")
    side = height_of(samples[0].y, _SIDE) if samples else _SIDE
    foot = _HEAD + len(samples) * (side + _GAP)
    sheet = Sheet(
        _LEFT + len(titles) * (_SIDE + _GAP) + _BARS, foot + _FOOT if samples else 1.5, dpi=dpi, save_format=save_format
    )
    if not samples:
        return sheet.without_images()
    colours = shades(len(names))
    sure = ScalarMappable(Normalize(0, 1), "viridis")
    for row, sample in enumerate(samples):
        picture = to_rgb(sample.image, sample.valid, bands) ** _GAMMA
        third = compared(sample.y, sample.predicted, picture) if binary else coloured(sample.predicted, colours)
        top = _HEAD + row * (side + _GAP)
        line = [
            sheet.picture(_LEFT + column * (_SIDE + _GAP), top, _SIDE, side, values)
            for column, values in enumerate((picture, coloured(sample.y, colours), third))
        ]
        left = _LEFT + len(line) * (_SIDE + _GAP)
        line.append(sheet.picture(left, top, _SIDE, side, sample.probability, norm=sure.norm, cmap=sure.cmap))
        name_row(line[0], sample.name)
        if row == 0:
            for axes, title in zip(line, titles, strict=True):
                axes.set_title(title, fontsize=10)
    sheet.bar(_LEFT + len(titles) * (_SIDE + _GAP), _HEAD, _BAR, foot - _GAP - _HEAD, sure, ticks=6)
    if binary:
        handles = [Patch(color=c, label=n) for c, n in ((RIGHT, "right"), (WRONG, "wrong"), (MISSED, "missed"))]
    else:
        handles = [Patch(color=tuple(colours[at]), label=name) for at, name in enumerate(names[:_MOST_NAMED])]
    handles.append(Patch(color=(0.6, 0.6, 0.6), label="not labelled"))
    sheet.figure.legend(handles=handles, loc="lower center", ncols=min(7, len(handles)), fontsize=8, frameon=False)
    return sheet.figure
