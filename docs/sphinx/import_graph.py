"""The folders of the package and what they import, drawn from the imports; ``docs/imports.svg`` is its frozen copy.

Run ``python docs/sphinx/import_graph.py`` after a change of imports. An arrow that a longer way of arrows stands for is
left out. Colours are such that the drawing reads on a light and on a dark page.
"""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "spectrain"
DRAWING = ROOT / "docs" / "imports.svg"

WIDTH, BOX, ROW = 760, (118, 40), 92
Graph = dict[str, set[str]]


def imported(path: Path) -> set[str]:
    """Return the folders of the package that a file imports from, lazily or not."""
    package = path.relative_to(PACKAGE.parent).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("spectrain.")}
    return found


def graph() -> Graph:
    """Return folder -> the other folders that its files import from."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    found: Graph = {name: set() for name in sorted(folders)}
    for name in found:
        for path in sorted((PACKAGE / name).rglob("*.py")):
            found[name] |= imported(path) & folders - {name}
    return found


def beyond(edges: Graph, name: str) -> set[str]:
    """Return every folder that one reaches from ``name``."""
    return edges[name] | {far for near in edges[name] for far in beyond(edges, near)}


def reduced(edges: Graph) -> Graph:
    """Return the graph without arrows that a longer way stands for."""
    return {
        name: {one for one in near if not any(one in beyond(edges, other) for other in near)}
        for name, near in edges.items()
    }


def rows(edges: Graph) -> list[list[str]]:
    """Return the folders from the outermost to the innermost; a row imports from rows below it alone."""
    depth: dict[str, int] = {}

    def deep(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((deep(one) for one in edges[name]), default=0)
        return depth[name]

    top = max(deep(name) for name in edges)
    return [[name for name in edges if depth[name] == level] for level in range(top, 0, -1)]


def places(edges: Graph) -> dict[str, tuple[float, float]]:
    """Return the middle of each folder's box; within a row they stand below those that import them."""
    found: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows(edges)):
        users = {name: [found[one][0] for one in found if name in edges[one]] for name in row}
        middle = {name: sum(users[name]) / len(users[name]) if users[name] else WIDTH / 2 for name in row}
        for place, name in enumerate(sorted(row, key=lambda name: (middle[name], name))):
            found[name] = (WIDTH * (place + 0.5) / len(row), ROW * number + BOX[1] / 2 + 4)
    return found


def says(name: str) -> str:
    """Return the first sentence of what a folder says of itself."""
    text = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def drawing() -> str:
    """Return the SVG; its text is text."""
    edges = reduced(graph())
    at = places(edges)
    height = max(y for _, y in at.values()) + BOX[1] / 2 + 4
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        'role="img" font-family="system-ui, sans-serif" font-size="16">',
        "<title>Folders of spectrain; an arrow points to what a folder imports</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#8a8f98"/></marker></defs>',
    ]
    for name, near in edges.items():
        for other in sorted(near):
            (x, y), (to_x, to_y) = at[name], at[other]
            start, end = y + BOX[1] / 2, to_y - BOX[1] / 2 - 1
            bend = (end - start) / 2
            lines.append(
                f'<path d="M{x:g} {start:g}C{x:g} {start + bend:g} {to_x:g} {end - bend:g} {to_x:g} {end:g}" '
                'fill="none" stroke="#8a8f98" stroke-width="1.5" marker-end="url(#head)"/>'
            )
    for name, (x, y) in at.items():
        lines += [
            f"<g><title>{escape(says(name))}</title>",
            f'<rect x="{x - BOX[0] / 2:g}" y="{y - BOX[1] / 2:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6" '
            'fill="#2f6690"/>',
            f'<text x="{x:g}" y="{y + 6:g}" text-anchor="middle" fill="#ffffff">{name}/</text></g>',
        ]
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    DRAWING.write_text(drawing(), encoding="utf-8")
