"""A sheet of reconstructions: rows of pictures, errors by band and mean spectra, as one figure without global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..core.bands import Bands
from .images import first_band, robust_limits, shown_channels, to_rgb
from .sheet import LETTER, Sheet, height_of, name_row

_SIDE, _SPACE, _ROW = 2.0, 0.08, 1.2
"""Inches: an image's side, the space between two, and the least height of a row, which its plots need."""
_PLOT, _NUMBERS, _BAR = 2.3, 0.75, 0.85
"""Inches: a plot's width, that of the numbers at its left, and that of a colour bar with its words."""
_NAME, _TITLE, _FOOT = 0.3, 0.35, 0.5
_LETTER, _LINE = 9 * LETTER, 0.2
"""Inches: the words at the left of, above and below all rows; a letter of these, and a line of them."""
_MASKED = 0.5
_INPUT, _OUTPUT = "black", "tab:orange"
_GAP = 3.0  # times the usual step between bands
_NAMED = 16  # most bands whose names stand below an axis


@dataclass(frozen=True, slots=True)
class Row:
    """One sample.

    Attributes:
        name: left of the row.
        original: [C,H,W]; may be NaN where not valid.
        composed: [C,H,W], the reconstruction with what was seen in its place; may be NaN where not valid.
        valid: bool [C,H,W].
        masked: bool [C,H,W], the values that the model did not see.
        rgb: a picture [H',W',3] of the same place, uint8 or 0 to 1, or None.
    """

    name: str
    original: NDArray[Any]
    composed: NDArray[Any]
    valid: NDArray[np.bool_]
    masked: NDArray[np.bool_]
    rgb: NDArray[Any] | None = None


def draw_rows(rows: Sequence[Row], bands: Bands, *, dpi: int = 150, save_format: str = "png") -> Figure:
    """Return a figure with a row a sample.

    Images of three bands and more are composites; of one or two it is the first band in a colour map, with its bar at
    the right. A sample's original, input and reconstruction have one stretch, that of the original. In the
    input a masked band is black, so that a pixel has the colour of the bands that are visible there, and plain grey
    where none of those shown is. Missing pixels are striped grey everywhere, and so are those of the reconstruction
    where the model gave no number. The plots leave out what is missing, and say so where nothing
    is masked. The figure is no pyplot figure: it need not be closed, and no display is needed.

    Args:
        rows: none gives a figure that says so.
        bands: of all images; their wavelengths give true colours and the axis of the plots.
        dpi: dots per inch.
        save_format: "png", "pdf" or "svg": what ``savefig`` writes where the file's name does not say.
    """
    titles = ["RGB"] if any(row.rgb is not None for row in rows) else []
    titles += ["original", "masked input", "reconstruction"]
    axis = _BandAxis(bands)
    high = max([_ROW, *(height_of(row.original, _SIDE) for row in rows)])
    images = len(titles) * (_SIDE + _SPACE)
    beside = _NAME + images + (_BAR if len(bands) < 3 else 0)
    # a unit may have more words than there is room for beside a row
    words = [wrap(f"{name}{axis.unit}", int(high / _LETTER)) for name in ("RMSE", "value")]
    numbers = _NUMBERS + _LINE * (max(map(len, words)) - 1)
    plots = [beside + number * (numbers + _PLOT) + numbers for number in range(2)]
    sheet = Sheet(
        plots[-1] + _PLOT + 0.15, _TITLE + high * max(1, len(rows)) + axis.foot, dpi=dpi, save_format=save_format
    )
    if not rows:
        return sheet.without_images()
    for number, row in enumerate(rows):
        top, last = _TITLE + number * high, number == len(rows) - 1
        shown = _draw_images(sheet, row, bands, top, high - _SPACE, "RGB" in titles)
        error, spectra = (sheet.axes(left, top, _PLOT, high - 2 * _SPACE) for left in plots)
        _draw_error(error, row, axis)
        _draw_spectra(spectra, row, axis)
        for axes, lines in zip((error, spectra), words, strict=True):
            axes.set_ylabel("\n".join(lines), fontsize=9)
            axes.yaxis.set_label_coords(-(_NUMBERS - 0.2) / _PLOT, 0.5)
            axis.dress(axes, last=last)
        if number == 0:
            names = [*titles, "error of masked values", "mean of masked pixels"]
            for axes, title in zip([*shown, error, spectra], names, strict=True):
                axes.set_title(title, fontsize=10)
            spectra.legend(fontsize=8, loc="best", framealpha=0.7, borderpad=0.3)
    return sheet.figure


def _draw_images(sheet: Sheet, row: Row, bands: Bands, top: float, high: float, with_rgb: bool) -> list[Axes]:
    """Draw the images of a row, each in a place ``high`` inches high; return their axes."""
    shown = list(shown_channels(len(row.original), bands))
    limits = [robust_limits(row.original[channel], row.valid[channel]) for channel in shown]
    original = to_rgb(row.original, row.valid, bands, limits)
    pictures: list[NDArray[Any] | None] = [row.rgb] if with_rgb else []
    pictures += [
        original,
        _seen(original, row, shown),
        to_rgb(row.composed, row.valid & np.isfinite(row.composed), bands, limits),
    ]
    line = []
    for number, picture in enumerate(pictures):
        left = _NAME + number * (_SIDE + _SPACE)
        if picture is None:
            line.append(sheet.axes(left, top, _SIDE, high))
            line[-1].axis("off")
        else:
            line.append(sheet.picture(left, top, _SIDE, high, picture))
    name_row(line[0], row.name)
    if len(shown) == 1:
        scale, words = first_band(limits[0], bands)
        right = _NAME + len(line) * (_SIDE + _SPACE) + 0.02
        sheet.bar(right, top + 0.08 * high, 0.12, 0.84 * high, scale, words, ticks=5)
    return line


def _seen(original: NDArray[np.float32], row: Row, shown: Sequence[int]) -> NDArray[np.float32]:
    """Return the colours [H,W,3] without what is masked: bands shown that are masked are black, where all are grey."""
    masked = np.moveaxis(row.masked[shown], 0, -1)
    # a pixel that is missing stays striped, though it may be masked as well
    observed = np.logical_and.reduce(row.valid[shown])[..., np.newaxis]
    hidden = np.where(masked.all(axis=-1, keepdims=True), np.float32(_MASKED), np.float32(0))
    seen: NDArray[np.float32] = np.where(masked & observed, hidden, original)
    return seen


def _draw_error(axes: Axes, row: Row, axis: _BandAxis) -> None:
    """Draw the root of the mean squared error of each band over its masked values."""
    chosen = row.masked & row.valid
    error = _mean_by_band(np.subtract(row.composed, row.original, dtype=np.float64) ** 2, chosen) ** 0.5
    axis.line(axes, error, color=_OUTPUT)
    if np.isfinite(error).any():
        axes.set_ylim(0, 1.08 * float(np.max(error[np.isfinite(error)])) or 1.0)
    else:
        _say(axes, "not finite" if chosen.any() else "nothing masked")


def _draw_spectra(axes: Axes, row: Row, axis: _BandAxis) -> None:
    """Draw the mean of the original and the reconstruction over the valid values of pixels with a masked value."""
    chosen = row.valid & (row.masked & row.valid).any(axis=0)
    axis.line(axes, _mean_by_band(row.original, chosen), color=_INPUT, label="input", wide=True)
    axis.line(axes, _mean_by_band(row.composed, chosen), color=_OUTPUT, label="output")
    if not chosen.any():
        _say(axes, "nothing masked")


def _mean_by_band(values: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of the chosen values of each band, [C], in float64; NaN where there are none."""
    counts = chosen.sum(axis=(1, 2))
    sums = np.where(chosen, values, 0).sum(axis=(1, 2), dtype=np.float64)
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return means


def _say(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=9)
    axes.set_yticks([])


class _BandAxis:
    """Where the bands stand on an axis: at their wavelengths, else one after the other.

    Args:
        bands: with wavelengths of all, the axis is in nm, and wide gaps (clouded or absorbed bands that were left
            out, another detector) are not bridged by a line.
    """

    def __init__(self, bands: Bands) -> None:
        known = [band.wavelength for band in bands if band.wavelength is not None]
        self._spectral = len(known) == len(bands)
        self._bands = bands
        places = np.array(known if self._spectral else range(1, len(bands) + 1), dtype=np.float64)
        self._order = np.argsort(places, kind="stable")
        self._places = places[self._order]
        units = {band.unit for band in bands}
        unit = units.pop() if len(units) == 1 else None
        self.unit = f" [{unit}]" if unit and unit != "1" else ""
        self._named = not self._spectral and len(bands) <= _NAMED and bands != Bands.unnamed(len(bands))
        self._upright = self._named and (len(bands) > 4 or sum(map(len, bands.names)) * _LETTER > _PLOT)
        self.foot = max(_FOOT, 0.2 + _LETTER * max(map(len, bands.names))) if self._upright else _FOOT
        """Inches below the rows."""

    def line(self, axes: Axes, values: NDArray[np.float64], *, color: str, label: str = "", wide: bool = False) -> None:
        """Draw a value a band; bands that stand alone are points, and so are all where there are few."""
        breaks = self._breaks()
        places, ordered = np.insert(self._places, breaks, np.nan), np.insert(values[self._order], breaks, np.nan)
        missing = np.concatenate(([True], ~np.isfinite(ordered), [True]))
        alone = ~missing[1:-1] & missing[:-2] & missing[2:]
        shown = np.flatnonzero(~missing[1:-1] if len(values) <= _NAMED else alone).tolist()
        marks: dict[str, Any] = {"marker": "o", "markersize": 5 if wide else 3, "markevery": shown} if shown else {}
        axes.plot(places, ordered, color=color, label=label or None, linewidth=2.0 if wide else 1.3, **marks)

    def dress(self, axes: Axes, *, last: bool) -> None:
        """Set limits, ticks and words; only the last row has words below."""
        first, end = self._places[0], self._places[-1]
        margin = 0.04 * (end - first) or (20.0 if self._spectral else 0.5)
        axes.set_xlim(first - margin, end + margin)
        axes.tick_params(labelsize=8, labelbottom=last)
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.locator_params(axis="y", nbins=5)
        if self._named:
            axes.set_xticks(self._places, self._bands.names, rotation=90 if self._upright else 0)
        elif len(self._places) == 1:
            axes.set_xticks(self._places)
        elif not self._spectral:
            axes.locator_params(axis="x", integer=True, nbins=8)
        if last:
            axes.set_xlabel("wavelength [nm]" if self._spectral else "" if self._named else "band", fontsize=9)

    def _breaks(self) -> NDArray[np.intp]:
        """Return before which places the line is broken: where a step is several times the usual one."""
        steps = np.diff(self._places)
        if not self._spectral or not (steps > 0).any():
            return np.zeros(0, dtype=np.intp)
        return np.flatnonzero(steps > _GAP * np.median(steps[steps > 0])) + 1
