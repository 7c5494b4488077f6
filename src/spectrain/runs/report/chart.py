"""A chart as HTML with an inline SVG. Lines are stretched to the page, text is not, so it is readable on a phone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .html import Html, data_block, el, join
from .scales import Scale, drawable, fit, number
from .series import Panel, Series, thin

SIDE = 1000  # units of the drawing, in both directions
FEW = 40  # points up to which each is marked
MOST_VALUES = 6  # that stand above a chart while nobody points at it
MOST_LABELS = 12  # beside the lines' ends
LABEL_ROOM = 0.085  # share of the height that a label beside a line needs


def chart(panel: Panel, ident: str, *, heading: str = "h3", small: bool = False) -> Html:
    """Return the chart of a panel as a figure.

    A value that is not finite is a gap, and the figure says how many there are. The newest values stand above the
    chart; the page's script shows those under the pointer or the arrow keys instead, opens the chart large, and lists
    its values as a table.

    Args:
        panel: what is drawn.
        ident: of the figure, once a page.
        heading: the rank of its title.
        small: one of several in a row.
    """
    shown = [replace(line, x=x, y=y) for line in panel.lines for x, y in (thin(line.x, line.y),)]
    xs, ys = np.concatenate([line.x for line in shown]), np.concatenate([line.y for line in shown])
    x_axis = fit(xs, log=False, pad=0.0)
    y_axis = fit(ys, log=False if panel.zero else panel.log, zero=panel.zero)
    x_labels, y_labels = x_axis.labels(6, whole=True), y_axis.labels(5)
    title = el(
        heading,
        panel.title,
        el("span", f", {panel.unit}", class_="unit") if panel.unit else None,
        id=f"{ident}-title",
    )
    drawing = el(
        "svg",
        *(el("path", class_="grid", d=f"M0 {SIDE - y * SIDE:.1f}H{SIDE}") for y, _ in y_labels),
        *(_line(line, x_axis, y_axis) for line in shown),
        _best_mark(panel, x_axis, y_axis),
        viewBox=f"0 0 {SIDE} {SIDE}",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )
    plot = el(
        "div",
        el("div", *(_tick(text, "bottom", y) for y, text in y_labels), class_="y-ticks", aria_hidden="true"),
        el("div", drawing, el("div", class_="cross", hidden=True), class_="area"),
        el("div", *_end_labels(shown, y_axis), class_="ends", aria_hidden="true"),
        el("div", *(_tick(text, "left", x) for x, text in x_labels), class_="x-ticks", aria_hidden="true"),
        el("div", panel.x_title, class_="x-title", aria_hidden="true"),
        class_="plot",
        role="img",
        tabindex="0",
        aria_label=_spoken(panel),
    )
    values = el(
        "details",
        el("summary", "Values", el("span", f" of {panel.title}", class_="unseen")),
        el("p", _spoken(panel), class_="note"),
        class_="values-of",
    )
    return el(
        "figure",
        el("figcaption", title, el("p", *_newest(panel), class_="readout")),
        plot,
        _note(panel, y_axis),
        values,
        data_block(_numbers(panel, shown, x_axis)),
        class_="chart small" if small else "chart",
        aria_labelledby=f"{ident}-title",
    )


def _line(line: Series, x_axis: Scale, y_axis: Scale) -> Html:
    across = x_axis.position(line.x) * SIDE
    down = SIDE - y_axis.position(np.where(drawable(line.y), line.y, np.nan)) * SIDE
    path, dots, pen_down = [], [], False
    for at, (x, y) in enumerate(zip(across.tolist(), down.tolist(), strict=True)):
        if math.isnan(y):
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        alone = not pen_down and (at + 1 == down.size or math.isnan(down[at + 1]))
        if alone or (line.x.size <= FEW and line.look != "faint"):
            dots.append(f"M{x:.1f} {y:.1f}h0")  # a stroke without length and with round ends is a dot
        pen_down = True
    marks = el("path", class_=f"dots {line.look}", d="".join(dots), data_run=line.run) if dots else None
    return join(el("path", class_=f"line {line.look}", d="".join(path), data_run=line.run) if path else None, marks)


def _best_mark(panel: Panel, x_axis: Scale, y_axis: Scale) -> Html | None:
    if panel.best is None:
        return None
    across, up = (axis.position(np.array([value]))[0] for axis, value in zip((x_axis, y_axis), panel.best, strict=True))
    return el("path", class_="best-mark", d=f"M{across * SIDE:.1f} {SIDE - up * SIDE:.1f}h0")


def _end_labels(lines: list[Series], y_axis: Scale) -> list[Html]:
    """Return the lines' names beside their ends, moved apart where they would lie over each other."""
    ends: list[tuple[float, Series]] = []
    for line in lines:
        good = np.flatnonzero(drawable(line.y))
        if line.label and good.size:
            ends.append((float(y_axis.position(line.y[good[-1:]])[0]), line))
    ends.sort(key=lambda end: end[0])
    if len(ends) > MOST_LABELS:  # the list of runs above the charts names them
        return []
    places = apart([place for place, _ in ends], LABEL_ROOM)
    return [
        el(
            "span",
            line.label,
            class_=f"end {line.look}",
            style=f"bottom:{place:.1%}",
            title=line.label,
            data_run=line.run,
        )
        for place, (_, line) in zip(places, ends, strict=True)
    ]


def apart(places: list[float], room: float) -> list[float]:
    """Return rising places in 0 to 1 moved so that neighbours are ``room`` apart, as far as there is room for all."""
    room = min(room, 1.0 / max(len(places) - 1, 1))
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + room) if moved else place)
    for at in range(len(moved) - 1, -1, -1):  # what was pushed out at the top comes back and pushes those below
        moved[at] = min(moved[at], moved[at + 1] - room if at + 1 < len(moved) else 1.0)
    return moved


def _tick(text: str, side: str, place: float) -> Html:
    return el("span", text, style=f"{side}:{place:.2%}")


def _newest(panel: Panel) -> list[Html]:
    """Return what stands above the chart while nobody points at it: the last value of each line."""
    lines = [line for line in panel.lines if line.look != "faint"]
    if len(lines) > MOST_VALUES:
        return []
    values = [el("b", number(float(line.y[-1]))) for line in lines]
    return [
        el("span", f"{line.label} " if line.label else None, value, class_="value")
        for line, value in zip(lines, values, strict=True)
    ]


def _note(panel: Panel, y_axis: Scale) -> Html | None:
    gaps = sum(int((~drawable(line.y)).sum()) for line in panel.lines)
    notes = [f"best {number(panel.best[1])} in {panel.x_title} {panel.best[0]:g}"] if panel.best else []
    notes += [panel.remark] if panel.remark else []
    notes += ["logarithmic scale"] if y_axis.log else []
    if gaps:
        notes.append(f"{gaps:,} {'value is' if gaps == 1 else 'values are'} not finite and left out")
    return el("p", "; ".join(notes), class_="note") if notes else None


def _spoken(panel: Panel) -> str:
    """Return the chart in words: each line's last, smallest and largest value, and where these are."""
    of = panel.x_title.partition(",")[0]
    parts = [f"{panel.title}{f', {panel.unit},' if panel.unit else ''} over {panel.x_title}"]
    for line in panel.lines:
        good = np.flatnonzero(drawable(line.y))
        if line.look == "faint" or not good.size:
            continue
        y = line.y[good]
        said = [
            f"{what} {number(float(y[at]))} at {of} {number(float(line.x[good[at]]))}"
            for what, at in (("smallest", y.argmin()), ("largest", y.argmax()))
        ]
        values = f"last {number(float(y[-1]))}, {', '.join(said)}"
        parts.append(f"{line.label}: {values}" if line.label else values.capitalize())
    if panel.best:
        parts.append(f"Best: {number(panel.best[1])} at {of} {number(panel.best[0])}")
    return ". ".join(parts) + "."


def _numbers(panel: Panel, shown: list[Series], x_axis: Scale) -> dict[str, object]:
    """Return what the script needs to answer the pointer: where the points are, and their texts."""
    lines = [
        {
            "label": line.label,
            "run": line.run,
            "x": [float(f"{x:.7g}") for x in line.x.tolist()],
            "text": [number(y, 5) for y in line.y.tolist()],
        }
        for line in shown
    ]
    return {"x": panel.x_title, "low": x_axis.low, "high": x_axis.high, "lines": lines}
