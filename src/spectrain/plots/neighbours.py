"""An image and those whose embeddings are nearest to its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import robust_limits, shown_channels
from .sheet import Column, draw_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        bands: of the images.
        dpi: dots per inch.
    """
    everything = np.concatenate([query[None], images]), np.concatenate([query_valid[None], valid])
    words = ["query", *(f"cosine {cosine:.3f}" for cosine in cosines)]
    columns = [
        Column(f"{title}\n{word}", image[None], seen[None])
        for title, word, image, seen in zip(titles, words, *everything, strict=True)
    ]
    shown = shown_channels(query.shape[0], bands)
    limits = [robust_limits(everything[0][:, channel], everything[1][:, channel]) for channel in shown]
    return draw_columns(columns, [""], bands=bands, dpi=dpi, limits=limits)
