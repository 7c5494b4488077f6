"""The site: generated pages are as the source has them, every page has a place, the check of links finds what is wrong.

Building it takes Sphinx, which `make site` does with warnings as errors.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
from blocks import DOCS

import spectrain
from test_imports import LEVEL

SPHINX = DOCS / "sphinx"


def tool(name: str) -> ModuleType:
    """Import a file of docs/sphinx."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", SPHINX / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_drawing_of_imports_is_up_to_date():
    graph = tool("import_graph")
    assert (DOCS / "imports.svg").read_text() == graph.drawing(), "make docs"
    edges = graph.graph()
    assert set(edges) == set(LEVEL) and all(graph.says(name) for name in LEVEL)
    order = [name for row in graph.rows(edges) for name in row]
    assert all(order.index(other) > order.index(name) for name, near in edges.items() for other in near)


def test_the_page_of_public_names_is_up_to_date():
    python = tool("python_page")
    text = (DOCS / "python.md").read_text()
    assert text == python.page(), "make docs"
    assert all(f"`spectrain.{name}`" in text for name in spectrain.__all__ if name != "__version__")


def test_code_that_pages_take_from_files_is_as_it_is_there():
    examples = tool("examples")
    assert DOCS / "extending.md" in examples.pages()
    for page in examples.pages():
        assert page.read_text() == examples.renewed(page.read_text()), "make docs"
    with pytest.raises(KeyError):
        examples.renewed("<!-- from tests/plugins/own_parts.py: Nothing -->\n```python\n```\n")


def test_every_kind_of_part_has_an_example_on_the_page():
    from spectrain.config.schema import GROUPS

    text = (DOCS / "extending.md").read_text()
    for group in {*GROUPS, "reader"} - {"task"}:
        assert f'@register("{group}"' in text, group


def test_every_page_has_a_place():
    order = tool("order")
    placed = [page for named in order.pages().values() for page in named]
    assert len(placed) == len(set(placed)) and "docs/concepts" in placed
    assert {f"docs/{path.stem}" for path in DOCS.glob("*.md")} - {order.INDEX} <= set(placed)
    assert "More" not in order.pages(), "give the new page a place in docs/sphinx/order.py"


def test_the_check_of_links(tmp_path):
    look = tool("check").look
    site = tmp_path / "site"
    site.mkdir()
    (site / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#there">B</a><a href="#top">A</a><a href="https://example.org/x">E</a>'
    )
    (site / "b.html").write_text('<p id="there"><a href="a.html">A</a><img src="data:image/png;base64,AA"></p>')
    assert look(site) == ([], ["https://example.org/x"])
    (site / "b.html").write_text(
        '<a href="gone.html">1</a><a href="a.html#gone">2</a><script src="https://example.org/x.js"></script>'
    )
    (site / "c.css").write_text("@font-face { src: url(https://example.org/f.woff) }")
    wrong, _ = look(site)
    assert len(wrong) == 5  # b's three, its lost anchor, and the sheet
