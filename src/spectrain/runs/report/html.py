"""Writes HTML in which every piece of text is escaped unless it is HTML itself."""

from __future__ import annotations

import html
import json
from typing import Any

VOID = {"meta", "link", "img", "input", "br"}


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def el(tag: str, *children: object, **attributes: object) -> Html:
    """Return an element.

    Args:
        tag: its name.
        children: `Html` as it is, other values as escaped text; None and "" are left out.
        attributes: ``class_`` for class, ``aria_label`` for aria-label; True is a bare attribute, None and False none.
    """
    words = [tag]
    for name, value in attributes.items():
        key = name.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            words.append(f'{key}="{html.escape(str(value), quote=True)}"')
    opening = f"<{' '.join(words)}>"
    return Html(opening if tag in VOID else f"{opening}{join(*children)}</{tag}>")


def join(*children: object) -> Html:
    """Return the children one after the other, text escaped."""
    texts = (child if isinstance(child, Html) else html.escape(str(child)) for child in children if child is not None)
    return Html("".join(texts))


def data_block(value: Any) -> Html:
    """Return a JSON block for the page's script; nothing in it can end the block or be run."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Html(f'<script type="application/json">{text.replace("<", chr(92) + "u003c")}</script>')
