"""Options of `prepare` from a preset, a file and the command line; every mistake is reported at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.aliases import known_elsewhere
from ..config.aliases.elsewhere import ELSEWHERE
from ..config.coerce import plain_text
from ..config.command_line import flag_entries, override_entries
from ..config.command_options import known_entries, last, option_values
from ..config.entries import Entry
from ..config.keys import builtin_part_keys, scalars
from ..config.option import Option, options_of
from ..config.schema import DatasetOptions
from ..config.sources import read_file
from ..core.errors import ConfigError, Problem, nearest
from .options import (
    ALIASES,
    KINDS,
    OUTPUT,
    PATCHES,
    PATCHES_ALIASES,
    PRESETS,
    READ,
    Kind,
    PrepareOptions,
)
from .points.dealt import POINTS

WRITTEN = ("n_patches", "preset")
"""Keys of the config.toml that we write, which are no options."""
PAGE = "docs/prepare.md"


def expect_kind(kind: str) -> None:
    """Raise a `ConfigError` unless the kind is one that can be prepared."""
    known = (*KINDS, PATCHES)
    if kind not in known:
        near = nearest(kind, known)
        fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        if Path(kind).is_dir():
            fix = f"the kind comes before the folder: `spectrain prepare scenes data-dir={kind} ...`"
        raise ConfigError([Problem(kind, "command line", "is no kind of scenes", fix)])


def resolve(
    kind: str,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    flags: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
) -> PrepareOptions:
    """Return the options of scenes. What is given higher counts: command line, file, the preset's defaults.

    Args:
        kind: the preset.
        config: options file; of TOML only [spectrain] and [darts] are read, keys count by their last name, and those
            of other commands are left alone.
        overrides: ``key=value`` words.
        flags: ``--key value`` words; a list may be given by several.
        given: values by name, as a Python caller gives them.

    Raises:
        ConfigError: names everything that is wrong.
    """
    expect_kind(kind)
    known = options_of(PrepareOptions)
    found, problems = _values(known, ALIASES, config, overrides, flags, given)
    values = {**PRESETS[kind_of(kind)], **found}
    problems += _together(values, known) if not problems else []
    if problems:
        raise ConfigError(problems)
    return PrepareOptions(**values)


def resolve_patches(
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    flags: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
) -> tuple[DatasetOptions, Path]:
    """Return how patches that are there already are to be read, and the folder to write; see `resolve`.

    Raises:
        ConfigError: names everything that is wrong.
    """
    read = options_of(DatasetOptions)
    known = {name: read[name] for name in READ} | {OUTPUT: options_of(PrepareOptions)[OUTPUT]}
    values, problems = _values(known, PATCHES_ALIASES, config, overrides, flags, given)
    if not problems:
        problems = [
            Problem(name, "options", "must be given", known[name].doc)
            for name in ("path", OUTPUT)
            if not values.get(name)
        ]
    if problems:
        raise ConfigError(problems)
    folder = Path(values.pop(OUTPUT)).expanduser()
    return DatasetOptions(**values), folder


def _values(
    known: Mapping[str, Option],
    aliases: Mapping[str, str],
    config: str | Path | None,
    overrides: Sequence[str],
    flags: Sequence[str],
    given: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], list[Problem]]:
    """Return what a file and the command line say, and what is wrong with it."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    entries, wrong = ([], []) if config is None else read_file(Path(config))
    problems += wrong
    entries = [Entry(last(one.key), one.value, one.origin, one.text) for one in entries]
    bands = next((one.value for one in entries if one.key == "bands" and isinstance(one.value, list)), [])
    file, wrong = known_entries(
        entries, known, aliases, lambda key: _elsewhere(key) or key in WRITTEN or key in bands, PAGE
    )
    problems += wrong
    words: list[Entry] = [Entry(name, value, "argument", plain_text(value)) for name, value in (given or {}).items()]
    for read, tokens in ((override_entries, overrides), (flag_entries, flags)):
        found, wrong = read(tokens)
        words, problems = words + found, problems + wrong
    line, wrong = known_entries(words, known, aliases, lambda key: False, PAGE)
    problems += wrong
    for layer in (file, line):
        found_values, wrong = option_values(layer, known, several=layer is line)
        values |= found_values
        problems += wrong
    return values, problems


def _elsewhere(key: str) -> bool:
    """Say whether another command knows a key."""
    training = {last(one) for one in (*scalars(), *builtin_part_keys())}
    return key in training or known_elsewhere(key) is not None or any(key in keys for keys in ELSEWHERE.values())


def _together(values: Mapping[str, Any], known: Mapping[str, Option]) -> list[Problem]:
    """Return what does not go together."""
    said = {name: values.get(name, option.default) for name, option in known.items()}
    problems = [
        Problem(name, "options", "must be given", known[name].doc)
        for name in ("data_dir", "train_data_dir")
        if not said[name]
    ]

    def wrong(key: str, what: str, fix: str) -> None:
        problems.append(Problem(key, "options", what, fix))

    if said["overlap"] >= said["patch_size"]:
        wrong("overlap", f"{said['overlap']} px are not less than patch_size", "give less")
    if len(said["limits"]) not in (0, 2):
        wrong("limits", f"are two values, not {len(said['limits'])}", "write limits=[0,0.3]")
    if said["folds"] == 1:
        wrong("folds", "cross-validation needs at least two", "give 0 or 2 and more")
    if said["test_regions"] and not said["admin_dir"]:
        wrong("test_regions", "needs the polygons of the regions", "give admin_dir")
    if said["test_val_split"] + said["test_split"] >= 1:
        wrong("test_val_split", "and test_split leave nothing to train on", "give less")
    if said["tpi_inner_radius"] >= said["tpi_outer_radius"]:
        wrong("tpi_inner_radius", "is not less than tpi_outer_radius", "give less")
    if said["split_table"] and (said["blocks"] or said["test_regions"]):
        wrong("split_table", "says the splits, and so does blocks or test_regions", "give one of them")
    if said["labels"] == POINTS:
        for name, fix in (("points", "name their files"), ("points_value", "name the column of the label")):
            if not said[name]:
                wrong(name, "must be given where labels are points", fix)
        if len(said["points_xy"]) not in (0, 2):
            wrong("points_xy", f"are two columns, not {len(said['points_xy'])}", "write points_xy=[lon,lat]")
        if said["label_kind"] == "classes":
            wrong("label_kind", "is classes, and points are values", "burn points of classes into a raster")
        if said["extent"] == "hull":
            wrong("extent", "is the hull of polygons, and labels are points", "name a vector file, or leave it away")
    elif given := [name for name in known if name.startswith("points") and said[name] != known[name].default]:
        wrong(given[0], "says nothing, as labels are no points", "give labels=points")
    doubled = sorted({name for name in said["bands"] if said["bands"].count(name) > 1})
    if doubled:
        wrong("bands", f"{doubled[0]} is there twice", "name each once")
    return problems


def kind_of(text: str) -> Kind:
    """Return a preset by name."""
    return next(kind for kind in KINDS if kind == text)
