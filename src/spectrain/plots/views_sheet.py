"""A sheet of columns of related images of any number of bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import first_band, robust_limits, shown_channels, to_rgb
from .sheet import Sheet, height_of, name_row

_PER_LINE = 6
_LEFT, _HEAD, _SIDE, _GAP, _BAR, _BARS = 0.3, 0.42, 1.9, 0.08, 0.1, 0.5
"""Inches: names of rows, words above, an image's width, between two, a bar's height, the bars with their words."""


@dataclass(frozen=True, slots=True)
class Column:
    """Images that belong together, one below the other, all by one stretch.

    Attributes:
        title: above the column.
        images: [V,C,H,W].
        valid: bool [V,C,H,W].
    """

    title: str
    images: NDArray[Any]
    valid: NDArray[np.bool_]


def draw_columns(
    columns: Sequence[Column],
    row_names: Sequence[str],
    *,
    bands: Bands | None = None,
    dpi: int = 100,
    save_format: str = "png",
) -> Figure:
    """Return a figure of columns of images, six to a line.

    Images of three bands and more are composites; of one or two it is the first band in a colour map, with its bar
    below the column. Missing pixels are striped grey.

    Args:
        columns: all with as many images as there are ``row_names``; none gives a figure that says so.
        row_names: what the images of a column are, from the top.
        bands: of the images, for true colours and the unit on the bar.
        dpi: dots per inch.
        save_format: "png", "pdf" or "svg": what ``savefig`` writes where the file's name does not say.
    """
    across, lines = min(len(columns), _PER_LINE), -(-len(columns) // _PER_LINE)
    has_bar = any(column.images.shape[1] < 3 for column in columns)
    side = height_of(columns[0].images, _SIDE) if columns else _SIDE
    line_height = _HEAD + (side + _GAP) * len(row_names) + (_BARS if has_bar else 0)
    sheet = Sheet(_LEFT + (_SIDE + _GAP) * max(across, 1), line_height * lines or 1.5, dpi=dpi, save_format=save_format)
    if not columns:
        return sheet.without_images()
    for number, column in enumerate(columns):
        line, place = divmod(number, _PER_LINE)
        left, top = _LEFT + place * (_SIDE + _GAP), line * line_height + _HEAD
        shown = shown_channels(column.images.shape[1], bands)
        limits = [robust_limits(column.images[:, channel], column.valid[:, channel]) for channel in shown]
        for row, (name, image, valid) in enumerate(zip(row_names, column.images, column.valid, strict=True)):
            colours = to_rgb(image, valid, bands, limits)
            axes = sheet.picture(left, top + row * (side + _GAP), _SIDE, side, colours)
            if row == 0:
                axes.set_title(column.title, fontsize=8)
            if place == 0:
                name_row(axes, name, size=8)
        if len(shown) == 1:
            below = top + len(row_names) * (side + _GAP)
            sheet.bar(left + 0.1, below, _SIDE - 0.2, _BAR, *first_band(limits[0], bands), size=7)
    return sheet.figure
