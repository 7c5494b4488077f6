"""Options of a command other than train: a dataclass, filled from options file and command line.

`load_config` composes trainings; commands with a flat list of options of their own read them here, by the same syntax
of files and words, the same types and the same messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast, get_args, get_origin

from ..core.errors import ConfigError, Problem, nearest
from .coerce import Misfit, coerce, plain_text
from .entries import Entry
from .option import Option, options_of

T = TypeVar("T")


def last(key: str) -> str:
    """Return a key without its tables: in files of commands only the last name counts."""
    return key.rpartition(".")[2]


def known_entries(
    entries: Sequence[Entry],
    known: Mapping[str, Option],
    aliases: Mapping[str, str],
    left_alone: Callable[[str], bool],
    page: str,
) -> tuple[list[Entry], list[Problem]]:
    """Return entries under the names of options, and a problem for each that is none.

    Args:
        entries: what was given; ``no_x=true`` means ``x=false``.
        known: the options by name.
        aliases: other names of options.
        left_alone: says whether a key that is no option is another command's.
        page: that lists the options, for the message.
    """
    found: list[Entry] = []
    problems: list[Problem] = []
    for entry in entries:
        key, value = aliases.get(entry.key, entry.key), entry.value
        if key not in known and key.startswith("no_") and isinstance(value, bool):
            key, value = key.removeprefix("no_"), not value
        if key in known:
            found.append(Entry(key, value, entry.origin, entry.text if value is entry.value else None))
        elif not left_alone(key):
            near = nearest(entry.key, [*known, *aliases])
            fix = f"did you mean {near[0]}?" if near else f"{page} lists the options"
            problems.append(Problem(entry.key, entry.origin, "is no option", fix))
    return found, problems


def option_values(
    entries: Sequence[Entry], known: Mapping[str, Option], *, several: bool
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values in the types of their options, and what is wrong with them.

    Args:
        entries: under the names of options.
        known: the options by name.
        several: a list may be given by several entries; otherwise a second one is a mistake.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[Problem] = []
    for entry in entries:
        option = known[entry.key]
        listed = get_origin(option.hint) is list
        value = _listed(entry.value, entry.text) if listed else entry.value
        if listed and isinstance(value, list) and get_args(option.hint)[0] is str:
            value = [plain_text(one) if isinstance(one, int | float) else one for one in value]
        try:
            made = coerce(value, option, entry.text)
        except Misfit as misfit:
            problems.append(Problem(entry.key, entry.origin, misfit.what, misfit.fix))
            continue
        if entry.key in values and not (several and listed):
            problems.append(Problem(entry.key, entry.origin, f"is given twice, first in {origins[entry.key]}"))
        elif entry.key in values:
            values[entry.key] = [*values[entry.key], *made]
        else:
            values[entry.key], origins[entry.key] = made, entry.origin
    return values, problems


def with_given(options: T, given: Mapping[str, Any]) -> T:
    """Return options of a dataclass with those replaced that a Python caller gives by name.

    Raises:
        ConfigError: names every one that is none, or whose value it does not take.
    """
    if not given:
        return options
    known = options_of(type(options))
    entries = [Entry(name, value, "argument", plain_text(value)) for name, value in given.items()]
    found, problems = known_entries(entries, known, {}, lambda key: False, "docs/options.md")
    values, wrong = option_values(found, known, several=False)
    if problems or wrong:
        raise ConfigError([*problems, *wrong])
    return cast(T, replace(cast(Any, options), **values))


def _listed(value: Any, text: str | None) -> Any:
    """Return one value as a list of it. Lists with ``{scene}`` and formulas are read here: YAML stumbles over them."""
    written = value if isinstance(value, str) else text or ""
    if written.startswith("[") and written.endswith("]") and ("{" in written or "(" in written):
        parts = re.split(r",(?![^({]*[)}])", written[1:-1])
        return [part.strip().strip("'\"") for part in parts if part.strip()]
    return value if isinstance(value, list) or value is None else [value]
