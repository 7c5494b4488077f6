"""A sheet of segmented images, as one figure without global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import to_rgb
from .segmentation import MISSED, RIGHT, WRONG, coloured, compared, shades

_SIDE, _TITLE, _FOOT = 2.1, 0.35, 0.45
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
    size = (_SIDE * len(titles) + 0.9, _SIDE * max(1, len(samples)) + _TITLE + _FOOT)
    figure = Figure(figsize=size, dpi=dpi, layout="constrained")
    get_registered_canvas_class(save_format)(figure)
    if not samples:
        figure.text(0.5, 0.5, "no images", ha="center", va="center")
        return figure
    grid: Any = figure.subplots(len(samples), len(titles), squeeze=False)
    colours = shades(len(names))
    for line, sample in zip(grid, samples, strict=True):
        picture = to_rgb(sample.image, sample.valid, bands) ** _GAMMA
        third = compared(sample.y, sample.predicted, picture) if binary else coloured(sample.predicted, colours)
        line[0].imshow(picture, interpolation="nearest")
        line[1].imshow(coloured(sample.y, colours), interpolation="nearest")
        line[2].imshow(third, interpolation="nearest")
        shown = line[3].imshow(sample.probability, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        for axes in line:
            axes.axis("off")
        line[0].text(
            -0.06, 0.5, sample.name, transform=line[0].transAxes, rotation=90, va="center", ha="right", fontsize=9
        )
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    bar = figure.colorbar(shown, ax=list(grid[:, -1]), location="right", aspect=14 * len(samples), pad=0.03)
    bar.ax.tick_params(labelsize=8)
    if binary:
        handles = [Patch(color=c, label=n) for c, n in ((RIGHT, "right"), (WRONG, "wrong"), (MISSED, "missed"))]
    else:
        handles = [Patch(color=tuple(colours[at]), label=name) for at, name in enumerate(names[:_MOST_NAMED])]
    handles.append(Patch(color=(0.6, 0.6, 0.6), label="not labelled"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(7, len(handles)), fontsize=8, frameon=False)
    return figure
