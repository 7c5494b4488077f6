"""Every block of code of every page: a typo in a command, a key, a name or a call fails here.

Commands are checked as the program reads them, without running anything; Python is compiled, and what it calls of
`spectrain` is held against the real signatures. Pages whose blocks are run besides have tests of their own beside this
one. A block that cannot be checked says so on the page, in a comment before it: ``<!-- not checked: REASON -->``.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from blocks import DOCS, Block, blocks_of, pages
from page_commands import check, lines_of

import spectrain
from spectrain.config import load_config
from spectrain.config.options_page import page as options_page
from spectrain.core import registry
from spectrain.sweeps.plan import Plan

BLOCKS = [(page, block) for page in pages() for block in blocks_of(page)]
NAMES = [f"{page}:{block.line}" for page, block in BLOCKS]
_EXCUSE = re.compile(r"<!-- not checked: (.+) -->\n$")


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Somewhere without files and personal defaults, and with plugins that no other test sees."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_REGISTERED", {})
    for name in [name for name in sys.modules if name.startswith("spectrain_plugin_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)


def check_shell(text: str, line: int) -> None:
    found = lines_of(Block("sh", text, line))
    assert found, "a block without a command"
    for one in found:
        check(one)


def check_python(text: str, line: int) -> None:
    """Public names that are used are there, and take the arguments that they are given."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "spectrain":
            assert node.attr in spectrain.__all__, f"spectrain has no {node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "spectrain":
                assert node.func.attr in spectrain.__all__, f"spectrain has no {node.func.attr}"
                given = {one.arg: None for one in node.keywords if one.arg}
                inspect.signature(getattr(spectrain, node.func.attr)).bind_partial(*node.args, **given)


def check_yaml(text: str, line: int) -> None:
    """A sweep's file, an options file of a recipe, or a group's file."""
    said = yaml.safe_load(text)
    if "parameters" in said:
        Plan("s", str(said.get("recipe", "segmentation")), "sweep.yaml", text).check()
    elif "recipe" in said:
        Path("options.yaml").write_text(text)
        load_config(config="options.yaml", use_personal=False)
    else:
        assert "defaults" in said, "neither a sweep, nor an options file that names its recipe, nor a group's file"


def check_toml(text: str, line: int) -> None:
    """Personal defaults, or options of any recipe."""
    assert set(tomllib.loads(text)) <= {"spectrain", "darts"}
    Path("spectrain.toml").write_text(text)
    load_config("segmentation", config="spectrain.toml", use_personal=False)


CHECKS = {
    "sh": check_shell,
    "python": check_python,
    "yaml": check_yaml,
    "toml": check_toml,
    "json": lambda text, line: json.loads(text),
    "": lambda text, line: None,  # drawings, tables of files, what a command printed
}


def excuse(page: str, block: Block) -> str | None:
    """Return why a block is not checked, where the page says so."""
    before = "\n".join((DOCS / page).read_text().splitlines()[: block.line - 1]) + "\n"
    found = _EXCUSE.search(before)
    return found[1] if found else None


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=NAMES)
def test_block(page: str, block: Block):
    assert block.language in CHECKS, f"{page}:{block.line}: nothing knows how to check {block.language!r}"
    if excuse(page, block) is None:
        CHECKS[block.language](block.text, block.line)


@pytest.mark.parametrize("page", pages())
def test_every_fence_is_a_block(page: str):
    text = (DOCS / page).read_text()
    fences = re.findall(r"^\s*(?:```|~~~)", text, flags=re.MULTILINE)
    assert len(fences) == 2 * len(blocks_of(page)), (
        "a block is indented, or has more than its language on its first line"
    )


OWN = {"loss.power"}
"""Of the plugin that docs/extending.md shows."""
KEYS = OWN | set(re.findall(r"^\| `([a-z_]+\.[\w.]+)`", options_page(), flags=re.MULTILINE))
GROUPS = {key.partition(".")[0] for key in KEYS}
FILES = (".py", ".json", ".toml", ".safetensors")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@pytest.mark.parametrize("page", [page for page in pages() if page not in ("options.md", "promises.md")])
def test_options_and_verbs_that_the_text_names(page: str):
    """`hparams.epochs` and `spectrain train ...` in a sentence or a table are ones that there are."""
    verbs = {"train", "test", "predict", "embed", "prepare", "inspect", "report", "sweep", "export", "demo", "options"}
    verbs |= {"import-weights", "--help", "--version"}
    wrong = []
    for span in _SPAN.findall(re.sub(r"^```.*?^```$", "", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL)):
        words = span.split()
        if words[0] == "spectrain" and len(words) > 1 and words[1] not in verbs:
            wrong.append(span)
        for key in re.findall(r"(?:^|\s)([a-z_]+\.[a-z_.]*[a-z_])(?==|$|\s)", span):
            if key.partition(".")[0] in GROUPS and key not in KEYS and not key.endswith(FILES):
                wrong.append(key)
    assert not wrong


def test_a_wrong_command_is_found():
    for line in (
        "spectrain trian contrastive",
        "spectrain train contrastive hparams.epoch=3",
        "spectrain train contrastive model.backbone=resnet19",
        "spectrain predict RUN scene.tif --out map.tif",
        "spectrain prepare scenes patchsize=3",
        "spectrain sweep sweep.yaml --device 0 hparams.epoch=3",
        "spectrain demo contrastiv",
        "torchrun --nproc-per-node 2 -m spectrain train mae model=mae_larg",
        "make tset",
        "pip install 'spectrain[geos]'",
        "rm -rf data",
    ):
        with pytest.raises(Exception):  # noqa: B017 - of the parser, of ours, or an assertion
            check(line)
    with pytest.raises(AssertionError):
        check_python("import spectrain\nspectrain.trane()", 1)
    with pytest.raises(TypeError):
        check_python("import spectrain\nspectrain.train('mae', overides=[])", 1)
