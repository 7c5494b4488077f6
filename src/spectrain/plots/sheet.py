"""A sheet of images: columns of related images of any number of bands, as one figure without global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import COLORMAP, Limits, robust_limits, shown_channels, to_rgb

_PER_LINE = 6
_INCHES = 1.9


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
    below the column. Missing pixels are striped grey. The figure is no pyplot figure: it need not be closed, and no
    display is needed.

    Args:
        columns: all with as many images as there are ``row_names``; none gives a figure that says so.
        row_names: what the images of a column are, from the top.
        bands: of the images, for true colours and the unit on the bar.
        dpi: dots per inch.
        save_format: "png", "pdf" or "svg": what ``savefig`` writes where the file's name does not say.
    """
    across, lines = min(len(columns), _PER_LINE), -(-len(columns) // _PER_LINE)
    has_bar = any(column.images.shape[1] < 3 for column in columns)
    line_height = _INCHES * len(row_names) + (0.8 if has_bar else 0.4)
    size = (_INCHES * max(across, 1) + 0.4, line_height * max(lines, 1))
    figure = Figure(figsize=size, dpi=dpi, layout="constrained")
    get_registered_canvas_class(save_format)(figure)
    if not columns:
        figure.text(0.5, 0.5, "no images", ha="center", va="center")
        return figure
    grid: Any = figure.subplots(lines * len(row_names), across, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for number, column in enumerate(columns):
        line, place = divmod(number, _PER_LINE)
        below = list(grid[line * len(row_names) : (line + 1) * len(row_names), place])
        _draw(figure, below, column, bands)
        if place == 0:
            for axes, name in zip(below, row_names, strict=True):
                axes.text(-0.06, 0.5, name, transform=axes.transAxes, rotation=90, va="center", ha="right", fontsize=8)
    return figure


def _draw(figure: Figure, below: list[Axes], column: Column, bands: Bands | None) -> None:
    shown = shown_channels(column.images.shape[1], bands)
    limits = [robust_limits(column.images[:, channel], column.valid[:, channel]) for channel in shown]
    for axes, image, valid in zip(below, column.images, column.valid, strict=True):
        axes.imshow(to_rgb(image, valid, bands, limits), interpolation="nearest")
    below[0].set_title(column.title, fontsize=8)
    if len(shown) == 1:
        _colour_bar(figure, below, limits[0], bands)


def _colour_bar(figure: Figure, below: list[Axes], limits: Limits, bands: Bands | None) -> None:
    """Draw the bar of the first band, with its name and unit where they are known."""
    bar = figure.colorbar(
        ScalarMappable(Normalize(*limits), COLORMAP), ax=below, location="bottom", shrink=0.9, aspect=14, pad=0.02
    )
    bar.ax.tick_params(labelsize=7)
    bar.ax.locator_params(nbins=4)
    if bands:
        bar.set_label(f"{bands[0].name} [{bands[0].unit}]" if bands[0].unit else bands[0].name, fontsize=7)
