"""A chart as inline SVG: it scales with the page, follows light and dark, and needs no script."""

from __future__ import annotations

import math

import numpy as np

from .html import Html, data_block, el
from .scales import Scale, fit, number
from .series import FloatArray, Panel, Series, thin

WIDTH, HEIGHT = 560.0, 280.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 92.0, 14.0, 40.0
LINE = 17.0  # height of a label


def chart(panel: Panel, name: str) -> Html:
    """Return a panel as a figure: title, lines labelled at their ends, axes with units, values for the pointer.

    Args:
        panel: what to draw; lines without any finite value are named as such.
        name: unique on the page.
    """
    lines = [Series(line.label, *thin(line.x, line.y), line.look) for line in panel.lines]
    x_axis = fit(_together([line.x for line in lines]), log=False, pad=0.0)
    y_axis = fit(_together([line.y for line in lines]), log=panel.log, zero=panel.zero)
    unit = f" ({panel.unit})" if panel.unit else ""
    drawn = [_line(line, x_axis, y_axis) for line in lines]
    data = {
        "x": [panel.x_title, x_axis.low, x_axis.high],
        "lines": [[line.label, _plain(line.x), _plain(line.y)] for line in lines],
        "plot": [LEFT / WIDTH, 1 - RIGHT / WIDTH],
    }
    svg = el(
        "svg",
        *_axes(x_axis, y_axis, panel.x_title),
        *drawn,
        *_labels(lines, y_axis),
        el("line", class_="cursor", y1=TOP, y2=HEIGHT - BOTTOM, x1=-9, x2=-9),
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=_spoken(panel, lines),
    )
    caption = el(
        "figcaption", el("strong", panel.title), unit, el("span", " log scale", class_="note") if y_axis.log else None
    )
    readout = el("output", class_="readout", for_=name)
    return el("figure", caption, svg, readout, data_block(data), class_="chart", id=name, tabindex=0)


def _together(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros(0)


def _plain(values: FloatArray) -> list[float | None]:
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]


def _places(axis: Scale, values: FloatArray, start: float, end: float) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return start + axis.position(values) * (end - start)


def _line(line: Series, x_axis: Scale, y_axis: Scale) -> Html:
    """Return the path of a line, broken where a value is missing; a lone point is a dot."""
    xs = _places(x_axis, line.x, LEFT, WIDTH - RIGHT)
    ys = _places(y_axis, line.y, HEIGHT - BOTTOM, TOP)
    good = np.isfinite(xs) & np.isfinite(ys)
    steps, dots, pen = [], [], "M"
    for place, (x, y, ok) in enumerate(zip(xs.tolist(), ys.tolist(), good.tolist(), strict=True)):
        if not ok:
            pen = "M"
            continue
        steps.append(f"{pen}{x:.1f} {y:.1f}")
        alone = pen == "M" and not (place + 1 < len(good) and good[place + 1])
        if alone:
            dots.append(el("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3))
        pen = "L"
    return el("g", el("path", d="".join(steps)), *dots, class_=f"line {line.look}")


def _labels(lines: list[Series], axis: Scale) -> list[Html]:
    """Return the names of the lines at their right ends, moved apart where they would overlap."""
    wanted = []
    for line in lines:
        finite = np.flatnonzero(np.isfinite(line.y))
        if finite.size and line.look != "faint":
            y = float(_places(axis, line.y[finite[-1:]], HEIGHT - BOTTOM, TOP)[0])
            wanted.append([y, line])
    wanted.sort(key=lambda item: item[0])
    placed: list[Html] = []
    above = -math.inf
    for y, line in wanted:
        y = max(y, above + LINE)
        above = y
        placed.append(el("text", line.label, x=WIDTH - RIGHT + 8, y=f"{y + 4:.1f}", class_=f"label {line.look}"))
    return placed


def _axes(x_axis: Scale, y_axis: Scale, x_title: str) -> list[Html]:
    """Return grid lines and ticks; the x axis counts things, so it has whole numbers where it can."""
    parts = []
    for share, text in y_axis.labels(4):
        y = HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
        if TOP - 1 <= y <= HEIGHT - BOTTOM + 1:
            parts.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
            parts.append(el("text", text, x=LEFT - 8, y=f"{y + 4:.1f}", class_="tick y"))
    for share, text in x_axis.labels(5):
        x = LEFT + share * (WIDTH - RIGHT - LEFT)
        parts.append(el("text", text, x=f"{x:.1f}", y=HEIGHT - BOTTOM + 18, class_="tick x"))
    parts.append(el("text", x_title, x=WIDTH - RIGHT, y=HEIGHT - 4, class_="tick y"))
    return parts


def _spoken(panel: Panel, lines: list[Series]) -> str:
    """Return what a screen reader says of the chart."""
    said = []
    for line in lines:
        finite = line.y[np.isfinite(line.y)]
        if finite.size and line.look != "faint":
            first, last, low = number(float(finite[0])), number(float(finite[-1])), number(float(finite.min()))
            said.append(f"{line.label} goes from {first} to {last}, lowest {low}")
    return f"{panel.title} by {panel.x_title}: " + ("; ".join(said) or "no values yet")
