"""Predicted against true values, and how far a predicted deviation is right, as figures without global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

BLUE, ORANGE, GREY = (0.0, 0.45, 0.70), (0.84, 0.37, 0.0), (0.45, 0.45, 0.45)
"""Told apart without colour vision (Okabe and Ito)."""
COUNTS = "magma_r"
_FAINT = 0.3  # where the colours of counts begin, so that a single label is seen on white
_DECADE = 8.0  # an axis of deviations that differ by more is logarithmic
_SIDE = 4.2
_LEFT, _RIGHT, _BELOW, _LINE = 0.85, 0.15, 0.5, 0.17
"""Inches: beside and below a panel for its numbers and their name, and a line of words above it."""


class Histogram(NamedTuple):
    """Labels by bins: K + 1 rising ``edges`` and K ``counts``."""

    edges: Sequence[float]
    counts: Sequence[float]


@dataclass(frozen=True)
class Joint:
    """Labels of a quantity by true and predicted value.

    Attributes:
        counts: [K+2,K+2], true values down, predicted ones across; the first and the last hold what lies beyond.
        limits: lowest and highest value of the K cells between.
        rmse: of all labels, as are ``bias`` and ``r2``; NaN where there is none.
        bias: mean of predicted less true value.
        r2: share of the variance that is explained.
    """

    counts: NDArray[np.float64]
    limits: tuple[float, float]
    rmse: float
    bias: float
    r2: float

    @property
    def beyond(self) -> float:
        """Share of the labels that cannot be drawn, because they or their predictions lie beyond the limits."""
        return float(1 - self.counts[1:-1, 1:-1].sum() / max(self.counts.sum(), 1))


@dataclass(frozen=True)
class Calibration:
    """How far the predicted deviation of a quantity is right.

    Attributes:
        sigma: predicted deviation of bins with about as many labels each, rising.
        rmse: error of the labels of each.
        spread: labels by predicted deviation.
        ence: expected normalised calibration error.
        sharpness: root of the mean predicted variance.
        z_rms: root mean square of errors over predicted deviations.
    """

    sigma: Sequence[float]
    rmse: Sequence[float]
    spread: Histogram
    ence: float
    sharpness: float
    z_rms: float


@dataclass(frozen=True)
class Retention:
    """Error of the surest labels, and of those with the least error: the share kept, rising to 1, and RMSE of each."""

    kept: Sequence[float]
    rmse: Sequence[float]
    best_kept: Sequence[float]
    best_rmse: Sequence[float]


def draw_joint(found: Mapping[str, Joint], unit: str | None = None) -> Figure:
    """Return predicted against true values, a panel a quantity by name: colours are counts, on a logarithmic scale."""
    figure, panels = _panels(found, lines=2, width=_SIDE + 0.7)
    for axes, joint in zip(panels, found.values(), strict=True):
        inner = joint.counts[1:-1, 1:-1].T
        low, high = joint.limits
        shown = axes.imshow(
            np.ma.masked_equal(inner, 0),
            origin="lower",
            extent=(low, high, low, high),
            norm=LogNorm(_FAINT, max(2.0, inner.max())),
            cmap=COUNTS,
            interpolation="nearest",
        )
        axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle="--")
        axes.set_xlabel("label" + _of(unit))
        axes.set_ylabel("predicted" + _of(unit))
        measure, count = f" {unit}" if unit else "", joint.counts.sum()
        beyond = f", {100 * joint.beyond:.2g} % of them beyond the axes" if joint.beyond > 0 else ""
        bias, r2 = (text.replace("-", "−") for text in (f"{joint.bias:+.3g}", f"{joint.r2:.3f}"))
        words = f"RMSE {joint.rmse:.3g}{measure}, bias {bias}{measure}, R² {r2}"
        _entitle(axes, f"{words}\n{count:,.0f} labels{beyond}")
        axes.grid(visible=False)
        bar = figure.colorbar(shown, ax=axes, shrink=0.8, label="labels")
        _logarithmic(bar.ax.yaxis, inner.max())
        bar.ax.set_ylim(0.9)
    return figure


def draw_calibration(found: Mapping[str, Calibration], unit: str | None = None) -> Figure:
    """Return error against predicted deviation over a histogram of the latter, a panel a quantity by name."""
    figure, grid = _panels(found, lines=1, rows=(3.0, 1.0), height=_SIDE + 0.8)
    for (upper, lower), one in zip(grid.T, found.values(), strict=True):
        edges, counts = np.array(one.spread.edges), np.array(one.spread.counts)
        share = counts.cumsum() / counts.sum()
        # bars of the outermost labels may lie far out
        ends = [edges[:-1][share >= 0.005][0], edges[1:][share >= 0.995][0], *one.sigma, *one.rmse]
        low, high = min(end for end in ends if end > 0), max(ends)
        log = high / low > _DECADE
        margin = (high / low) ** 0.05 if log else 0.05 * (high - low)
        low, high = (low / margin, high * margin) if log else (max(low - margin, 0), high + margin)
        upper.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle="--")
        upper.plot(one.sigma, one.rmse, color=BLUE, marker="o", markersize=4, linewidth=1)
        lower.stairs(counts, edges, fill=True, color=BLUE, alpha=0.35)
        lower.axvline(one.sharpness, color=ORANGE, linewidth=1.5)
        measure = f" {unit}" if unit else ""
        lower.set_title(f"sharpness {one.sharpness:.3g}{measure}", fontsize=8, color=ORANGE, loc="right", pad=2)
        _entitle(upper, f"ENCE {one.ence:.3f}, RMS of error over deviation {one.z_rms:.2f}")
        _say(upper, "too sure", 0.03, 0.97, "top", colour=GREY)
        _say(upper, "too unsure", 0.97, 0.03, "bottom", "right", GREY)
        for axes in (upper, lower):
            axes.set_xlim(low, high)
        upper.set_ylim(low, high)
        if log:
            upper.loglog()
            lower.semilogx()
            for axis in (upper.xaxis, upper.yaxis, lower.xaxis):
                _logarithmic(axis, high / low)
        upper.tick_params(labelbottom=False)
        upper.set_ylabel("RMSE" + _of(unit))
        lower.set_ylabel("labels")
        lower.set_xlabel("predicted deviation" + _of(unit))
    return figure


def draw_coverage(found: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Return the share of labels in intervals (``found``) against what it should be (``level``), by quantity."""
    figure, (axes,) = _panels({"": None})
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    for number, (name, curve) in enumerate(found.items()):
        colour = BLUE if len(found) == 1 else f"C{number % 10}"
        axes.plot(curve["level"], curve["found"], color=colour, marker="o", markersize=5, linewidth=1, label=name)
        for at, (level, held) in enumerate(zip(*curve.values(), strict=True)) if len(found) == 1 else ():
            right = at % 2  # the highest two levels are close together
            offset, side = ((5, -11), "left") if right else ((-5, 4), "right")
            axes.annotate(f"{100 * held:.0f}", (level, held), offset, textcoords="offset points", fontsize=8, ha=side)
    axes.set_xlim(0, 1.05)
    axes.set_ylim(0, 1.05)
    ticks = next(iter(found.values()))["level"]
    axes.set_xticks([0, 0.25, *ticks], ["0", "25", *(f"{100 * level:.0f}" for level in ticks)], fontsize=7)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axes.set_xlabel("share that the interval should hold [%]")
    axes.set_ylabel("share of labels that it holds [%]")
    _say(axes, "too unsure", 0.03, 0.97, "top", colour=GREY)
    _say(axes, "too sure", 0.97, 0.03, "bottom", "right", GREY)
    if len(found) > 1:
        axes.legend(fontsize=8, loc="center right")
    return figure


def draw_retention(found: Mapping[str, Retention], unit: str | None = None) -> Figure:
    """Return the error of the surest labels against the share kept, beside the best possible, a panel a quantity."""
    figure, panels = _panels(found)
    for axes, one in zip(panels, found.values(), strict=True):
        axes.plot(one.kept, one.rmse, color=BLUE, label="the surest kept")
        axes.plot(one.best_kept, one.best_rmse, color=ORANGE, linestyle="--", label="those of least error kept")
        axes.axhline(one.rmse[-1], color=GREY, linewidth=1, linestyle=":", label="kept at random")
        axes.set_xlim(0, 1)
        axes.set_ylim(0)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
        axes.set_xlabel("share of labels kept [%]")
        axes.set_ylabel("RMSE of these" + _of(unit))
        axes.legend(fontsize=8)
    return figure


def _panels(
    found: Mapping[str, object],
    *,
    lines: int = 0,
    width: float = _SIDE,
    height: float = _SIDE - 0.2,
    rows: Sequence[float] = (),
) -> tuple[Figure, Any]:
    """Return a figure with a column a name: axes [Q], or [rows,Q] of the heights given.

    Margins are given and not matplotlib's to find, which would draw everything twice.

    Args:
        found: by name; a single one is not named above its panel.
        lines: of words above a panel besides.
        width: of a column in inches.
        height: of the figure in inches.
        rows: heights of the panels of a column in relation to each other.
    """
    several = len(found) > 1
    above = 0.15 + _LINE * (lines + several)
    panel = (width - _LEFT - _RIGHT, (height - above - _BELOW - _LINE * max(len(rows) - 1, 0)) / max(len(rows), 1))
    figure = Figure(figsize=(width * len(found), height), dpi=110)
    places = {
        "left": _LEFT / width / len(found),
        "right": 1 - _RIGHT / width / len(found),
        "bottom": _BELOW / height,
        "top": 1 - above / height,
        "wspace": (_LEFT + _RIGHT) / panel[0],
        "hspace": _LINE / panel[1],
        "height_ratios": rows or None,
    }
    grid: Any = figure.subplots(max(len(rows), 1), len(found), squeeze=False, gridspec_kw=places)
    for axes in grid.flat:
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes, name in zip(grid[0], found if several else (), strict=False):
        axes.set_title(name, fontsize=10, loc="left")
    return figure, grid if rows else grid[0]


def _logarithmic(axis: Any, ratio: float) -> None:
    """Write plain numbers beside a logarithmic axis: tens, between them 2 and 5 where they have room."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < 300 else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:,.6g}")


def _entitle(axes: Any, words: str) -> None:
    """Write numbers above a panel, below the name of its quantity where it has one."""
    name = axes.get_title("left")
    axes.set_title(f"{name}\n{words}" if name else words, fontsize=8, loc="left")


def _say(axes: Any, text: str, x: float, y: float, up: str, across: str = "left", colour: Any = "black") -> None:
    axes.text(
        x,
        y,
        text,
        transform=axes.transAxes,
        va=up,
        ha=across,
        fontsize=8,
        color=colour,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 2},
    )


def _of(unit: str | None) -> str:
    return f" [{unit}]" if unit else ""
