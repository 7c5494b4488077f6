"""The page on troubleshooting quotes real messages: each is in the source, word for word."""

from __future__ import annotations

import ast
import re

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


def test_the_messages_are_in_the_source():
    known = templates()
    gone = [message for message in QUOTED if not any(message in text for text in known)]
    assert not gone, "no text of the package says these any more"


def test_there_are_enough_and_none_twice():
    assert len(QUOTED) >= 40 and len(set(QUOTED)) == len(QUOTED)
