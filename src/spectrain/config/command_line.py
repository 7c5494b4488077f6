"""Overrides (``key=value``) and flags (``--key value``, ``--key=value``, ``--key``, ``--no-key``) as entries."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.errors import Problem
from .entries import Entry, normal

ORIGIN = "command line"
_OVERRIDE = re.compile(r"\+{0,2}([A-Za-z_][\w.\-]*)=(.*)", re.DOTALL)
_FLAG = re.compile(r"--([A-Za-z_][\w.\-]*)(?:=(.*))?", re.DOTALL)


def is_override(token: str) -> bool:
    """Say whether a word of the command line is ``key=value`` (Hydra's leading plus signs are allowed)."""
    return _OVERRIDE.fullmatch(token) is not None


def split_tokens(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the words of a command line into overrides and flags; a flag's value stays behind it.

    A flag takes the next word as its value unless that is itself a flag or an override; a value with an equals sign
    is therefore written ``--key=a=b``.
    """
    overrides: list[str] = []
    flags: list[str] = []
    waiting = False
    for token in tokens:
        if is_override(token):
            overrides.append(token)
            waiting = False
        else:
            flags.append(token)
            waiting = not waiting and token.startswith("--") and "=" not in token
    return overrides, flags


def override_entries(overrides: Sequence[str]) -> tuple[list[Entry], list[Problem]]:
    """Return the entries of ``key=value`` words, and a problem for each that is none."""
    from .yaml_file import scalar  # a command's help splits words, and reads none

    entries: list[Entry] = []
    problems: list[Problem] = []
    for token in overrides:
        if (found := _OVERRIDE.fullmatch(token)) is None:
            problems.append(Problem(token or "''", ORIGIN, "is not an option", "write key=value or --key value"))
        else:
            entries.append(Entry(normal(found[1]), scalar(found[2]), ORIGIN, found[2].strip()))
    return entries, problems


def flag_entries(flags: Sequence[str]) -> tuple[list[Entry], list[Problem]]:
    """Return the entries of flags and their values, and a problem for each word that is neither.

    ``--key`` without a value is true. ``--no-key`` never takes a value and is kept as the key ``no_key``: whether it
    denies ``key`` is for the resolver to say, which knows the keys.
    """
    from .yaml_file import scalar

    entries: list[Entry] = []
    problems: list[Problem] = []
    words = list(flags)
    while words:
        token = words.pop(0)
        if (found := _FLAG.fullmatch(token)) is None:
            problems.append(Problem(token or "''", ORIGIN, "is not an option", "write key=value or --key value"))
            continue
        key, text = normal(found[1]), found[2]
        if (
            text is None
            and words
            and not key.startswith("no_")
            and not (_FLAG.fullmatch(words[0]) or is_override(words[0]))
        ):
            text = words.pop(0)
        entries.append(Entry(key, True if text is None else scalar(text), ORIGIN, "true" if text is None else text))
    return entries, problems
