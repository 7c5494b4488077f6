"""The code blocks of a page, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the line on which it begins."""

    language: str
    text: str
    line: int


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of ``docs/PAGE``; of the root's ``../README.md`` likewise."""
    text = (DOCS / page).read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], text[: match.start()].count("\n") + 1) for match in found]


def commands(block: Block) -> list[str]:
    """Return the commands of a shell block, without comments."""
    lines = (line.split(" #")[0].strip() for line in block.text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pages() -> list[str]:
    """Return every page whose blocks are tested, as `blocks_of` takes it."""
    return [*sorted(path.name for path in DOCS.glob("*.md")), "../README.md", "../CONTRIBUTING.md"]
