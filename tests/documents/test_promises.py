"""The list of promises is whole, its tests exist, and the page is made of it.

What the documents print is looked up where they are beside this checkout (../shared/reference/documents).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import json5
import pytest
from printed import PRINTED
from promised import Document, Promise, documents, page

HERE = Path(__file__).parent
TESTS = HERE.parent
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared" / "reference" / "documents"
LIST = documents()
PROMISES = [promise for document in LIST for promise in document.promises]
KINDS = {"command", "option", "file", "output", "function", "model", "behaviour", "advice"}


@pytest.fixture(params=LIST, ids=lambda one: one.stem)
def document(request) -> Document:
    return request.param


def text_of(document: Document) -> str:
    if not SHARED.is_dir():
        pytest.skip("the documents (../shared/reference/documents) are not beside this checkout")
    return (SHARED / document.file).read_text()


# --- the list


def test_names_are_unique_and_kinds_are_known():
    assert len({promise.name for promise in PROMISES}) == len(PROMISES)
    assert {promise.kind for promise in PROMISES} <= KINDS


@pytest.mark.parametrize("promise", PROMISES, ids=lambda one: one.name)
def test_a_promise_has_a_test_or_a_reason_why_not(promise: Promise):
    assert bool(promise.shown_by) != bool(promise.untested)
    missing = [test for test in promise.shown_by if test.partition("[")[0] not in functions(test)]
    assert not missing


@cache
def _functions(file: Path) -> frozenset[str]:
    found = set()
    for node in ast.parse(file.read_text()).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + one.name for one in inside if isinstance(one, ast.FunctionDef)}
    return frozenset(found)


def functions(test: str) -> set[str]:
    """The tests that are written in the file of one."""
    file = test.partition("::")[0]
    return {f"{file}::{name}" for name in _functions(TESTS / file)}


@pytest.mark.slow
def test_each_case_is_one_that_pytest_lists():
    named = {f"tests/{test}" for promise in PROMISES for test in promise.shown_by}
    files = sorted({test.partition("::")[0] for test in named})
    line = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    listed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    listed = {*listed, *(test.partition("[")[0] for test in listed)}
    assert sorted(named - listed) == []


# --- the documents


def test_what_is_said_to_be_there_is_there(document):
    lines = text_of(document).splitlines()
    for promise in document.promises:
        section, first, last = promise.where
        assert _heading(document, lines, first) == section, promise.name
        inside = "\n".join(lines[first - 1 : last])
        for there in promise.there:
            words = there.removeprefix("darts.") if there.startswith("{") else there
            assert words in inside, (promise.name, there)


def _heading(document: Document, lines: list[str], number: int) -> str:
    """The heading that a line (from 1) stands below; of the text without marks, the last that the list names."""
    names = {promise.where[0] for promise in document.promises}
    found, code = "", False
    for index, line in enumerate(lines[:number]):
        code ^= line.strip().startswith("```")
        below = lines[index + 1] if index + 1 < len(lines) else ""
        if document.file.endswith(".md"):
            title = re.match(r"#+ (.*)", line) if not code else None
            found = (title and _words(title[1])) or found  # one of code alone is below that before
        elif line.strip() in names or (line.strip() and re.fullmatch(r"[-=]{4,}", below)):
            found = line.strip()
    return found


def _words(title: str) -> str:
    return re.sub(r"\s*[(`].*", "", title).strip()


def test_all_that_is_printed_is_on_the_list(document):
    listed = {there for promise in document.promises for there in promise.there}
    assert sorted(PRINTED[document.stem](text_of(document)) - listed) == []


@pytest.mark.parametrize(("number", "name"), [(0, "nenya_options.json"), (1, "nenya_options_older.json")])
def test_our_copy_of_an_options_file_is_as_printed(number, name):
    (block,) = re.findall(r"^ *\{\s*$.*?^ *\}\s*$", text_of(LIST[number]), re.MULTILINE | re.DOTALL)
    assert json5.loads(block) == json5.loads((HERE / name).read_text())


@pytest.mark.parametrize("name", ["planet-sweep-config.toml", "planet-tcvis-sweep.yaml"])
def test_our_copy_of_a_file_is_as_printed(name):
    [found] = [one for one in LIST if one.stem == "segmentation_sweep"]
    assert (HERE / name).read_text() in text_of(found)


# --- the page


def test_the_page_on_disk_is_made_of_the_list():
    assert (ROOT / "docs" / "promises.md").read_text(encoding="utf-8") == page(), (
        "the list changed. If that is meant: python tests/documents/promised.py docs/promises.md"
    )
