"""A sheet of predicted maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import Limits, robust_limits, to_rgb
from .sheet import Sheet, height_of

VALUE, DEVIATION, ERROR = "viridis", "magma", "RdBu_r"
"""Colour maps: uniform to the eye and told apart without colour vision; that of errors is white at 0."""
MISSING = 0.72
"""Grey of what is not measured, and of what the image does not show."""
SPARSE = 0.25
"""Share of labelled pixels up to which they are dots."""
_ENOUGH = 30
_SIDE, _GAP, _HEAD, _BARS = 2.1, 0.1, 0.42, 0.62
"""Inches: an image's side, between two, the words above a quantity, the bars below it."""
_LEFT, _RIGHT, _BAR = 0.35, 0.15, 0.11


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of Q quantities, in the unit of the labels.

    Attributes:
        name: left of its row.
        image: [C,H,W].
        valid: bool [C,H,W].
        y: labels [Q,H,W], NaN where nothing was measured.
        mean: predicted [Q,H,W], NaN where nothing is.
        deviation: predicted standard deviation [Q,H,W], likewise; None where the model has none.
    """

    name: str
    image: NDArray[Any]
    valid: NDArray[np.bool_]
    y: NDArray[Any]
    mean: NDArray[Any]
    deviation: NDArray[Any] | None = None


def draw_samples(
    samples: Sequence[Sample],
    bands: Bands | None,
    names: Sequence[str],
    unit: str | None = None,
    *,
    dpi: int = 110,
    save_format: str = "png",
) -> Figure:
    """Return a figure with a row a sample, of several quantities a block of rows each; none says so.

    Args:
        samples: of one number of bands and one size.
        bands: of the images, for true colours.
        names: of the quantities.
        unit: of all of them, or None.
        dpi: dots per inch.
        save_format: "png", "pdf" or "svg": what ``savefig`` writes where the file's name does not say.
    """
    across = 5 if samples and samples[0].deviation is not None else 4
    width = _LEFT + across * _SIDE + (across - 1) * _GAP + _RIGHT
    side = height_of(samples[0].y, _SIDE) if samples else _SIDE
    block = _HEAD + len(samples) * (side + _GAP) + _BARS
    sheet = Sheet(width, block * len(names) if samples else 1.5, dpi=dpi, save_format=save_format)
    if not samples:
        return sheet.without_images()
    for number, name in enumerate(names):
        _Block(sheet, across, side, top=number * block).draw(samples, number, name, unit, bands, len(names) > 1)
    return sheet.figure


def value_limits(samples: Sequence[Sample], number: int) -> Limits:
    """Return where the colours of labels and predictions begin and end.

    It is by the labels drawn, so that wild predictions do not take their colours; where these are too few to tell, by
    the predictions too.
    """
    y = np.concatenate([sample.y[number].ravel() for sample in samples])
    mean = np.concatenate([sample.mean[number].ravel() for sample in samples])
    there = np.isfinite(y)
    limits = [robust_limits(y, there)] if there.any() else []
    if there.sum() < _ENOUGH and np.isfinite(mean).any():
        limits.append(robust_limits(mean, np.isfinite(mean)))
    low, high = zip(*(limits or [(0.0, 1.0)]), strict=True)
    return min(low), max(high)


def dot_points(count: int, shape: tuple[int, int], side: float) -> float:
    """Return the diameter in points of the dots of labelled pixels: never under a pixel, nor more than half the map.

    Args:
        count: labelled pixels.
        shape: height and width of the image in pixels.
        side: its width in inches.
    """
    pixel = side * 72 / shape[1]
    together = math.sqrt(0.5 * shape[0] * shape[1] / max(count, 1)) * pixel
    return max(pixel, min(6.5, together))


class _Block:
    """The rows of one quantity, placed in inches."""

    def __init__(self, sheet: Sheet, across: int, side: float, top: float) -> None:
        self.sheet, self.across, self.side, self.top = sheet, across, side, top

    def draw(
        self,
        samples: Sequence[Sample],
        number: int,
        name: str,
        unit: str | None,
        bands: Bands | None,
        several: bool,
    ) -> None:
        """Draw one quantity of all samples, with a colour bar for each kind of map."""
        errors = [sample.mean[number] - sample.y[number] for sample in samples]
        seen = np.abs(np.concatenate([error[np.isfinite(error)] for error in errors]))
        most = float(np.percentile(seen, 98)) if seen.size else 0.0
        value = _scale(VALUE, *value_limits(samples, number))
        error = _scale(ERROR, -(most or 1.0), most or 1.0)
        deviation = None
        titles = ["image", "labels", "predicted mean"]
        if samples[0].deviation is not None:
            spread = np.concatenate([sample.deviation[number].ravel() for sample in samples])  # type: ignore[index]
            deviation = _scale(DEVIATION, *robust_limits(spread, np.isfinite(spread)))
            titles.append("predicted deviation")
        titles.append("error at the labels")
        for row, (sample, off) in enumerate(zip(samples, errors, strict=True)):
            down = self.top + _HEAD + row * (self.side + _GAP)
            grid = [
                self.sheet.axes(_LEFT + column * (_SIDE + _GAP), down, _SIDE, self.side)
                for column in range(self.across)
            ]
            grid[0].imshow(to_rgb(sample.image, sample.valid, bands), interpolation="nearest")
            _labels(grid[1], sample.y[number], value)
            _map(grid[2], sample.mean[number], value)
            if deviation is not None and sample.deviation is not None:
                _map(grid[3], sample.deviation[number], deviation)
            _labels(grid[-1], off, error)
            for axes, title in zip(grid, titles, strict=True):
                axes.set_xticks([])
                axes.set_yticks([])
                for spine in axes.spines.values():
                    spine.set_visible(False)
                if row == 0:
                    axes.set_title(title if title != "labels" or not several else f"labels: {name}", fontsize=10)
            grid[0].set_ylabel(sample.name, fontsize=9)
        of_unit = f" [{unit}]" if unit else ""
        down = _HEAD + len(samples) * (self.side + _GAP) + 0.02
        self._bar(1, down, value, f"{name}{of_unit}", columns=2)
        if deviation is not None:
            self._bar(3, down, deviation, f"standard deviation{of_unit}")
        self._bar(self.across - 1, down, error, f"predicted less label{of_unit}")

    def _bar(self, column: int, down: float, scale: ScalarMappable, label: str, columns: int = 1) -> None:
        left, width = _LEFT + column * (_SIDE + _GAP), columns * _SIDE + (columns - 1) * _GAP
        self.sheet.bar(left, self.top + down, width, _BAR, scale, label, ticks=4 * columns, extend="both")


def _scale(name: str, low: float, high: float) -> ScalarMappable:
    colours: Colormap = colormaps[name].with_extremes(bad=(MISSING,) * 3)
    return ScalarMappable(Normalize(low, high), colours)


def _map(axes: Any, values: NDArray[Any], scale: ScalarMappable) -> None:
    """Draw [H,W] pixel by pixel; NaN is grey."""
    axes.imshow(np.ma.masked_invalid(values), norm=scale.norm, cmap=scale.cmap, interpolation="nearest")


def _labels(axes: Any, values: NDArray[Any], scale: ScalarMappable) -> None:
    """Draw [H,W] with NaN where nothing was measured: pixel by pixel, or as dots where few were."""
    there = np.isfinite(values)
    if there.mean() > SPARSE:
        _map(axes, values, scale)
        return
    height, width = values.shape
    axes.imshow(np.full((height, width, 3), MISSING), interpolation="nearest")
    y, x = np.nonzero(there)
    size = dot_points(len(y), values.shape, _SIDE)
    axes.scatter(x, y, s=size**2, c=values[there], norm=scale.norm, cmap=scale.cmap, linewidths=0, clip_on=False)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
