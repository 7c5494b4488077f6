"""The page on data: its commands are ones that the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from spectrain.config import load_config
from spectrain.core.registry import lookup, names

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
COMMANDS = re.findall(r"^spectrain train .*$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command):
    _, _, recipe, *overrides = shlex.split(command)
    cfg = load_config(recipe, overrides=overrides, use_personal=False)
    for override in overrides:
        key, value = override.split("=")
        assert str(getattr(cfg.dataset, key.removeprefix("dataset."))) == value


def test_every_method_of_folds_is_explained():
    text = PAGE.read_text()
    for method in ("given", "group", "block", "random", "published"):
        assert f"| `{method}`" in text


def test_every_reader_says_what_it_recognises():
    said = [lookup("reader", name).description for name in names("reader")]
    assert len(said) == len(set(said)) == 10
