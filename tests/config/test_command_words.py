"""Overrides and flags."""

from __future__ import annotations

import pytest

from spectrain.config.command_line import flag_entries, override_entries, split_tokens
from spectrain.config.yaml_file import scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5", 5),
        ("-5", -5),
        ("true", True),
        ("yes", "yes"),
        ("null", None),
        ("[1, 2.5, a]", [1, 2.5, "a"]),
        ("{a: 1}", {"a": 1}),
        ("'7'", "7"),
        ("007", "007"),
        ("a: b", "a: b"),
        ("a #b", "a #b"),
        ("[draft", "[draft"),
        ("!!python/object:os.system x", "!!python/object:os.system x"),
        ("[!!python/name:os.system ]", "[!!python/name:os.system ]"),
        ("*a", "*a"),
        ("", None),
    ],
)
def test_values_are_what_they_look_like(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_overrides():
    entries, problems = override_entries(["hparams.batch-size=4", "+mlflow.tags.my-tag=v1=2", "trackers=[mlflow]"])
    assert not problems
    assert [(entry.key, entry.value, entry.text) for entry in entries] == [
        ("hparams.batch_size", 4, "4"),
        ("mlflow.tags.my-tag", "v1=2", "v1=2"),
        ("trackers", ["mlflow"], "[mlflow]"),
    ]


@pytest.mark.parametrize("word", ["epochs", "=5", "5=5", "a b=3", "~model", ".a=1"])
def test_what_is_no_override_is_named(word):
    entries, (problem,) = override_entries([word])
    assert not entries
    assert (problem.key, problem.what) == (word, "is not an option")


def test_flags():
    words = [
        "--nb_epoch",
        "5",
        "--lr=-1e-3",
        "--amp",
        "--no-bilinear",
        "--shift",
        "-2",
        "--notes=--x",
        "--l2-lambda",
        "1e-8",
    ]
    entries, problems = flag_entries(words)
    assert not problems
    assert [(entry.key, entry.value) for entry in entries] == [
        ("nb_epoch", 5),
        ("lr", -1e-3),
        ("amp", True),
        ("no_bilinear", True),
        ("shift", -2),
        ("notes", "--x"),
        ("l2_lambda", 1e-8),
    ]


@pytest.mark.parametrize("words", [["-v"], ["word"], ["--no-flip", "word"], ["--"], ["---x"]])
def test_what_is_no_flag_is_named(words):
    _, (problem,) = flag_entries(words)
    assert problem.key == words[-1]


def test_a_command_line_is_split_without_knowing_the_options():
    words = ["--epochs", "5", "a.b=1", "--flip", "c=2", "--no-demean", "d=3", "--x=y", "stray"]
    assert split_tokens(words) == (
        ["a.b=1", "c=2", "d=3"],
        ["--epochs", "5", "--flip", "--no-demean", "--x=y", "stray"],
    )
    assert flag_entries(split_tokens(["--flip", "a=1"])[1])[0][0].value is True
