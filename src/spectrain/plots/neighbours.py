"""An image and those whose embeddings are nearest to its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import COLORMAP, robust_limits, shown_channels, to_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PER_LINE = 6
_SIDE, _TITLE, _BAR = 1.9, 0.5, 0.9
"""Inches: an image's longer side, the words above it, the bar at the right."""


def draw_neighbours(
    query: NDArray[Any],
    query_valid: NDArray[np.bool_],
    images: NDArray[Any],
    valid: NDArray[np.bool_],
    cosines: Sequence[float],
    *,
    titles: Sequence[str],
    bands: Bands | None = None,
    dpi: int = 150,
) -> Figure:
    """Return a figure of the query and its neighbours, six to a line, all by one stretch so that they compare.

    Args:
        query: [C,H,W].
        query_valid: bool [C,H,W].
        images: [K,C,H,W], the nearest first; none gives the query alone.
        valid: bool [K,C,H,W].
        cosines: K of them.
        titles: K + 1 names, the query's first.
        bands: of the images, for true colours and the unit on the bar.
        dpi: dots per inch.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    shown_images = np.concatenate([query[None], images])
    shown_valid = np.concatenate([query_valid[None], valid])
    shown = shown_channels(query.shape[0], bands)
    limits = [robust_limits(shown_images[:, channel], shown_valid[:, channel]) for channel in shown]
    across, lines = min(len(titles), _PER_LINE), -(-len(titles) // _PER_LINE)
    has_bar = len(shown) == 1
    size = (_SIDE * across + (_BAR if has_bar else 0), (_SIDE + _TITLE) * lines)
    figure = Figure(figsize=size, dpi=dpi, layout="constrained")
    grid: Any = figure.subplots(lines, across, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    words = ["query", *(f"cosine {cosine:.3f}" for cosine in cosines)]
    for axes, title, word, image, seen in zip(grid.flat, titles, words, shown_images, shown_valid, strict=False):
        axes.imshow(to_rgb(image, seen, bands, limits), interpolation="nearest")
        axes.set_title(f"{title}\n{word}", fontsize=8)
    if has_bar:
        bar = figure.colorbar(ScalarMappable(Normalize(*limits[0]), COLORMAP), ax=grid, shrink=0.9 / lines, aspect=18)
        bar.ax.tick_params(labelsize=7)
        if bands:
            bar.set_label(f"{bands[0].name} [{bands[0].unit}]" if bands[0].unit else bands[0].name, fontsize=7)
    return figure
