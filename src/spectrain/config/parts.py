"""A composed group node, checked against the dataclass of its part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, replace
from typing import Any

from ..core.errors import ConfigError, Problem, SpectrainError, nearest
from ..core.registry import lookup, names
from .coerce import Misfit, coerce, plain_text
from .option import Option, options_of
from .schema import Part
from .targets import part_of, refused
from .translate import Setting

_NAMED = 3
"""Parts that are named at most."""


class Node:
    """One group's node on its way to a `Part`.

    Args:
        group: the group.
        choice: the chosen group file, and where it was chosen.
        values: the node as composed; its ``name`` (or a printed ``_target_``) says which part it is for.
        origins: full key -> file and line, for what the user's own group files say.
    """

    def __init__(self, group: str, choice: Setting, values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        self.group, self.choice, self.file_origins = group, choice, origins
        self.problems: list[Problem] = []
        self.name = self._part_name(values)
        self.kind: type | None = None
        self.options: dict[str, Option] = {}
        try:
            self.kind = lookup(group, self.name).Config
            self.options = options_of(self.kind) if self.kind is not None else {}
        except SpectrainError as error:
            self.problems.append(Problem(f"{group}.name", self._origin("name"), error.what, error.fix))
        self.settings = {
            key: Setting(value, self._origin(key), plain_text(value), key)
            for key, value in ((str(key), value) for key, value in values.items())
            if key not in ("name", "_target_")
        }

    def _origin(self, key: str) -> str:
        named = self.choice.origin if key == "name" else "default"
        return self.file_origins.get(f"{self.group}.{key}", named)

    def _part_name(self, values: Mapping[str, Any]) -> str:
        target = values.get("_target_")
        if target is not None:
            if name := part_of(self.group, target):
                return name
            fix = f"write name: with one of {', '.join(names(self.group))}"
            self.problems.append(Problem(f"{self.group}._target_", self._origin("_target_"), refused(target), fix))
        return str(values.get("name", self.choice.value))

    def knows(self, key: str) -> bool:
        """Say whether the part has an option of this name."""
        return key in self.options

    def part(self) -> Part | None:
        """Return the part with its options; None where something is wrong, which then is in `problems`."""
        values = {}
        for key, setting in self.settings.items():
            if not self.knows(key):
                self._unknown(key, setting)
                continue
            try:
                values[key] = coerce(setting.value, self.options[key], setting.text)
            except Misfit as misfit:
                self.problems.append(Problem(self._shown(key, setting), setting.origin, misfit.what, misfit.fix))
        for key, option in self.options.items():
            if option.default is MISSING and key not in self.settings:
                self.problems.append(
                    Problem(f"{self.group}.{key}", self.choice.origin, "must be given", option.doc or None)
                )
        if self.problems or self.kind is None:
            return None
        try:
            return Part(self.group, self.name, self.kind(**values))
        except ConfigError as error:
            self.problems += [self._placed(problem) for problem in error.problems]
        except (ValueError, TypeError, SpectrainError) as error:
            self.problems.append(Problem(self.group, self.choice.origin, str(error)))
        return None

    def _placed(self, problem: Problem) -> Problem:
        """Return what an option class says of its values, with the place where the value was written."""
        setting = self.settings.get(problem.key.removeprefix(f"{self.group}."))
        return problem if setting is None else replace(problem, origin=setting.origin)

    def _unknown(self, key: str, setting: Setting) -> None:
        if self.kind is None:
            return
        near = nearest(key, self.options)
        has = f"{self.group} {self.name} has {', '.join(self.options) or 'no options'}"
        fix = f"did you mean {self.group}.{near[0]}? {has}" if near else f"{self._elsewhere(key)}{has}"
        self.problems.append(Problem(self._shown(key, setting), setting.origin, "is not an option", fix))

    def _elsewhere(self, key: str) -> str:
        """Return which other parts of the group have an option, as words to begin with; nothing where none has."""
        others = [name for name in names(self.group) if _has_option(self.group, name, key)][:_NAMED]
        if not others:
            return ""
        named = " or ".join(f"{self.group}={name}" for name in others)
        return f"it is an option of {named}: leave it out, or choose that; "

    def _shown(self, key: str, setting: Setting) -> str:
        return shown_key(f"{self.group}.{key}", setting)


def _has_option(group: str, name: str, key: str) -> bool:
    try:
        kind = lookup(group, name).Config
        return kind is not None and key in options_of(kind)
    except (SpectrainError, ImportError, AttributeError):  # a plugin's, which is not what went wrong
        return False


def shown_key(key: str, setting: Setting) -> str:
    """Return a native key, with the name it was written by where that is another."""
    plain = setting.written in (key, key.rpartition(".")[2])
    return key if plain else f"{key} (written {setting.written})"


def flat(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Yield dotted keys and values of nested tables."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(f"{name}.{key}" if name else str(key), item)
    else:
        yield name, value
