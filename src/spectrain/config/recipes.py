"""Recipes: the lowest layer of a configuration, read by us so that each of its values keeps its origin.

A recipe is a ``# @package _global_`` group file of Hydra that overrides group choices and scalars, so Hydra alone
composes the same configuration from it.
"""

from __future__ import annotations

from dataclasses import replace

from ..core.errors import ConfigError, Problem
from .entries import Entry
from .library import Library
from .sources import read_file


def recipe_entries(name: str, library: Library) -> tuple[list[Entry], list[Problem], list[str]]:
    """Return what a recipe says, the problems in it, and the recipes it is made of, the plainest first.

    Args:
        name: an existing recipe.
        library: where the recipes are.

    Raises:
        ConfigError: a file cannot be read, or recipes build on each other in a circle.
    """
    return _read(name, library, ())


def _read(name: str, library: Library, above: tuple[str, ...]) -> tuple[list[Entry], list[Problem], list[str]]:
    path = library.file("recipe", name)
    if path is None or name in above:
        what = "builds on itself" if name in above else f"there is no {name!r}"
        raise ConfigError([Problem("recipe", f"recipe {above[-1] if above else name}", what)])
    own, problems = read_file(path)
    if library.user_file("recipe", name) is None:
        own = [replace(entry, origin=f"recipe {name}") for entry in own]
    entries, lineage = [], [name]
    for entry in own:
        if entry.key != "defaults":
            entries.append(entry)
            continue
        choices, parents, wrong = defaults_list(entry)
        problems += wrong
        for parent in parents:
            below, wrong, older = _read(parent, library, (*above, name))
            entries, lineage = _overlaid(below, entries), [*older, *lineage]
            problems += wrong
        entries += choices
    return _overlaid(entries, []), problems, lineage


def _overlaid(below: list[Entry], above: list[Entry]) -> list[Entry]:
    """Return entries with the later of two of the same key; a new choice drops what the old one was set to."""
    found: dict[str, Entry] = {}
    for entry in (*below, *above):
        before = found.get(entry.key)
        if before is not None and "." not in entry.key and before.value != entry.value:
            found = {key: kept for key, kept in found.items() if not key.startswith(f"{entry.key}.")}
        found[entry.key] = entry
    return list(found.values())


def defaults_list(entry: Entry) -> tuple[list[Entry], list[str], list[Problem]]:
    """Return the group choices, the plain names, and what is wrong, of a Hydra defaults list.

    Args:
        entry: the key ``defaults`` with a list such as ``[base, {override /model: mine}, {loss: supcon}, _self_]``.
    """
    choices: list[Entry] = []
    names: list[str] = []
    problems: list[Problem] = []
    for item in entry.value if isinstance(entry.value, list) else [None]:
        if isinstance(item, str):
            names += [] if item == "_self_" else [item]
        elif isinstance(item, dict) and len(item) == 1:
            (group, choice), *_ = item.items()
            choices.append(Entry(str(group).removeprefix("override ").strip().lstrip("/"), choice, entry.origin))
        else:
            fix = "write it as a list of `- group: name`"
            problems.append(Problem("defaults", entry.origin, "is not a defaults list", fix))
    return choices, names, problems
