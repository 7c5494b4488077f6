"""The lines of a chart, and how many points of them a screen can show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scales import drawable

COLUMNS = 500  # about the pixels of a chart; each keeps its extremes

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One line.

    Attributes:
        label: what stands beside its end.
        x: [N], rising.
        y: [N]; NaN and infinity are gaps.
        look: CSS class: "train", "valid", "faint", or "run0" to "run7".
        run: its number where several runs are compared, so that it can be hidden.
    """

    label: str
    x: FloatArray
    y: FloatArray
    look: str
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart.

    Attributes:
        title: what is drawn.
        unit: of y, "" for none.
        x_title: what x is.
        lines: drawn in this order.
        stem: name of the value without its phase, "" for the rate and the speed.
        phase: "train" or "valid" where the lines are of one.
        zero: the y axis begins at zero.
        log: logarithmic y; None decides by the values.
        remark: what stands below it.
        best: x and y of the value that is best, where one is.
    """

    title: str
    unit: str
    x_title: str
    lines: tuple[Series, ...]
    stem: str = ""
    phase: str = ""
    zero: bool = False
    log: bool | None = None
    remark: str = ""
    best: tuple[float, float] | None = None


def thin(x: FloatArray, y: FloatArray, columns: int = COLUMNS) -> tuple[FloatArray, FloatArray]:
    """Return at most four points a column: the first, the last and both extremes, so that no spike is lost.

    Up to that many points nothing is left out. Points that are not drawable count only where a column has no others.
    """
    if x.size <= 4 * columns:
        return x, y
    edges = np.searchsorted(x, np.linspace(x[0], x[-1], columns + 1)[1:-1])
    keep: list[int] = []
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), x.size], strict=True):
        good = start + np.flatnonzero(drawable(y[start:stop]))
        if good.size:
            values = y[good]
            keep += sorted({int(good[0]), int(good[values.argmin()]), int(good[values.argmax()]), int(good[-1])})
        elif stop > start:
            keep.append(start)
    return x[keep], y[keep]
