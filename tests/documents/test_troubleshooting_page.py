"""The page on troubleshooting quotes real messages: each is in the source, word for word, and is one that users meet."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from blocks import DOCS, ROOT

QUOTED = re.findall(r"^- `([^`]+)`", (DOCS / "troubleshooting.md").read_text(), flags=re.MULTILINE)
_GIVEN = re.compile(r"%(?:\.\d+)?[sdgf]")


def template(node: ast.expr) -> str | None:
    """Return the text of a literal, with … for what is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _GIVEN.sub("…", node.value).replace("%%", "%")
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        return re.sub("…+", "…", text)
    return None


@cache
def templates() -> tuple[str, ...]:
    """Return every text of the package that is no docstring."""
    found = []
    for path in sorted((ROOT / "src" / "spectrain").rglob("*.py")):
        tree = ast.parse(path.read_text())
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        found += [
            text
            for node in ast.walk(tree)
            if isinstance(node, ast.expr) and id(node) not in said | parts and (text := template(node))
        ]
    return tuple(found)


@pytest.mark.parametrize("message", QUOTED)
def test_the_message_is_in_the_source(message: str):
    assert any(message in text for text in templates()), "no text of the package says this any more"


def test_there_are_enough_and_none_twice():
    assert len(QUOTED) >= 40 and len(set(QUOTED)) == len(QUOTED)
