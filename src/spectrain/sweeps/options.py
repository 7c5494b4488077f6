"""The options of `spectrain sweep`, named as the documents of its users name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.command_line import ORIGIN, is_override, override_entries
from ..config.command_options import known_entries, last, option_values
from ..config.entries import Entry
from ..config.option import option, options_of
from ..config.sources import read_file
from ..core.errors import ConfigError, Problem
from .plan import Score

PAGE = "docs/sweeps.md"


@dataclass(frozen=True)
class SweepOptions:
    """Which sweep, where it is kept, and what this start does for it."""

    sweep_config: str | None = option(None, "the sweep file")
    recipe: str | None = option(None, "what is trained; null is segmentation")
    sweep_id: str | None = option(
        None, "the sweep to go on with, or to begin under this name; null begins one", pattern=r"\w[\w.\-]*"
    )
    sweep_db: str | None = option(
        None, "postgresql://USER@HOST:PORT/NAME, sqlite:///FILE or journal:FILE; null is SQLite in the sweep's folder"
    )
    device: str | None = option(None, "what to train on; null only begins the sweep")
    devices: list[str] = option([], "one runner on each of these")
    runner: str | None = option(None, "name that n_trials are counted by, across restarts; null is a new one each time")
    n_trials: int | None = option(
        None, "trials that each runner begins; null is 10, or what total_trials or a grid leave", minimum=1
    )
    total_trials: int | None = option(None, "trials of the whole sweep, whoever runs them", minimum=1)
    n_folds: int | None = option(
        None,
        "folds of each trial, from the first on; 1 takes the data's own splits; null is 5, of encoders 1",
        minimum=1,
    )
    n_randoms: int | None = option(None, "seeds of each trial: 42, 21, 69, ...; null is 3, of encoders 1", minimum=1)
    score: Score = option("best", "what a run scores: its best epoch, or its last")
    sweep_seed: int = option(0, "seed of random search", minimum=0)


TRAINING_ONLY = "general.device"
"""In an options file this says what to train on, not that a sweep is to start; ``device`` says both."""


def read_options(
    config: str | Path | None, overrides: Sequence[str], given: Mapping[str, Any]
) -> tuple[SweepOptions, list[str]]:
    """Return the options of the sweep, and the words that are left for the training.

    What is given higher counts: arguments and ``key=value`` words, then the options file.

    Args:
        config: options file, most of which is the training's.
        overrides: ``key=value`` words; those that are no options of a sweep are the training's.
        given: arguments by name; None is not given.

    Raises:
        ConfigError: with every mistake at once.
    """
    known = options_of(SweepOptions)
    problems: list[Problem] = []
    entries, wrong = ([], []) if config is None else read_file(Path(config))
    problems += [one for one in wrong if last(one.key) in known]  # of the others the training will speak
    file = [Entry(last(one.key), one.value, one.origin, one.text) for one in entries if one.key != TRAINING_ONLY]
    ours = [one for one in overrides if is_override(one) and _name(one) in known]
    words, wrong = override_entries(ours)
    problems += wrong
    words += [
        Entry(name, value, ORIGIN, str(value))
        for name, value in given.items()
        if value is not None and value != () and value != []
    ]
    values: dict[str, Any] = {}
    for layer in (file, words):
        found, _ = known_entries(layer, known, {}, lambda key: True, PAGE)
        read, wrong = option_values([_split(one) for one in found], known, several=False)
        values |= read
        problems += wrong
    if problems:
        raise ConfigError(problems)
    return SweepOptions(**values), [one for one in overrides if one not in ours]


def _name(word: str) -> str:
    return word.partition("=")[0].lstrip("+").replace("-", "_")


def _split(entry: Entry) -> Entry:
    """Return an entry whose value is a list where it names several devices, as ``0,1,2``."""
    if entry.key == "devices" and not isinstance(entry.value, list):
        return Entry(entry.key, [one.strip() for one in str(entry.text).split(",") if one.strip()], entry.origin, None)
    return entry
