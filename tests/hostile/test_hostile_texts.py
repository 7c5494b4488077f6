"""Options, sweeps, splits, lists and expressions that hold code, unfold, are nested without end or lead elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hostile_reading import reads, refused

from spectrain.config import load_config
from spectrain.data.csv_table import read_csv_table
from spectrain.data.splits_file import read_splits
from spectrain.preparation.expressions import Expression
from spectrain.preparation.formulas import Formula
from spectrain.preparation.points.columns import Wanted
from spectrain.preparation.points.tables import CsvPoints
from spectrain.sweeps.definition import read_definition

DEEP, DIGITS = 100_000, "9" * 100_000
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
YAML = {
    "code": "name: !!python/object/apply:os.system ['touch MARKER']\n",
    "code in a key": "? !!python/object/apply:os.system ['touch MARKER']\n: 1\n",
    "a name": "name: !!python/name:os.system\n",
    "a module": "name: !!python/module:antigravity\n",
    "aliases": BOMB,
    "an alias of itself": "a: &a\n  b: *a\n",
    "nested lists": "a: " + "[" * DEEP,
    "nested tables": "a: " + "{b: " * DEEP,
    "digits": f"seed: {DIGITS}\n",
    "hexadecimal digits": f"seed: 0x{DIGITS}\n",
    "sexagesimal": "seed: !!int " + "1:" * 5000 + "1\n",
    "binary": "name: !!binary " + "A" * 100 + "\n",
    "many documents": "---\na: 1\n" * 1000,
}
JSON = {
    "nested lists": '{"a": ' + "[" * DEEP + "]" * DEEP + "}",
    "nested tables": '{"a": ' * DEEP + "1" + "}" * DEEP,
    "digits": f'{{"seed": {DIGITS}}}',
    "an exponent": '{"seed": 1e999999999}',
    "code": '{"__class__": "os.system", "seed": "touch MARKER"}',
    "a prototype": '{"__proto__": {"a": 1}}',
}
TOML = {
    "nested lists": "[spectrain]\na = " + "[" * DEEP + "]" * DEEP,
    "nested tables": "[spectrain]\na = " + "{b = " * DEEP + "1" + "}" * DEEP,
    "nested keys": "[spectrain]\n" + "a." * DEEP + "a = 1",
    "nested headers": "[spectrain." + "a." * DEEP + "a]\nb = 1",
    "digits": f"[spectrain]\nseed = {DIGITS}\n",
}
OPTIONS = [(f".{kind}", name, text) for kind, found in (("yaml", YAML), ("json", JSON), ("toml", TOML))
           for name, text in found.items()]  # fmt: skip


def one_message(text: str) -> None:
    assert "Traceback" not in text and len(text) < 5000, text[:500]


@pytest.mark.parametrize(("ending", "name", "text"), OPTIONS, ids=[f"{one[0][1:]}-{one[1]}" for one in OPTIONS])
def test_options(tmp_path, ending, name, text):
    path, marker = tmp_path / f"options{ending}", tmp_path / "ran"
    path.write_text(text.replace("MARKER", str(marker)))
    said = refused(lambda: load_config("contrastive", config=path, use_personal=False))
    assert path.name in said
    one_message(said)
    assert not marker.exists()


@pytest.mark.parametrize("name", YAML)
def test_sweeps(tmp_path, name):
    path, marker = tmp_path / "sweep.yaml", tmp_path / "ran"
    path.write_text(YAML[name].replace("MARKER", str(marker)))
    said = refused(lambda: read_definition(path))
    assert path.name in said
    one_message(said)
    assert not marker.exists()


def test_a_sweep_of_any_size_is_not_read(tmp_path):
    path = tmp_path / "sweep.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "larger than 1 MiB" in refused(lambda: read_definition(path))


SPLITS = '{{"format": {{"name": "spectrain.splits", "version": {}}}, "splits": {}}}'


@pytest.mark.parametrize(
    "text",
    [
        *(JSON[name] for name in ("nested lists", "nested tables", "digits")),
        SPLITS.format(DIGITS, '{"train": []}'),
        SPLITS.format("1e400", '{"train": []}'),
        SPLITS.format(1, "[" * DEEP),
        SPLITS.format(1, '{"train": 5}'),
    ],
    ids=lambda text: text[:20] + text[60:80],
)
def test_splits(tmp_path, text):
    path = tmp_path / "splits.json"
    path.write_text(text)
    said = refused(lambda: read_splits(path))
    assert path.name in said
    one_message(said)


@pytest.mark.parametrize("row", ["a" * (100 << 20), "a," * (10 << 20), '"' + "a\n" * (4 << 20)])
def test_a_list_with_a_row_of_any_length(tmp_path, row):
    path, wanted = tmp_path / "list.csv", Wanted(("label",), ("file", "label"), "EPSG:4326")
    for text in (f"file,label\n{row}\n", f"{row}\nb,1\n"):
        path.write_text(text)
        for read in (read_csv_table, lambda path: list(CsvPoints(path, wanted).blocks())):
            said = refused(lambda read=read: read(path))
            assert path.name in said
            one_message(said)


EXPRESSIONS = [
    "9**9**9**9", "a + 9**9**9", "a + " + "9" * 900, "(" * 10_000 + "a" + ")" * 10_000, "(" * 400 + "a" + ")" * 400,
    "-" * 900 + "a", "not " * 200 + "a", "a" + "+a" * 490, "a.__class__", "a.real", "open('/etc/passwd')", "eval('1')",
    "__import__('os').system('touch MARKER')", "exec('1')", "[one for one in a]", "lambda: a", "f'{a}'",
    "a if a else a", "(a := 1)", "a[b]", "a[-1]", "a['x']", "a @ a", "a << 9**9", "'a' * 9**9", "getattr(a, 'b')",
    "a; b", "\0a", "a\n\nb", "await a", "*a", "b'a' + a", "1j * a", "... + a", "min(a)", "min(*a)", "True and a", "`a",
]  # fmt: skip


@pytest.mark.parametrize("text", EXPRESSIONS, ids=lambda text: text[:20])
def test_expressions(tmp_path, monkeypatch, text):
    """Whatever is not refused is worked out in numbers, in bounded time."""
    marker = tmp_path / "ran"
    text = text.replace("MARKER", str(marker))
    values = np.array([1.0, 2.0])

    def expression():
        Expression.read(text, "filter").compute({"a": values})

    def formula():
        Formula.read(f"x={text}").compute({"a": (values.astype("f4"), np.ones(2, bool))})

    for work in (expression, formula):
        found = reads(work)
        assert found.kind in ("fine", "refused"), found.text
        one_message(found.text)
    assert not marker.exists()


@pytest.mark.parametrize("text", ["a.__class__", "open('/etc/passwd')", "eval('a')", "a.real", "(a := 1)", "lambda: a"])
def test_no_name_of_python_means_anything(text):
    assert "is not allowed" in (said := refused(lambda: Expression.read(text, "filter"))) or "there is no" in said
    assert "is not allowed" in (said := refused(lambda: Formula.read(f"x={text}"))) or "there is no" in said


def test_a_list_of_cubes_leads_no_further_than_its_rows_say(tmp_path):
    """A row may name any file of the user's, as a path on the command line may; what is no cube is refused by name."""
    from spectrain.data.opening import open_patches

    for name in (
        "../../../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/mem",
        "file:///etc/passwd",
        "|ls",
    ):
        path = tmp_path / "list.csv"
        path.write_text(f"hs_file,participant,label,split\n{name},p,0,train\n")
        said = refused(lambda path=path: open_patches(path, "train"))
        assert "root:" not in said
        assert "list.csv" in said or name.rpartition("/")[2] in said, said
        one_message(said)


def test_the_texts_are_json_and_toml_that_python_reads():
    assert json.loads(JSON["an exponent"])["seed"] == float("inf")
