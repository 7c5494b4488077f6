"""How much each parameter decides, beside what chance would give it."""

from __future__ import annotations

from ...runs.report.html import Html, el
from ...runs.report.scales import Scale
from ..importance import Importance
from .drawing import LETTER, NARROW, WIDE, Frame, Picture, short, text

ROW = 30


def bars(one: Importance) -> Picture | None:
    """Return the picture of an importance; None where nothing can be said."""
    if not one.shares:
        return None
    note = f"{one.remark} Left of the stroke it is no more than chance gives: where no parameter matters, one sweep of "
    note += "twenty has a bar beyond it. What parameters do only together is not in any bar."
    title = f"What decides {one.metric}"
    return Picture("importance", title, _drawn(one, WIDE), _drawn(one, NARROW), note)


def _drawn(one: Importance, width: int) -> Html:
    stacked = width == NARROW
    row = ROW + (16 if stacked else 0)
    left = 8.0 if stacked else min(max(len(name) for name in one.shares) * LETTER + 20, 330.0)
    frame = Frame(
        width, row * len(one.shares) + 34, f"importance for {one.metric}", left=left, right=64, top=4, bottom=30
    )
    top = max(*one.shares.values(), one.chance, 0.1)
    scale = Scale(0.0, top)
    frame.x_axis([(share, f"{100 * value:g} %") for value, share in _ticks(scale)], "", grid=True)
    for number, (name, share) in enumerate(one.shares.items()):
        y = frame.top + row * number + (18 if stacked else 4)
        look = "decides" if share > one.chance else "noise"
        label = short(name, int((width - 20 if stacked else left) / LETTER))
        frame.add(text(8, y - 4, label, "from") if stacked else text(left - 10, y + 15, label, "until"))
        end = frame.x(share / top)
        said = f"{name}: {100 * share:.0f} %, by chance up to {100 * one.chance:.0f} %"
        size = {"x": f"{left:.1f}", "y": f"{y:.1f}", "width": f"{max(end - left, 1):.1f}", "height": ROW - 10}
        frame.add(el("rect", el("title", said), class_=look, rx=2, **size))
        frame.add(text(width - 8, y + 15, f"{100 * share:.0f} %", "until strong"))
    mark = frame.x(one.chance / top)
    frame.add(el("path", el("title", "chance"), class_="mark", d=f"M{mark:.1f} {frame.top}V{frame.height - 30:.1f}"))
    return frame.svg()


def _ticks(scale: Scale) -> list[tuple[float, float]]:
    return [(value, value / scale.high) for value in scale.ticks(5) if value >= 0]
