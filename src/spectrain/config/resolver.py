"""From recipe, personal defaults, file and command line to one `Config`; every mistake is reported at once.

The order of things: read each source to (key, value, origin); translate other systems' names; let Hydra compose the
chosen group files; lay the sources over that, the higher over the lower; check each value against the schema and each
group against the dataclass of its part.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, Problem
from .aliases import known_to_command, table_of
from .coerce import Misfit, coerce, plain_text, shown
from .command_line import ORIGIN, flag_entries, override_entries
from .compose import compose_groups
from .entries import Entry
from .keys import advice, is_open, part_keys, scalars
from .layers import Layers
from .library import Library
from .option import Option
from .parts import Node, flat, shown_key
from .plugins import load_plugins
from .recipes import recipe_entries
from .schema import GROUPS, SECTIONS, Config, TopLevel
from .sources import read_file, read_values
from .targets import part_of, refused
from .translate import Layer, Setting

log = logging.getLogger("spectrain")

PERSONAL = "spectrain.toml"
PERSONAL_VARIABLE = "SPECTRAIN_CONFIG"
_PERSONAL_LAYER = 2  # of recipe, the user's group files, personal defaults, file, command line
_TEXT = Option("text", str, "", {})


def load_config(
    recipe: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    flags: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    config_dir: str | Path | None = None,
    use_personal: bool | Path = True,
) -> Config:
    """Return the configuration of a training.

    A value given in several places is taken from the highest: command line, file, personal defaults, recipe. Where a
    higher source chooses another part of a group, what lower sources said of the old part no longer counts.

    Args:
        recipe: name of the recipe; None takes the key ``recipe`` of ``config``.
        config: options file (JSON with comments, TOML or YAML), in our names or in those the recipe's users know; or
            what would stand in it, as nested values.
        overrides: ``key=value`` words.
        flags: ``--key value``, ``--key=value``, ``--key``, ``--no-key`` words.
        plugins: modules or files to import first; they register parts.
        config_dir: folder with group files of the user's own.
        use_personal: read ``./spectrain.toml``, or the file that ``$SPECTRAIN_CONFIG`` names; a path is that file.

    Raises:
        ConfigError: with every mistake at once, each with its key, file and line, and what would be right.
    """
    load_plugins(plugins)
    personal = use_personal if isinstance(use_personal, Path) else personal_file(config) if use_personal else None
    return _Resolver(Library(config_dir)).resolve(recipe, personal, config, overrides, flags)


def personal_file(config: str | Path | Mapping[str, Any] | None) -> Path | None:
    """Return the file of personal defaults, unless there is none or it is the options file itself."""
    named = os.environ.get(PERSONAL_VARIABLE)
    path = Path(named or PERSONAL).expanduser()
    if not named and not path.is_file():
        return None
    return None if isinstance(config, str | Path) and Path(config).absolute() == path.absolute() else path


def _named(config: str | Path | Mapping[str, Any]) -> str:
    """Return how messages call what was given as ``config``."""
    return "the options given" if isinstance(config, Mapping) else str(config)


class _Resolver:
    """One resolution: the mistakes found so far, and the layers from the lowest to the highest."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.problems: list[Problem] = []
        self.left_alone: dict[str, str] = {}
        self.origins: dict[str, str] = {}

    def resolve(
        self,
        recipe: str | None,
        personal: Path | None,
        config: str | Path | Mapping[str, Any] | None,
        overrides: Sequence[str],
        flags: Sequence[str],
    ) -> Config:
        files = [self._given(personal), self._given(config)]
        words = [*self._kept(override_entries(overrides)), *self._kept(flag_entries(flags))]
        asked = f"{ORIGIN}, {_named(config)}" if config is not None else ORIGIN
        name = self._recipe_name(recipe, [*files, words], asked)
        nothing: tuple[list[Entry], list[Problem], list[str]] = ([], [], [name])
        found = recipe_entries(name, self.library) if name in self.library.names("recipe") else nothing
        entries, problems, lineage = found
        self.problems += problems
        table = {key: alias for base in lineage for key, alias in table_of(base).items()}
        aliases = {key: alias for key, alias in table.items() if not self._is_users_choice(key)}
        natives = {key: native for key, (native, _) in aliases.items()}
        layers = Layers(self.library, aliases, name, (entries, *files, words))
        for layer in layers:
            self.problems += layer.problems
            self.left_alone |= layer.left_alone
        nodes, composed = self._nodes(layers)
        self._lay_over(nodes, layers)
        values = self._scalars(composed, layers)
        parts = {group: node.part() for group, node in nodes.items()}
        known = {group: node.options for group, node in nodes.items()}
        self.problems += [problem for node in nodes.values() for problem in node.problems]
        self.problems += [
            Problem(entry.key, entry.origin, "is not an option", advice(entry.key, known, natives))
            for layer in layers
            for entry in layer.unknown
        ]
        if self.problems:
            raise ConfigError(self.problems)
        return self._config(name, values, {group: part for group, part in parts.items() if part is not None})

    def _given(self, options: str | Path | Mapping[str, Any] | None) -> list[Entry]:
        try:
            if options is None:
                return []
            if isinstance(options, Mapping):
                return self._kept(read_values(options, _named(options)))
            return self._kept(read_file(Path(options)))
        except ConfigError as error:
            self.problems += error.problems
            return []

    def _kept(self, read: tuple[list[Entry], list[Problem]]) -> list[Entry]:
        self.problems += read[1]
        return read[0]

    def _recipe_name(self, recipe: str | None, sources: list[list[Entry]], asked: str) -> str:
        """Return the recipe's name, and take the key ``recipe`` out of the sources; ``asked`` says where it may be."""
        name, origin = recipe, ORIGIN
        for source in reversed(sources):
            for entry in [entry for entry in source if entry.key == "recipe"]:
                source.remove(entry)
                if name is None and entry.value is not None:
                    name, origin = str(entry.value), entry.origin
                elif entry.origin == ORIGIN and entry.value != name:
                    self.problems.append(Problem("recipe", ORIGIN, f"is given twice, as {name} and as {entry.value}"))
        if name is None:
            choices = ", ".join(self.library.names("recipe"))
            self.problems.append(Problem("recipe", asked, "is not given", f"name one of {choices}"))
        elif (missing := self.library.missing("recipe", name, origin)) and not any(map(_is_whole, sources)):
            self.problems.append(missing)
        else:
            return name
        raise ConfigError(self.problems)

    def _is_users_choice(self, alias: str) -> bool:
        """Say whether a name of theirs for one of our choices (``loss=custom_loss``) is a file of the user's own."""
        group, chooses, choice = alias.partition("=")
        return bool(chooses) and self.library.user_file(group, choice) is not None

    def _nodes(self, layers: Layers) -> tuple[dict[str, Node], dict[str, Any]]:
        """Return a node for each group that is chosen rightly, and what Hydra composed."""
        chosen: dict[str, Setting] = {}
        for layer in layers:
            chosen |= layer.choices
        for group in GROUPS:
            if group not in chosen:
                self.problems.append(Problem(group, "recipe", "is not chosen", f"write {group}=NAME"))
        right: dict[str, Setting] = {}
        for group, choice in chosen.items():
            if missing := self.library.missing(group, str(choice.value), choice.origin):
                self.problems.append(missing)
            elif self._user_file(group, str(choice.value)):
                right[group] = choice
        try:
            composed = compose_groups({group: str(choice.value) for group, choice in right.items()}, self.library)
        except ConfigError as error:
            raise ConfigError([*self.problems, *error.problems]) from error
        for group, choice in right.items():
            layers.strip(group, str(choice.value), composed.get(group) or {})
        self._dataset_target(composed.get("dataset") or {})
        nodes = {}
        for group in GROUPS:
            values = composed.pop(group, None) or {}
            if group in right:
                nodes[group] = Node(group, right[group], values, self.origins)
                self.origins[f"{group}.name"] = right[group].origin
        return nodes, composed

    def _dataset_target(self, values: dict[str, Any]) -> None:
        """Take a printed class path out of the composed dataset, which has no part to be checked by."""
        target = values.pop("_target_", None)
        if target is not None and part_of("dataset", target) is None:
            origin = self.origins.get("dataset._target_", "default")
            self.problems.append(Problem("dataset._target_", origin, refused(target)))

    def _user_file(self, group: str, name: str) -> bool:
        """Note where the user's group file (nothing for ours) sets what; say whether it is free of mistakes."""
        try:
            entries, problems = self.library.user_entries(group, name)
        except ConfigError as error:
            self.problems += error.problems
            return False
        problems += [
            Problem(f"{group}.{entry.key}", entry.origin, "cannot hold ${...}", "write the value out")
            for entry in entries
            if "${" in str(entry.value)
        ]
        self.problems += problems
        self.origins |= {f"{group}.{entry.key}": entry.origin for entry in entries}
        if self.library.replaces(group, name):
            log.info("%s=%s is %s, instead of the built-in one", group, name, self.library.user_file(group, name))
        return not problems

    def _lay_over(self, nodes: dict[str, Node], layers: Layers) -> None:
        """Set the options of parts from the layers, except what was said of a part that a higher layer replaced.

        Personal defaults serve all recipes: what they say of parts that are not chosen here is left alone too.
        """
        for group, node in nodes.items():
            chosen_in = max(index for index, layer in enumerate(layers) if group in layer.choices)
            for index, layer in enumerate(layers):
                own = layer.choices.get(group)
                replaced = own is not None and own.value != node.choice.value
                for key, setting in layer.settings.items():
                    if not key.startswith(f"{group}."):
                        continue
                    name = key.removeprefix(f"{group}.")
                    foreign = index < chosen_in or (index == _PERSONAL_LAYER and key in part_keys())
                    foreign = foreign and index != layers.files_at
                    if replaced or (foreign and not node.knows(name)):
                        self.left_alone[key] = f"{setting.origin}, not for {group}={node.choice.value}"
                    elif not node.knows(name) and (command := known_to_command(setting.written)):
                        self.left_alone[setting.written] = f"{setting.origin}, of {command}"
                    else:
                        node.settings[name] = setting
            self.origins |= {f"{group}.{name}": setting.origin for name, setting in node.settings.items()}

    def _scalars(self, composed: dict[str, Any], layers: list[Layer]) -> dict[str, Any]:
        """Return the checked values of all scalar options; each layer is checked, the highest counts."""
        values = {key: option.default for key, option in scalars().items()}
        base = Layer()
        for key, value in flat("", composed):
            origin = self.origins.get(key, "default")
            if key in values or is_open(key):
                base.settings[key] = Setting(value, origin, plain_text(value), key)
            else:
                base.unknown.append(Entry(key, value, str(self.library.config_dir)))
        self.problems += [Problem(item.key, item.origin, "is not an option") for item in base.unknown]
        chosen = [layer.choices["dataset"].value for layer in layers if "dataset" in layer.choices]
        for layer in (base, *layers):
            replaced = "dataset" in layer.choices and layer.choices["dataset"].value != chosen[-1]
            for key, setting in layer.settings.items():
                section = key.partition(".")[0]
                if section == "dataset" and replaced:
                    self.left_alone[key] = f"{setting.origin}, not for dataset={chosen[-1]}"
                elif section not in GROUPS:
                    self._scalar(key, setting, values)
        return values

    def _scalar(self, key: str, setting: Setting, values: dict[str, Any]) -> None:
        try:
            if is_open(key):
                table, _, name = key.partition(".tags.")
                text = setting.text if setting.text is not None else shown(setting.value)
                coerce(f"{name}{text}", _TEXT)
                values[f"{table}.tags"] = {**values[f"{table}.tags"], name: text}
            elif key in values:
                values[key] = coerce(setting.value, scalars()[key], setting.text)
            self.origins[key] = setting.origin
        except Misfit as misfit:
            self.problems.append(Problem(shown_key(key, setting), setting.origin, misfit.what, misfit.fix))

    def _config(self, recipe: str, values: dict[str, Any], parts: dict[str, Any]) -> Config:
        sections = {
            section: kind(**{item.name: values[f"{section}.{item.name}"] for item in fields(kind)})
            for section, kind in SECTIONS.items()
        }
        top = {item.name: values[item.name] for item in fields(TopLevel)}
        return Config(
            **top, **sections, **parts, recipe=recipe, origins=dict(self.origins), left_alone=dict(self.left_alone)
        )


def _is_whole(source: list[Entry]) -> bool:
    """Say whether a source chooses every part, as a run's ``config.yaml`` does: it needs no recipe below it."""
    return {f"{group}.name" for group in GROUPS} <= {entry.key for entry in source}
