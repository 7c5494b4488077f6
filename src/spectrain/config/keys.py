"""Which keys there are, which one a bare name means, and which one a wrong name was meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from ..core.errors import nearest
from ..core.registry import registered
from .entries import OPEN
from .library import FOLDER
from .option import Option, options_of
from .schema import GROUPS, SECTIONS, TopLevel
from .sources import read_file

CHOICES = (*GROUPS, "dataset")
"""Keys that choose a group file: ``model=supcon_resnet``."""


@cache
def scalars() -> dict[str, Option]:
    """Return the options that every training has, by full key."""
    found = dict(options_of(TopLevel))
    for section, kind in SECTIONS.items():
        found |= {f"{section}.{name}": option for name, option in options_of(kind).items()}
    return found


@cache
def builtin_part_keys() -> frozenset[str]:
    """Return ``group.key`` of all built-in parts, from their group files; imports no part."""
    entries = [
        (group, entry.key)
        for group in GROUPS
        for path in sorted((FOLDER / group).glob("*.yaml"))
        for entry in read_file(path)[0]
    ]
    return frozenset(f"{group}.{key}" for group, key in entries if key not in ("name", "defaults"))


def part_keys() -> frozenset[str]:
    """Return ``group.key`` of all parts there are, plugins included."""
    plugins = {
        f"{group}.{key}" for group in GROUPS for part in registered(group).values() for key in options_of(part.Config)
    }
    return builtin_part_keys() | plugins


def is_open(key: str) -> bool:
    """Say whether a key lies below an open table, where any name is allowed."""
    return any(key.startswith(prefix) and len(key) > len(prefix) for prefix in OPEN)


def bare(name: str) -> list[str]:
    """Return the full keys whose last name is ``name``: one where a bare name is enough."""
    return sorted(key for key in {*scalars(), *part_keys()} if key.rpartition(".")[2] == name)


def advice(key: str, chosen: Mapping[str, Iterable[str]], aliases: Mapping[str, str | None]) -> str | None:
    """Return what a key that does not exist was most likely meant to be, or what there is.

    Args:
        key: the key as it was written.
        chosen: group -> keys of its chosen part.
        aliases: names of the recipe's users -> native key.
    """
    native = {*scalars(), *(f"{group}.{name}" for group, names in chosen.items() for name in names)}
    section, _, leaf = key.rpartition(".")
    siblings = sorted(name for above, _, name in (known.rpartition(".") for known in native) if above == section)
    if elsewhere := sorted(known for known in native if known.rpartition(".")[2] == leaf):
        return f"did you mean {' or '.join(elsewhere)}?"
    theirs = {alias.removesuffix(".*"): native for alias, native in aliases.items() if "=" not in alias}
    if section and siblings:
        beside = [alias.rpartition(".")[2] for alias in theirs if alias.rpartition(".")[0] == section]
        near = nearest(leaf, [*siblings, *beside])
        return f"did you mean {_with(section, near[0], theirs)}?" if near else f"{section} has {', '.join(siblings)}"
    if near := nearest(key, [*native, *theirs, *CHOICES]):
        return f"did you mean {_with('', near[0], theirs)}?"
    near = nearest(leaf, [known.rpartition(".")[2] for known in native])
    return f"did you mean {' or '.join(bare(near[0]) or near)}?" if near else None


def _with(section: str, name: str, theirs: Mapping[str, str | None]) -> str:
    """Return a key, and behind a name of theirs in brackets ours."""
    key = f"{section}.{name}" if section else name
    meaning = (theirs.get(key) or "").removesuffix(".*")
    return f"{key} ({meaning})" if meaning else key
