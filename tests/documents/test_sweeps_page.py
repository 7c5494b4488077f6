"""Our page on sweeps: its file is one, it names every distribution, and its commands are commands."""

from __future__ import annotations

import re
import shlex

from blocks import DOCS, blocks_of, commands

from spectrain.cli.sweep import app
from spectrain.config import load_config
from spectrain.sweeps.definition import parse_definition
from spectrain.sweeps.distributions import KINDS, QUANTISED
from spectrain.sweeps.plan import Plan
from spectrain.sweeps.start import PLACES

PAGE = (DOCS / "sweeps.md").read_text()
BLOCKS = blocks_of("sweeps.md")


def test_its_sweep_file_is_one_and_searches_options_of_the_recipe():
    (text,) = (block.text for block in BLOCKS if block.language == "yaml")
    sweep = parse_definition(text, "sweep.yaml")
    assert sweep.method == "random" and len(sweep.space.parameters) == 4
    Plan("s", "segmentation", "sweep.yaml", text).check()


def test_every_distribution_is_in_its_table():
    named = set(re.findall(r"`(\w+)`", PAGE.partition("| distribution |")[2].partition("\n\n")[0]))
    assert {*KINDS, *(f"q_{one}" for one in QUANTISED)} <= named


def test_what_may_differ_between_machines_is_named_in_full():
    listed = PAGE.partition("may differ from machine to")[2].partition(".\n")[0].partition(". All")[0]
    for key in PLACES - {
        "general.device",
        "general.device_ids",
        "general.threads",
        "mlflow.tracking_uri",
        "wandb.mode",
    }:
        assert f"`{key}`" in listed, key
    keys = set(load_config("segmentation", use_personal=False).to_dict()["general"])
    assert {key.partition(".")[2] for key in PLACES if key.startswith("general.")} <= keys


def test_its_commands_are_understood():
    seen = []
    for block in BLOCKS:
        if block.language != "sh":
            continue
        text = block.text.replace("\\\n", " ")
        for line in commands(type(block)(block.language, text, block.line)):
            words = shlex.split(re.sub(r"\[(-.*?)\]", r"\1", line).removeprefix("srun "))
            if words[:2] == ["spectrain", "sweep"]:
                _, bound, _ = app.parse_args(words[2:], print_error=False, exit_on_error=False)
                seen.append((bound.signature, words))
    assert len(seen) > 8 and len({str(signature) for signature, _ in seen}) == 4
