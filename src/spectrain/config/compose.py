"""The chosen group files become one configuration: ours, the parts of plugins, and by Hydra the user's own."""

from __future__ import annotations

import contextlib
import copy
import functools
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import ConfigError, Problem
from ..core.registry import registered
from .library import FOLDER, Library
from .option import options_of
from .schema import GROUPS
from .yaml_file import PlainLoader

_PRIMARY = "spectrain_native_form"
"""Our ``config.yaml`` under a name that no folder of a user's has: theirs is often called ``config.yaml`` too."""
_ONE_AT_A_TIME = threading.Lock()  # Hydra's state is global to the process


def compose_groups(choices: Mapping[str, str], library: Library) -> dict[str, Any]:
    """Return the configuration of the chosen group files as plain nested values.

    Args:
        choices: group -> name; every name exists in ``library``.
        library: where the files are.

    Raises:
        ConfigError: Hydra cannot compose a user's file, for example because its defaults list names no file.
    """
    if library.config_dir is None:
        files = {group: name for group, name in choices.items() if library.file(group, name)}
        parts = {group: _node(name, registered(group)[name]) for group, name in choices.items() if group not in files}
        return copy.deepcopy(_ours(tuple(sorted(files.items())))) | parts
    apart = {group for group, name in choices.items() if library.is_apart(group, name)}
    composed = _composed({**choices, **dict.fromkeys(apart, "none")}, library.config_dir)
    for group in apart:
        composed[group] = {entry.key: entry.value for entry in library.user_entries(group, choices[group])[0]}
    for group, name in choices.items():
        if library.user_file(group, name) and (base := library.base(group, name)):
            values = {**_ours(((group, base),))[group], **(composed.get(group) or {})}
            composed[group] = values if group == "dataset" else {**values, "name": library.part(group, name)}
    return composed


@functools.lru_cache(maxsize=256)
def _ours(choices: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return what our own files compose to.

    They do no more than build on another one of their group, and a test compares this with what Hydra makes of them:
    its import and its composing would be most of a second of every command.
    """
    composed, chosen = _read("config.yaml"), dict(choices)
    defaults = composed.pop("defaults")
    for default in defaults[defaults.index("_self_") + 1 :]:
        ((group, usual),) = default.items()
        if (name := chosen.get(group, usual)) is not None:
            composed[group] = _of_group(group, name)
    return composed


@functools.cache
def _of_group(group: str, name: str) -> dict[str, Any]:
    own = _read(f"{group}/{name}.yaml")
    base, *_ = own.pop("defaults", ["_self_"])
    return own if base == "_self_" else {**_of_group(group, base), **own}


def _read(file: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.load((FOLDER / file).read_text(encoding="utf-8"), PlainLoader)
    return values


def _composed(choices: Mapping[str, str], config_dir: Path | None) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    overrides = [f"{group}={_quoted(name)}" for group, name in choices.items()]
    folder = FOLDER if config_dir is None else config_dir.resolve()
    if config_dir is not None:  # the first folder wins
        overrides.append(f"hydra.searchpath=[{_quoted(f'file://{FOLDER}')}]")
    with _ONE_AT_A_TIME:
        try:
            with (
                _plugin_nodes(ConfigStore.instance()),
                initialize_config_dir(str(folder), version_base="1.3", job_name="spectrain"),
            ):
                composed = OmegaConf.to_container(compose(_PRIMARY, overrides=overrides), resolve=False)
        except Exception as error:  # on an odd file of the user's Hydra fails in many ways, some of them not its own
            where = str(config_dir or FOLDER)
            what = re.sub(r"\s+", " ", str(error) or str(error.__cause__)).strip()
            raise ConfigError([Problem("--config-dir", where, f"cannot be composed: {what}")]) from error
    if not isinstance(composed, dict):
        raise TypeError(f"Hydra composed a {type(composed).__name__}")
    return {str(key): value for key, value in composed.items()}


@contextlib.contextmanager
def _plugin_nodes(store: Any) -> Iterator[None]:
    """Let Hydra find our ``config.yaml`` and the plugins' parts; its store, the whole process's, is left as it was."""
    added: list[tuple[str, str, Any]] = []
    for group in GROUPS:
        for name, part in registered(group).items():
            added.append((group, f"{name}.yaml", store.repo.get(group, {}).get(f"{name}.yaml")))
            store.store(group=group, name=name, node=_node(name, part), provider="plugin")
    store.store(name=_PRIMARY, node=_native_form())
    try:
        yield
    finally:
        del store.repo[f"{_PRIMARY}.yaml"]
        for group, file, before in added:
            del store.repo[group][file]
            if before is not None:
                store.repo[group][file] = before


def _native_form() -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.load(FOLDER / "config.yaml")


def _node(name: str, part: Any) -> dict[str, Any]:
    """Return a plugin's group node: its name and every default of its dataclass."""
    defaults = {key: option.default for key, option in options_of(part.Config).items()}
    return {"name": name, **{key: _plain(value) for key, value in defaults.items() if value is not MISSING}}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _quoted(text: str | Path) -> str:
    """Return text as a quoted value of Hydra's override grammar."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", str(text))) + "'"
