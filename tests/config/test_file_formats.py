"""Options files as people write them, with the line of each key."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrain.config import json_file, toml_file, yaml_file
from spectrain.config.entries import flatten
from spectrain.config.sources import LARGEST, read_file, read_values
from spectrain.core.errors import ConfigError


def read(write, name, text):
    entries, problems = read_file(Path(write(name, text)))
    return {entry.key: entry for entry in entries}, problems


def refused(write, name, text):
    with pytest.raises(ConfigError) as failure:
        read_file(Path(write(name, text)))
    (problem,) = failure.value.problems
    return problem


# --- in memory


def test_values_in_memory_are_read_as_those_of_a_file(write):
    values = {"hparams": {"epochs": 5}, "optimizer.lr": 1e-4, "num-workers": 2, "trackers": [], "augmentation": {}}
    entries, problems = read_values(values, "here")
    there, _ = read_file(Path(write("a.json", json.dumps(values))))
    assert not problems and {entry.origin for entry in entries} == {"here"}
    assert [(entry.key, entry.value, entry.text) for entry in entries] == [
        (entry.key, entry.value, entry.text) for entry in there
    ]


class Nested(dict):
    """A table that holds itself."""

    def __init__(self):
        super().__init__(inner=self)


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ([1], "here", "must hold keys and values here, not list"),
        ({"hparams": {3: 1}}, "hparams.3", "has a key that is not a word"),
        ({"hparams": {"epochs": [object()]}}, "hparams.epochs", "cannot hold a value of type object"),
        (Nested(), "here", "nested too deeply"),
    ],
)
def test_other_values_in_memory_are_refused(values, key, words):
    with pytest.raises(ConfigError) as failure:
        read_values(values, "here")
    (problem,) = failure.value.problems
    assert problem.key == key and problem.origin == "here" and words in problem.what


# --- YAML


def test_yaml_nested_and_flat_with_lines(write):
    found, problems = read(write, "a.yaml", "hparams:\n  epochs: 5  # few\noptimizer.lr: 1e-4\nnum-workers: 2\n")
    assert not problems
    assert {key: entry.value for key, entry in found.items()} == {
        "hparams.epochs": 5,
        "optimizer.lr": 1e-4,
        "num_workers": 2,
    }
    assert [entry.origin for entry in found.values()] == ["a.yaml:2", "a.yaml:3", "a.yaml:4"]


def test_yaml_scalars_are_what_they_look_like(write):
    found, _ = read(write, "a.yaml", "a: !!float 1e-3\nb: no\nc: 007\nd: 2017-01-01\ne: 12:30\nf: 0.\ng: ~\nh: .5\n")
    values = {key: entry.value for key, entry in found.items()}
    assert values == {"a": 1e-3, "b": "no", "c": "007", "d": "2017-01-01", "e": "12:30", "f": 0.0, "g": None, "h": 0.5}


@pytest.mark.parametrize(
    "text",
    [
        "loss: !!python/object/apply:os.system [ls]",
        "loss: [1, !!python/name:os.system ]",
        "loss: !mine 3",
        "loss: !!int many",
        "loss: !!bool perhaps",
        "loss: !!timestamp never",
        "loss: !!timestamp 2017-01-01",
        "loss: !!binary QUJD",
        "loss: {a: !other {b: 1}}",
        "loss: !!set {a: null}",
    ],
)
def test_yaml_tags_other_than_plain_values_are_refused(write, text):
    problem = refused(write, "a.yaml", text)
    assert problem.key.startswith("loss")
    assert problem.origin == "a.yaml:1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "is not YAML"),
        ("- 1\n- 2", "must hold keys and values"),
        ("a: 1\n---\nb: 2", "another document"),
        ("? [1]\n: 2", "a key that is not a word"),
        ("a: &x 1\nb: *x", "write the value out"),
        ("a: \x01", "not YAML"),
        ("[" * 5000, "nested too deeply"),
        ("!!python/object:os.x\na: 1", "must hold keys and values"),
    ],
)
def test_yaml_that_cannot_be_read_says_so(write, text, words):
    assert words in refused(write, "a.yaml", text).what


def test_yaml_doubled_keys_are_found_at_every_depth(write):
    _, problems = read(
        write, "a.yaml", "hparams:\n  epochs: 5\n  epochs: 6\nhparams:\n  batch-size: 1\nx-y: 1\nx_y: 2\n"
    )
    assert [(problem.key, problem.origin) for problem in problems] == [
        ("hparams.epochs", "a.yaml:3"),
        ("hparams", "a.yaml:4"),
        ("x_y", "a.yaml:7"),
    ]
    assert "first in a.yaml:2" in problems[0].what


text_values = st.text(max_size=12).filter(lambda text: all(c.isprintable() for c in text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | text_values,
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    )
)
def test_yaml_written_by_us_reads_back(value):
    (row,) = yaml_file.rows_of(f"key: {yaml_file.dumped(value)}  # comment", "x.yaml")
    assert row.value.value == value


# --- JSON


def test_json_as_people_write_it(write):
    text = """{
  // a comment: with "quotes"
  "epochs": 5,
  lr: 0., /* two
  lines: */ "flip": true,
  "net": {"b": [1, {"c": 2}],},
}
"""
    found, problems = read(write, "a.json", text)
    assert not problems
    assert {key: entry.value for key, entry in found.items()} == {
        "epochs": 5,
        "lr": 0.0,
        "flip": True,
        "net.b": [1, {"c": 2}],
    }
    assert [entry.origin for entry in found.values()] == ["a.json:3", "a.json:4", "a.json:5", "a.json:6"]


def test_json_doubled_keys(write):
    _, problems = read(write, "a.json", '{"a": 1,\n "b": {"c": 1, "c": 2},\n "a": 3}')
    assert [(problem.key, problem.origin) for problem in problems] == [("b.c", "a.json:2"), ("a", "a.json:3")]


@pytest.mark.parametrize(
    ("text", "words", "origin"),
    [
        ('{\n"a": 1\n"b": 2}', "is not JSON", "a.json:3"),
        ("[1]", "must hold keys and values", "a.json:1"),
        ('{"a": ' + "[" * 3000, "nested too deeply", "a.json"),
        ("{'a", "is not JSON", "a.json:1"),
    ],
)
def test_json_that_cannot_be_read_says_so(write, text, words, origin):
    problem = refused(write, "a.json", text)
    assert words in problem.what
    assert problem.origin == origin


nested = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(document=st.dictionaries(st.text(max_size=6), nested, max_size=4), indent=st.sampled_from([None, 1]))
def test_json_keys_are_counted_whatever_stands_in_them(document, indent):
    text = json.dumps(document, indent=indent)

    def keys(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return (len(value) if isinstance(value, dict) else 0) + sum(keys(item) for item in inner)

    lines = json_file.key_lines(text)
    assert len(lines) == keys(document)
    if indent:
        names = list(document)
        top = [number for number, line in enumerate(text.split("\n"), 1) if line.startswith(' "')]
        rows = json_file.rows_of(text, "x")
        assert [(row.name, row.line) for row in rows] == list(zip(names, top, strict=True))


def test_json_surrogate_pairs_become_one_character(write):
    found, _ = read(write, "a.json", r'{"a": "\ud83d\ude00", "b": "\ud800"}')
    assert [entry.value for entry in found.values()] == ["\N{GRINNING FACE}", "\N{REPLACEMENT CHARACTER}"]


# --- TOML


def test_toml_reads_our_tables_by_their_leaves(write):
    text = """
title = "ignored"
[darts.training]
num-workers = 16
bands = [
    'blue',  # [not] a table
    'green',
]
[darts.paths]
"artifact-dir" = "/large"
note = '''several
lines = 1'''
[other]
epochs = 9
[spectrain.hparams]
batch-size = 4
[spectrain.mlflow.tags]
my-tag = "a"
[spectrain.anything]
momentum = 0.5
inline = {deep = 3}
"""
    found, problems = read(write, "a.toml", text)
    assert not problems
    assert {key: entry.value for key, entry in found.items()} == {
        "num_workers": 16,
        "bands": ["blue", "green"],
        "artifact_dir": "/large",
        "note": "several\nlines = 1",
        "hparams.batch_size": 4,
        "mlflow.tags.my-tag": "a",
        "momentum": 0.5,
        "deep": 3,
    }
    lines = text.split("\n")
    for key in ("num_workers", "bands", "artifact_dir", "hparams.batch_size", "mlflow.tags.my-tag", "momentum"):
        number = int(found[key].origin.removeprefix("a.toml:"))
        assert key.rpartition(".")[2].replace("_", "-") in lines[number - 1]


@pytest.mark.parametrize(
    "text",
    [
        "[darts.a]\nbatch-size = 1\n[darts.b]\nbatch_size = 2\n",
        "[darts.a]\nbatch-size = 1\n\nbatch_size = 2\n",
        "[spectrain]\nbatch_size = 1\n[darts]\nbatch-size = 2\n",
    ],
)
def test_toml_leaf_given_twice(write, text):
    _, (problem,) = read(write, "a.toml", text)
    assert (problem.key, problem.origin) == ("batch_size", "a.toml:4")
    assert "first in a.toml:2" in problem.what


def test_toml_double_of_many_lines_is_named_with_the_lines_where_each_begins(write):
    problem = refused(write, "a.toml", "[darts]\nbands = [\n 1,\n]\nbands = [\n 1,\n]\n")
    assert (problem.key, problem.origin) == ("darts.bands", "a.toml:5")
    assert "first in a.toml:2" in problem.what


@pytest.mark.parametrize("after", ['epochs "" = 2\n[', "[darts.x\n", "a\n", '"b""\n'])
def test_toml_double_before_what_cannot_be_followed(write, after):
    problem = refused(write, "a.toml", f"[darts]\nepochs = 1\nepochs = 2\n{after}")
    assert (problem.key, problem.origin) == ("darts.epochs", "a.toml:3")


def test_toml_exact_double_is_named_with_its_first_line(write):
    problem = refused(write, "a.toml", "[darts]\nepochs = 1\n# between\nepochs = 2\n")
    assert (problem.key, problem.origin) == ("darts.epochs", "a.toml:4")
    assert "first in a.toml:2" in problem.what


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[darts\n", "is not TOML"),
        ("[train]\nepochs = 1\n", "neither a table [spectrain] nor [darts]; the tables are train"),
        ("", "the tables are none"),
        ("[darts]\na = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_toml_that_cannot_be_read_says_so(write, text, words):
    assert words in refused(write, "a.toml", text).what


names = st.text("abcxyz_-", min_size=1, max_size=5)
toml_values = st.sampled_from(["1", "'a = [b'", '"""x\n[y]\n"""', "[1, # ]\n 2]", "{a = 1, b = '}'}", "true", '"\\"]"'])


@given(st.text("[]=.#\"' \n\\ab", max_size=40))
def test_toml_statements_of_any_text_come_to_an_end(text):
    lines = [statement.line for statement in toml_file.statements(text)]
    assert lines == sorted(set(lines)) and len(lines) <= text.count("\n") + 1


@given(st.dictionaries(names, toml_values, min_size=1, max_size=6))
def test_toml_statements_have_their_lines(rows):
    text = "[darts]  # head\n" + "".join(f"{name} = {value} # c\n\n" for name, value in rows.items())
    tomllib.loads(text)
    found = [statement for statement in toml_file.statements(text) if len(statement.path) > 1]
    assert [statement.path[1] for statement in found] == list(rows)
    lines = text.split("\n")
    assert all(lines[statement.line - 1].startswith(f"{statement.path[1]} =") for statement in found)


# --- files


def test_a_missing_file_is_answered_with_the_nearest(write):
    write("folder/options.json", "{}")
    with pytest.raises(ConfigError, match=r"did you mean folder/options\.json"):
        read_file(Path("folder/option.json"))
    with pytest.raises(ConfigError, match="nor does its folder"):
        read_file(Path("nowhere/option.json"))


def test_files_that_are_no_options_are_refused(write, tmp_path):
    (tmp_path / "data.h5").write_bytes(b"\x89HDF")
    with pytest.raises(ConfigError, match=r"does not end in one of \.json"):
        read_file(Path("data.h5"))
    (tmp_path / "latin.json").write_bytes('{"a": "é"}'.encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_file(Path("latin.json"))
    (tmp_path / "large.json").write_bytes(b" " * (LARGEST + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        read_file(Path("large.json"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(Path("folder.yaml"))


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_an_empty_file_says_nothing(write, name):
    assert read(write, name, " \n") == ({}, [])


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{\r\n"epochs": 5}\r\n')
    (entry,), _ = read_file(Path("a.json"))
    assert (entry.key, entry.value, entry.origin) == ("epochs", 5, "a.json:2")


def test_flatten_keeps_what_stands_below_open_tables():
    rows = yaml_file.rows_of("mlflow: {tags: {my-tag: a, other_tag: b}, run-name: x}", "f")
    assert [entry.key for entry in flatten(rows, "f")[0]] == [
        "mlflow.tags.my-tag",
        "mlflow.tags.other_tag",
        "mlflow.run_name",
    ]
