"""Blocks of code that a page takes from a file, word for word: ``<!-- from FILE: NAME NAME -->`` and a block below it.

Run ``python docs/sphinx/examples.py`` after a change of the file: the blocks of all pages are written again. The pages
stay plain Markdown, and what they show is what the tests run.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"(<!-- from (?P<file>\S+): (?P<names>[\w ]+) -->\n)```python\n.*?^```$", re.MULTILINE | re.DOTALL)


def source_of(file: Path, names: list[str]) -> str:
    """Return the text of the classes and functions called ``names``, with their decorators, in the order asked for.

    The name ``imports`` stands for the imports at the top of the file.

    Raises:
        KeyError: the file has no such name at its top.
    """
    text = file.read_text(encoding="utf-8")
    lines, tree = text.splitlines(), ast.parse(text)
    taken = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {"imports": "\n".join(lines[taken[0].lineno - 1 : taken[-1].end_lineno])} if taken else {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return "\n\n\n".join(found[name] for name in names)


def renewed(text: str) -> str:
    """Return a page with its blocks as the files have them."""

    def block(match: re.Match[str]) -> str:
        code = source_of(ROOT / match["file"], match["names"].split())
        return f"{match[1]}```python\n{code}\n```"

    return _BLOCK.sub(block, text)


def pages() -> list[Path]:
    """Return the pages that take code from a file."""
    return [path for path in sorted((ROOT / "docs").glob("*.md")) if "<!-- from " in path.read_text(encoding="utf-8")]


if __name__ == "__main__":
    for page in pages():
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
