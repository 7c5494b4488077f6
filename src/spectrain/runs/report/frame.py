"""What the pages of runs, tests and sweeps share: jump links, sections, key numbers, tables that scroll."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..environment import versions
from ..info import now
from .document import document, part
from .html import Html, el

FEW = 3
"""Sections from which on there are links to them."""


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading of the second rank."""

    title: str
    content: Html


def framed(
    title: str, header: Html, sections: Iterable[Section | None], *, style: str = "", script: str | None = None
) -> str:
    """Return a whole page.

    Args:
        title: of the window.
        header: what stands first, with the heading of the first rank.
        sections: in order; None is left out.
        style: CSS after that of all reports.
        script: JavaScript; None is that of the reports.
    """
    there = [one for one in sections if one is not None]
    idents = _idents([one.title for one in there])
    links = [
        el("li", el("a", one.title, href=f"#{ident}")) for one, ident in zip(there, idents, strict=True)
    ]  # fmt: skip
    bodies = [
        el("section", el("h2", one.title, id=ident), one.content, aria_labelledby=ident)
        for one, ident in zip(there, idents, strict=True)
    ]
    return document(
        title,
        part("style.css") + style,
        part("script.js") if script is None else script,
        el("a", "Skip to the content", href="#content", class_="skip"),
        header,
        el("nav", el("ul", *links), aria_label="On this page", class_="jump") if len(there) >= FEW else Html(""),
        el("main", *bodies, id="content", tabindex="-1"),
        el("footer", el("p", f"Written {local_time(now())} by spectrain {versions().get('spectrain', '')}".strip())),
    )


def numbers(items: Iterable[tuple[str, str, str]]) -> Html:
    """Return name, value and remark of the numbers that one asks for first, as a list."""
    each = [
        el("div", el("dt", name), el("dd", value, el("span", remark, class_="remark") if remark else None))
        for name, value, remark in items
    ]
    return el("dl", *each, class_="numbers")


def scroll(table: Html, label: str, *, tall: bool = False) -> Html:
    """Let a wide or long table scroll by itself, by keyboard too."""
    return el("div", table, class_="scroll tall" if tall else "scroll", role="region", tabindex="0", aria_label=label)


def empty(text: str) -> Html:
    """Return a sentence in place of what there is not."""
    return el("p", text, class_="empty")


def local_time(stamp: object) -> str:
    """Return an ISO time as "2026-01-31 14:05 UTC"; what is none as it is."""
    try:
        return datetime.fromisoformat(str(stamp)).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return str(stamp)


def _idents(titles: list[str]) -> list[str]:
    """Return a name for each link, no two alike."""
    found: list[str] = []
    for title in titles:
        ident = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
        found.append(ident if ident not in (*found, "content") else f"{ident}-{len(found)}")
    return found
