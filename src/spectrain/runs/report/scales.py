"""Axes: where a value lies, and which round values to write beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DECADES_FOR_LOG = 2.0
SMALLEST, LARGEST = 1e-250, 1e250  # of numbers on an axis; beyond, its length would not be a number any more
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from ``low`` to ``high``; logarithmic ones need ``low > 0``."""

    low: float
    high: float
    log: bool = False

    def position(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where values lie, 0 at ``low`` and 1 at ``high``; NaN stays NaN."""
        low, high = self.low, self.high
        if self.log:
            values, low, high = np.log10(values), math.log10(low), math.log10(high)
        return (values - low) / (high - low)

    def ticks(self, about: int = 5, *, whole: bool = False) -> list[float]:
        """Return about so many round values on the axis; ``whole`` ones where the axis is linear and has any."""
        if self.log:
            return _log_ticks(self.low, self.high, about)
        ticks = _linear_ticks(self.low, self.high, about)
        return [tick for tick in ticks if tick == round(tick)] or ticks if whole else ticks

    def labels(self, about: int = 5, *, whole: bool = False) -> list[tuple[float, str]]:
        """Return the position (0 to 1) of each tick and its text."""
        ticks = self.ticks(about, whole=whole)
        where = self.position(np.array(ticks, dtype=np.float64))
        texts = [number(tick) for tick in ticks] if self.log else _linear_texts(ticks)
        return list(zip(where.tolist(), texts, strict=True))


def drawable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which values have a place on an axis: not NaN, not infinite, not absurdly large."""
    result: NDArray[np.bool_] = np.abs(values) <= LARGEST
    return result


def fit(values: NDArray[np.float64], *, log: bool | None = None, zero: bool = False, pad: float = 0.04) -> Scale:
    """Return an axis that holds all values.

    Args:
        values: any number of them; those that are not `drawable` do not count; none at all gives 0 to 1.
        log: logarithmic or not; None decides: yes where all are positive and span two decades.
        zero: begin at zero (not with ``log``).
        pad: share of the axis that is added at both ends.
    """
    values = values[drawable(values)]
    if not values.size:
        return Scale(0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if log is None:
        log = low >= SMALLEST and math.log10(high) - math.log10(low) >= DECADES_FOR_LOG
    if log and low >= SMALLEST:
        below, above = math.log10(low), math.log10(high)
        margin = pad * (above - below) or 0.5
        return Scale(10 ** (below - margin), 10 ** (above + margin), log=True)
    if zero:
        low = min(low, 0.0)
    margin = pad * (high - low) if high - low > abs(high) * 1e-12 else abs(low) * 0.1 or 1.0
    return Scale(low if zero and low == 0 else low - margin, high + margin)


def number(value: float, digits: int = 4) -> str:
    """Return a number for people: 0.0123, 12,300, 1.2×10⁻⁵; "NaN" and "∞" as such."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if -4 < exponent < 6:
        decimals = max(digits - 1 - exponent, 0)
        text = f"{value:,.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa = mantissa.rstrip("0").rstrip(".")
        power = f"10{str(exponent).translate(SUPERSCRIPT)}"
        text = power if mantissa == "1" else f"{mantissa}×{power}"
    return text.replace("-", "−")


def _linear_ticks(low: float, high: float, about: int) -> list[float]:
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _linear_texts(ticks: list[float]) -> list[str]:
    if len(ticks) < 2 or max(map(abs, ticks)) >= 1e6 or ticks[1] - ticks[0] < 1e-4:
        return [number(tick) for tick in ticks]
    step = ticks[1] - ticks[0]
    decimals = next(count for count in range(6) if abs(round(step, count) - step) < step * 1e-6)
    return [f"{tick:,.{decimals}f}".replace("-", "−") for tick in ticks]


def _log_ticks(low: float, high: float, about: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    decades = [10.0**power for power in range(first, last + 1, max(1, math.ceil((last - first + 1) / (about + 1))))]
    if len(decades) >= 3:
        return decades
    fine = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in (1, 2, 5)]
    inside = [tick for tick in fine if low <= tick <= high]
    return inside if len(inside) >= 2 else _linear_ticks(low, high, about)
