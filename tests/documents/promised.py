"""What the five documents promise, read from ``promises/*.yaml``, and the page made of it.

Run ``python tests/documents/promised.py docs/promises.md`` after a change; it needs neither package nor documents.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "promises"
ORDER = ("contrastive", "contrastive_older", "spectral_mae", "segmentation_sweep", "sparse_regression")
OPTIONS = "documents/test_promised_options.py::"

HEAD = """\
# What was promised, and which test shows it

This page is generated (`make docs`). Five documents describe the systems that spectrain's users come from: their
command lines, options, files, printed outputs, functions and tips. Each of these is a row here, with what it became
and the test that shows it. Tests are named as `pytest tests/NAME` takes them; one without `[...]` is all its cases.
Where we do otherwise on purpose, the reason stands before the table. [coming-from.md](coming-from.md) is the short
version, with commands to type.
"""


@dataclass(frozen=True)
class Promise:
    """One promise of one document.

    Attributes:
        name: ``FILE/ID``, unique.
        where: heading of the document, and first and last line.
        kind: what is promised: command, option, file, output, function, model, behaviour or advice.
        says: the promise in our words.
        there: what the document writes, to the letter.
        here: what one writes here.
        give: words of a command line that say the option.
        of: who takes the option: train, prepare, sweep, or the sweep's own file.
        ours: native key -> the value that the option has as it is written there.
        default: native key -> the value where nothing is said.
        differs: what is otherwise on purpose, and why.
        tests: the tests that show it, below ``tests/``.
        untested: why there is none.
    """

    name: str
    where: tuple[str, int, int]
    kind: str
    says: str
    there: tuple[str, ...] = ()
    here: str = ""
    give: str = ""
    of: str = "train"
    ours: dict[str, Any] = field(default_factory=dict)
    default: dict[str, Any] = field(default_factory=dict)
    differs: str = ""
    tests: tuple[str, ...] = ()
    untested: str = ""

    @property
    def shown_by(self) -> tuple[str, ...]:
        """The tests, with the cases that every option has in ``test_promised_options.py``."""
        cases = [(self.ours, "test_an_option_is_taken"), (self.default, "test_a_default_is_told")]
        return (*(f"{OPTIONS}{test}[{self.name}]" for said, test in cases if said), *self.tests)


@dataclass(frozen=True)
class Document:
    """A document and all that it promises."""

    stem: str
    file: str
    system: str
    page: str
    promises: tuple[Promise, ...]


@cache
def documents() -> list[Document]:
    """Return all documents; an entry without words of its own has those of the same id in the file that is ``like``."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # seconds faster
    raw = {stem: yaml.load((FOLDER / f"{stem}.yaml").read_text(encoding="utf-8"), loader) for stem in ORDER}
    return [_document(stem, raw) for stem in ORDER]


def _document(stem: str, raw: dict[str, dict[str, Any]]) -> Document:
    found = raw[stem]
    like: dict[str, dict[str, Any]] = {}
    if "like" in found:
        rows = raw[Path(found["like"]).stem]["promises"].values()
        like = {row["id"]: row for section in rows for row in section}
    promises = []
    for section, rows in found["promises"].items():
        for row in rows:
            fields = {**like.get(row["id"], {}), **row}
            first, _, last = str(fields.pop("line")).partition("-")
            there = fields.pop("there", ())
            fields["there"] = (there,) if isinstance(there, str) else tuple(there)
            fields["tests"] = tuple(fields.get("tests", ()))
            name = f"{stem}/{fields.pop('id')}"
            promises.append(Promise(name, (section, int(first), int(last or first)), **fields))
    return Document(stem, found["document"], found["system"], found["page"], tuple(promises))


def page() -> str:
    """Return the whole page as Markdown."""
    found = documents()
    rows = [_counted(one) for one in found]
    parts = [HEAD, _table(("if you come from", "document", "promises", "tests", "no test"), rows)]
    return "\n".join([*parts, *(_section(one) for one in found)])


def _counted(document: Document) -> tuple[str, ...]:
    tests = {test for promise in document.promises for test in promise.shown_by}
    untested = sum(not promise.shown_by for promise in document.promises)
    title = f"[{document.system}](#{_anchor(document)})"
    return title, f"`{document.file}`", str(len(document.promises)), str(len(tests)), str(untested)


def _anchor(document: Document) -> str:
    """The heading's anchor, as both the site and code hosts make it."""
    kept = [letter for letter in f"if you come from {document.system}".lower() if letter.isalnum() or letter in " -"]
    return "".join(kept).replace(" ", "-")


def _section(document: Document) -> str:
    text = [f"## If you come from {document.system}\n"]
    text.append(f"[{document.page}]({document.page}) says how to use it, and what else is different and why.\n")
    differs = [f"- **{_name(one)}** ({_where(one)}). {one.differs}" for one in document.promises if one.differs]
    if differs:
        text.append("Otherwise on purpose:\n\n" + "\n".join(differs) + "\n")
    untested = [f"- **{_name(one)}** ({_where(one)}). {one.untested}" for one in document.promises if one.untested]
    if untested:
        text.append("Without a test:\n\n" + "\n".join(untested) + "\n")
    rows = [
        (_there(one), one.says + _here(one), _where(one), "<br>".join(f"`{test}`" for test in one.shown_by) or "–")
        for one in document.promises
    ]
    return "\n".join([*text, _table(("there", "what is promised, and what it is here", "where", "test"), rows)])


def _name(promise: Promise) -> str:
    return f"`{promise.there[0]}`" if len(promise.there) == 1 and len(promise.there[0]) < 60 else _plain(promise)


def _plain(promise: Promise) -> str:
    return promise.says.rstrip(".")


def _there(promise: Promise) -> str:
    return "<br>".join(f"`{one.strip('`')}`" for one in promise.there) or "–"


def _here(promise: Promise) -> str:
    said = [f"`{key}={_value(value)}`" for key, value in promise.ours.items()]
    if promise.of in ("prepare", "sweep"):
        said.append(f"(of `spectrain {promise.of}`)")
    if promise.here:
        said.append("; ".join(f"`{one}`" if _is_code(one) else one for one in promise.here.split("; ")))
    if promise.default:
        said.append("default " + ", ".join(f"`{key}={_value(value)}`" for key, value in promise.default.items()))
    return f" **Here:** {' '.join(said)}" if said else ""


def _is_code(text: str) -> bool:
    return text.startswith(("spectrain", "--")) or ("=" in text and all("=" in word for word in text.split()))


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, float)
        else f"{value:g}"
    )


def _where(promise: Promise) -> str:
    section, first, last = promise.where
    return f"{section}, {first}" + (f"–{last}" if last > first else "")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
