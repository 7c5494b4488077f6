"""An image and those whose embeddings are nearest to its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import first_band, robust_limits, shown_channels, to_rgb
from .sheet import Sheet, height_of

_PER_LINE = 6
_HEAD, _SIDE, _GAP, _BAR, _BARS = 0.45, 1.9, 0.08, 0.12, 0.75
"""Inches: words above an image, its width, between two, a bar's width, that with its numbers and words."""


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
    shown_images = np.concatenate([query[None], images])
    shown_valid = np.concatenate([query_valid[None], valid])
    shown = shown_channels(query.shape[0], bands)
    limits = [robust_limits(shown_images[:, channel], shown_valid[:, channel]) for channel in shown]
    across, lines = min(len(titles), _PER_LINE), -(-len(titles) // _PER_LINE)
    has_bar = len(shown) == 1
    side = height_of(query, _SIDE)
    sheet = Sheet((_SIDE + _GAP) * across + _GAP + (_BARS if has_bar else 0), (_HEAD + side + _GAP) * lines, dpi=dpi)
    words = ["query", *(f"cosine {cosine:.3f}" for cosine in cosines)]
    for place, (title, word, image, seen) in enumerate(zip(titles, words, shown_images, shown_valid, strict=True)):
        line, column = divmod(place, _PER_LINE)
        left, top = _GAP + column * (_SIDE + _GAP), _HEAD + line * (_HEAD + side + _GAP)
        axes = sheet.picture(left, top, _SIDE, side, to_rgb(image, seen, bands, limits))
        axes.set_title(f"{title}\n{word}", fontsize=8)
    if has_bar:
        left = _GAP + across * (_SIDE + _GAP)
        sheet.bar(left, _HEAD, _BAR, side, *first_band(limits[0], bands), ticks=6, size=7)
    return sheet.figure
