"""The order of the site's pages. A page that is not there is left out; one of docs/ that is not named comes last."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INDEX = "docs/index"

# caption -> pages, as paths from the root without their ending, each with its title in the menu where it needs another
ORDER: dict[str, dict[str, str | None]] = {
    "Begin": {
        "README": "Overview",
        "docs/inspect": None,
        "docs/concepts": None,
        "docs/coming-from": None,
        "examples/README": "Notebooks",
    },
    "Data": {"docs/data": None, "docs/prepare": None, "docs/native-format": None},
    "Tasks": {
        "docs/contrastive": None,
        "docs/mae": None,
        "docs/segmentation": None,
        "docs/regression": None,
    },
    "Results": {
        "docs/practice": None,
        "docs/predict": None,
        "docs/export": None,
        "docs/sweeps": None,
        "docs/several-machines": None,
    },
    "Reference": {
        "docs/options": None,
        "docs/python": None,
        "docs/troubleshooting": None,
        "docs/promises": None,
        "benchmarks/README": "Benchmarks",
        "benchmarks/peers/README": "Beside the peers",
        "src/spectrain/demos/README": "The demos' data",
    },
    "Inside": {
        "docs/architecture": None,
        "docs/internals": None,
        "docs/extending": None,
        "CONTRIBUTING": None,
        "CHANGELOG": None,
        "SECURITY": None,
        "docs/licences": None,
    },
    "More": {},
}


def is_there(page: str) -> bool:
    """Return whether the Markdown file of a page exists."""
    return (ROOT / f"{page}.md").is_file()


def pages() -> dict[str, dict[str, str | None]]:
    """Return caption -> pages that exist, those of docs/ that nobody placed under the last."""
    found = {
        caption: {page: title for page, title in named.items() if is_there(page)} for caption, named in ORDER.items()
    }
    placed = {INDEX, *(page for named in ORDER.values() for page in named)}
    others = sorted(f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md"))
    found["More"] |= {page: None for page in others if page not in placed}
    return {caption: named for caption, named in found.items() if named}


def toctrees() -> str:
    """Return the menu as MyST directives, one a caption, hidden in the page."""
    trees = []
    for caption, named in pages().items():
        lines = [f"{title} </{page}>" if title else f"/{page}" for page, title in named.items()]
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```", ""]))
    return "\n" + "\n".join(trees)
