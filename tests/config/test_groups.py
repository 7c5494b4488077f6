"""The group files say what the dataclasses say, and Hydra alone composes what the resolver does."""

from __future__ import annotations

import re
from dataclasses import MISSING
from itertools import zip_longest

import pytest

from spectrain.config import load_config
from spectrain.config.compose import _composed, _ours
from spectrain.config.library import FOLDER, part_of_file
from spectrain.config.option import options_of
from spectrain.config.schema import GROUPS, SECTIONS, DatasetOptions, TopLevel
from spectrain.config.yaml_file import rows_of
from spectrain.core.registry import BUILTIN, lookup

PARTS = [key for key in BUILTIN if key[0] != "reader"]


def values(path):
    return {row.name: row.value.value for row in rows_of(path.read_text(), path.name)}


def comments(path):
    found = (re.fullmatch(r"(\w+): .*?  # (.*)", line) for line in path.read_text().splitlines())
    return {match[1]: match[2] for match in found if match}


def plain(value):
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("group", "name"), PARTS, ids=lambda word: word)
def test_a_group_file_is_its_dataclass(group, name):
    path = FOLDER / group / f"{name}.yaml"
    options = options_of(lookup(group, name).Config)
    expected = {"name": name, **{key: plain(option.default) for key, option in options.items()}}
    assert MISSING not in expected.values()
    assert values(path) == expected
    assert list(values(path)) == list(expected), "in the same order"
    documented = {key: option.doc for key, option in options.items() if option.doc}
    assert {key: comments(path).get(key) for key in documented} == documented


FILES = [(path.parent.name, path.stem) for group in GROUPS for path in sorted((FOLDER / group).glob("*.yaml"))]
VARIANTS = [file for file in FILES if "defaults" in values(FOLDER / file[0] / f"{file[1]}.yaml")]


def test_every_group_file_is_a_part_or_a_variant_of_one():
    assert set(FILES) - set(VARIANTS) == set(PARTS)
    assert VARIANTS


@pytest.mark.parametrize(("group", "name"), VARIANTS, ids=lambda word: word)
def test_a_variant_is_its_part_with_some_options(group, name):
    said = values(FOLDER / group / f"{name}.yaml")
    part, last = said.pop("defaults")
    assert (group, part) in PARTS and last == "_self_"
    options = options_of(lookup(group, part).Config)
    assert set(said) <= set(options)
    cfg = load_config("mae", overrides=[f"{group}={name}"])
    alone = getattr(cfg, group).to_dict()
    recipe = {"dataset", *(key for key, origin in cfg.origins.items() if origin.startswith("recipe"))}
    assert alone["name"] == part == part_of_file(group, name)
    assert {key: alone[key] for key in said if f"{group}.{key}" not in recipe} == said


def test_a_variant_of_the_dataset_sets_some_of_its_options():
    for path in sorted((FOLDER / "dataset").glob("*.yaml")):
        said = values(path)
        if path.stem != "patches":
            assert said.pop("defaults") == ["patches", "_self_"]
            assert set(said) <= set(options_of(DatasetOptions))


def test_the_dataset_file_is_its_dataclass():
    expected = {key: option.default for key, option in options_of(DatasetOptions).items()}
    assert values(FOLDER / "dataset" / "patches.yaml") == expected
    assert comments(FOLDER / "dataset" / "patches.yaml") == {
        key: option.doc for key, option in options_of(DatasetOptions).items()
    }


def test_the_native_form_is_the_schema():
    text = (FOLDER / "config.yaml").read_text()
    rows = {row.name: row.value for row in rows_of(text, "config.yaml")}
    sections = {name: kind for name, kind in SECTIONS.items() if name != "dataset"}
    assert set(rows) == {"defaults", *sections, *options_of(TopLevel)}
    for name, kind in sections.items():
        expected = {key: option.default for key, option in options_of(kind).items()}
        assert {row.name: row.value.value for row in rows[name]} == expected
    assert {key: rows[key].value for key in options_of(TopLevel)} == {
        key: option.default for key, option in options_of(TopLevel).items()
    }


@pytest.mark.parametrize("recipe", sorted(path.stem for path in (FOLDER / "recipe").glob("*.yaml")))
def test_hydra_alone_composes_the_same_from_a_recipe(recipe):
    assert by_hydra(recipe) == load_config(recipe).to_dict()


@pytest.mark.parametrize("choice", ["model=mae_tiny", "augmentation=augment_basic", "dataset=segmentation_dataset"])
def test_hydra_alone_composes_the_same_variant(choice):
    assert by_hydra("mae", choice) == load_config("mae", overrides=[choice]).to_dict()


def test_our_files_are_read_as_hydra_composes_them():
    """Its import and composing would be most of a second of every command."""
    of_group = {group: [name for of, name in VARIANTS if of == group] for group, _ in VARIANTS}
    for names in zip_longest(*of_group.values()):
        choices = {group: name for group, name in zip(of_group, names, strict=True) if name is not None}
        mine, hydras = _ours(tuple(choices.items())), _composed(choices, None)
        assert mine == hydras
        assert [list(one) for one in (mine, *map(mine.get, choices))] == [
            list(one) for one in (hydras, *map(hydras.get, choices))
        ], "in the same order"


def by_hydra(recipe, *overrides):
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(FOLDER), version_base="1.3"):
        composed = OmegaConf.to_container(compose("config", overrides=[f"recipe={recipe}", *overrides]))
    return {"recipe": recipe, **composed}
