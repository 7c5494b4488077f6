"""Whether a command line of a page could be given as it is printed: verbs, flags, keys and values, nothing is run."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from pathlib import Path

from blocks import ROOT, Block

from spectrain.cli.app import app
from spectrain.cli.sweep import app as sweep_app
from spectrain.config import load_config
from spectrain.config.command_line import split_tokens
from spectrain.config.option import options_of
from spectrain.demos import DEMOS
from spectrain.preparation.options import PATCHES
from spectrain.preparation.resolve import resolve as resolve_prepare
from spectrain.preparation.resolve import resolve_patches
from spectrain.sweeps.options import SweepOptions

OTHERS = {"mlflow", "optuna-dashboard", "createdb", "tmux", "nvidia-smi", "git", "cd", "python", "tensorboard"}
"""Programs of others that a page may call: nothing of ours is in their words."""
PLUGINS = ROOT / "tests" / "plugins"
_SET = re.compile(r"(export )?[A-Z_]+=")


def lines_of(block: Block) -> list[str]:
    """Return the commands of a shell block: continued lines joined, comments and ``#SBATCH`` taken away."""
    text = re.sub(r"\\\n\s*", "", block.text)
    lines = (re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def check(line: str) -> None:
    """Raise an error where a command line could not be given.

    Raises:
        AssertionError, SpectrainError, CycloptsError: what is wrong with it.
    """
    words = shlex.split(re.sub(r"\[(-.*?)\]", r"\1", line))  # what may be left out stands in brackets
    while words and (words[0] == "export" or _SET.match(words[0])):
        words = words[1:]
    if not words:
        return
    if words[0] in ("torchrun", "srun"):
        assert "spectrain" in words, line
        words = words[words.index("spectrain") :]
    program, *rest = words
    if program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
        assert set(rest) <= targets, f"no such target: {line}"
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = {one for word in rest for found in re.findall(r"spectrain\[(.*)\]", word) for one in found.split(",")}
        assert named <= set(extras), f"no such extra: {line}"
    elif program == "spectrain":
        _verb(rest)
    else:
        assert Path(program).name in OTHERS, f"no program that is known: {line}"


def _verb(words: list[str]) -> None:
    """Check the words behind ``spectrain``: first as the command does, then those that the resolver reads."""
    _, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
    given = dict(bound.arguments)
    overrides, flags = split_tokens(_named(given, "words"))
    if words[0] == "train" and given.get("resume") is None:
        recipe = given.get("recipe")
        if recipe is not None and "=" in recipe:
            overrides, recipe = [recipe, *overrides], None
        file = given.get("config")
        plugins = [PLUGINS / name for name in _named(given, "plugin")]
        load_config(recipe, file if _there(file) else None, overrides, flags=flags, plugins=plugins, use_personal=False)
    elif words[0] == "prepare":
        file = given.get("config")
        named = {"train_data_dir": str(given.get("output", "out"))}
        if file is not None and not _there(file):  # a file of the reader's, which says the rest
            named["data_dir"] = "scenes"
        if given["kind"] == PATCHES:
            resolve_patches(file if _there(file) else None, overrides, flags, named)
        else:
            resolve_prepare(given["kind"], file if _there(file) else None, overrides, flags, named)
    elif words[0] == "demo":
        assert given.get("task", "contrastive") in DEMOS, given
        load_config(given.get("task", "contrastive"), overrides=overrides, use_personal=False)
    elif bound.signature == _signature_of_sweep():
        known = set(options_of(SweepOptions))
        words_of_training = [word for word in overrides if word.partition("=")[0].replace("-", "_") not in known]
        recipe = given.get("recipe") or "segmentation"
        load_config(recipe, overrides=words_of_training, flags=flags, use_personal=False)


def _named(given: dict[str, object], name: str) -> tuple[str, ...]:
    """Return an argument of several words; () where it is not given."""
    found = given.get(name) or ()
    assert isinstance(found, tuple | list)
    return tuple(found)


def _there(file: object) -> bool:
    return isinstance(file, str | os.PathLike) and Path(file).is_file()


def _signature_of_sweep() -> object:
    _, bound, _ = sweep_app.parse_args(["sweep.yaml"], print_error=False, exit_on_error=False)
    return bound.signature
