"""Text of strangers in the terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return a text without signs that move a terminal's cursor or that it cannot write."""
    safe = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return safe.encode("utf-8", "backslashreplace").decode()
