"""What all pictures of a sweep are drawn with: a frame with axes, and marks in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...runs.report.html import Html, el
from ...runs.report.scales import Scale

WIDE, NARROW = 980, 360
"""Widths in px that pictures are drawn for, so that text has the same size on a page and on a phone."""
TONES = 7
"""Colours from the worst to the best."""
LETTER = 6.6
"""Width of a letter of a picture, about, in px."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of its file.
        title: what it shows.
        wide: SVG, `WIDE` px wide, or of its own width where it is small.
        narrow: SVG, `NARROW` px wide; None shows the other at any width.
        note: a sentence on how to read it.
        small: several of its kind stand side by side.
    """

    name: str
    title: str
    wide: Html
    narrow: Html | None = None
    note: str = ""
    small: bool = False


@dataclass
class Frame:
    """A drawing with a plane inside, whose positions are shares from 0 to 1, y upwards.

    Attributes:
        width: of the drawing in px.
        height: of the drawing in px.
        left: px beside the plane.
        right: px beside it.
        top: px above it.
        bottom: px below it.
        label: the picture in words.
    """

    width: float
    height: float
    label: str
    left: float = 62
    right: float = 16
    top: float = 12
    bottom: float = 44
    parts: list[Html] = field(default_factory=list)

    def x(self, share: float) -> float:
        """Return px from the left."""
        return self.left + share * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        """Return px from the top."""
        return self.top + (1 - share) * (self.height - self.top - self.bottom)

    def add(self, *parts: Html | None) -> None:
        """Draw further parts over those before."""
        self.parts += [part for part in parts if part is not None]

    def x_axis(self, labels: Sequence[tuple[float, str]], title: str, *, grid: bool = False) -> None:
        """Draw the labels below the plane and what they are of; a label that would touch the one before is left out."""
        base, end = self.height - self.bottom, -math.inf
        self.add(el("path", class_="axis", d=f"M{self.left:.1f} {base:.1f}H{self.width - self.right:.1f}"))
        for share, said in labels:
            at, half = self.x(share), len(said) * LETTER / 2
            if grid:
                self.add(el("path", class_="hair", d=f"M{at:.1f} {self.top}V{base:.1f}"))
            if at - half < end:
                continue
            end = at + half + 6
            self.add(text(at, base + 17, said, "about soft"))
        self.add(text(self.width - self.right, self.height - 6, title, "until soft"))

    def y_axis(self, labels: Sequence[tuple[float, str]]) -> None:
        """Draw the labels beside the plane, each with a hair line."""
        for share, said in labels:
            at = self.y(share)
            self.add(el("path", class_="hair", d=f"M{self.left:.1f} {at:.1f}H{self.width - self.right:.1f}"))
            self.add(text(self.left - 9, at + 4, said, "until soft"))

    def svg(self) -> Html:
        """Return the drawing."""
        return el(
            "svg",
            *self.parts,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            class_="picture",
            role="img",
            aria_label=self.label,
        )


def text(x: float, y: float, said: str, look: str = "") -> Html:
    """Return a line of text; ``look`` holds "from", "about" or "until", which is where it stands, and colours."""
    return el("text", said, x=f"{x:.1f}", y=f"{y:.1f}", class_=look)


def dot(x: float, y: float, look: str, said: str, trial: int | None = None, radius: float = 4.5) -> Html:
    """Return a dot that says something under the pointer; dots and lines of one trial light up together."""
    return el("circle", el("title", said), cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{radius:g}", class_=look, data_trial=trial)


def cross(x: float, y: float, said: str, trial: int | None = None, size: float = 4) -> Html:
    """Return the mark of what failed."""
    path = f"M{x - size:.1f} {y - size:.1f}l{2 * size} {2 * size}m{-2 * size} 0l{2 * size} {-2 * size}"
    return el("path", el("title", said), d=path, class_="failed", data_trial=trial)


def line(points: Sequence[tuple[float, float]], look: str, said: str = "", trial: int | None = None) -> Html:
    """Return a line through points in px."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return el("path", el("title", said) if said else None, d=path, class_=look, data_trial=trial)


def at(scale: Scale, value: float) -> float:
    """Return where a value lies, as a share."""
    return float(scale.position(np.array([value], dtype=np.float64))[0])


def short(said: str, letters: int) -> str:
    """Return text of so many letters at most."""
    return said if len(said) <= letters else said[: max(letters - 1, 1)] + "…"
