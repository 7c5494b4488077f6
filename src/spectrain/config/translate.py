"""One layer of entries, in anybody's names, to settings in ours; every mistake in it is collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.errors import Problem, nearest
from .aliases import AliasError, Converter, Settings, as_is, known_elsewhere
from .coerce import shown
from .command_line import ORIGIN
from .entries import Entry
from .keys import CHOICES, bare, is_open, scalars
from .recipes import defaults_list
from .schema import GROUPS, SECTIONS
from .targets import TARGETS, part_of, refused


@dataclass(frozen=True, slots=True)
class Setting:
    """A native key's value, and where it came from.

    Attributes:
        value: plain value, not yet checked.
        origin: where it was written.
        text: the value as it was written, if known.
        written: the key as it was written.
        converter: what made it of another system's value; None where nothing was to be made.
    """

    value: Any
    origin: str
    text: str | None
    written: str
    converter: Converter | None = None


@dataclass
class Layer:
    """What one source says, in native keys.

    Attributes:
        settings: values of scalars and of parts' options.
        choices: group -> the name that this layer chose.
        targets: group -> the part that a printed class path names; which choice that is, is up to all layers.
        unknown: entries whose keys mean nothing.
        left_alone: keys of other commands, and their origins.
        problems: what is wrong.
    """

    settings: dict[str, Setting] = field(default_factory=dict)
    choices: dict[str, Setting] = field(default_factory=dict)
    targets: dict[str, Setting] = field(default_factory=dict)
    unknown: list[Entry] = field(default_factory=list)
    left_alone: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class Translator:
    """Translates layers from the lowest to the highest.

    Args:
        aliases: their key -> (native key or None, converter).
    """

    def __init__(self, aliases: Mapping[str, tuple[str | None, Converter]]) -> None:
        self.aliases = aliases
        self.prefixes = {key[:-2]: native and native[:-2] for key, (native, _) in aliases.items() if key[-2:] == ".*"}
        self.theirs: dict[str, Any] = {}

    def named(self, key: str) -> str:
        """Return a key with the name of their group replaced by ours (``accuracy.ssim`` is ``metric.ssim``)."""
        for theirs, ours in self.prefixes.items():
            if ours is not None and (key == theirs or key.startswith(f"{theirs}.")):
                return ours + key[len(theirs) :]
        return key

    def translates(self, key: str) -> bool:
        """Say whether a key is one of theirs, not ours."""
        return self.named(key) in self.aliases or self.named(key) != key

    def layer(self, entries: list[Entry]) -> Layer:
        """Return the layer of these entries; values of lower layers are seen by converters that join keys."""
        layer = Layer()
        entries = [self._denied(entry) for entry in self._expanded(entries, layer)]
        self.theirs |= {self.named(entry.key): entry.value for entry in entries}
        for entry in entries:
            if self._ignored(entry.key):
                layer.left_alone[entry.key] = entry.origin
            elif _interpolates(entry.value):
                fix = "write the value out: references (${...}) are not resolved"
                layer.problems.append(Problem(entry.key, entry.origin, f"cannot be {shown(entry.value)}", fix))
            else:
                self._take(entry, layer)
        return layer

    def _expanded(self, entries: list[Entry], layer: Layer) -> list[Entry]:
        """Return entries with defaults lists as choices, and tables given as one value as their keys."""
        expanded: list[Entry] = []
        for entry in entries:
            if entry.key == "defaults":
                choices, names, problems = defaults_list(entry)
                layer.problems += problems
                layer.problems += [Problem("defaults", entry.origin, f"cannot hold {name!r}") for name in names]
                expanded += choices
            elif isinstance(entry.value, dict) and (self.named(entry.key) in (*SECTIONS, *GROUPS, "mlflow.tags")):
                inner = [
                    Entry(f"{entry.key}.{name}", value, entry.origin, None if isinstance(value, dict) else str(value))
                    for name, value in entry.value.items()
                ]
                expanded += self._expanded(inner, layer)
            else:
                expanded.append(entry)
        return expanded

    def _denied(self, entry: Entry) -> Entry:
        """Return ``no_key`` without a value as ``key=false``, where ``key`` is known."""
        name = entry.key.removeprefix("no_")
        if name == entry.key or entry.origin != ORIGIN or entry.value is not True:
            return entry
        if name in self.aliases or name in scalars() or len(bare(name)) == 1:
            return replace(entry, key=name, value=False, text="false")
        return entry

    def _ignored(self, key: str) -> bool:
        """Say whether a key is left alone whatever its value."""
        below = any(ours is None and key.startswith(f"{theirs}.") for theirs, ours in self.prefixes.items())
        return below or self.aliases.get(self.named(key)) == (None, as_is)

    def _take(self, entry: Entry, layer: Layer) -> None:
        key = self.named(entry.key)
        group, _, rest = key.partition(".")
        if key in ("plugin", "plugins"):
            fix = "name it on the command line (--plugin) or in the Python call: a file cannot run code"
            layer.problems.append(Problem(key, entry.origin, "cannot be set here", fix))
        elif key in CHOICES or (group in GROUPS and rest == "name"):
            self._choose(group, entry, layer)
        elif rest == "_target_" or key == "_target_":
            self._target(group, entry, layer)
        elif key in (*SECTIONS, "mlflow.tags"):
            if entry.value is not None:
                layer.problems.append(Problem(key, entry.origin, f"is a section: write {key}.NAME"))
        elif key in scalars() or is_open(key):
            self._set(key, entry, layer)
        elif key in self.aliases:
            self._convert(key, entry, layer)
        elif group in GROUPS and rest:
            self._set(key, entry, layer)
        elif len(found := bare(key)) == 1:
            self._set(found[0], entry, layer)
        elif found:
            layer.problems.append(
                Problem(key, entry.origin, "means several options", f"write one of {', '.join(found)}")
            )
        elif command := known_elsewhere(key):
            layer.left_alone[key] = f"{entry.origin}, of {command}"
        else:
            layer.unknown.append(entry)

    def _convert(self, name: str, entry: Entry, layer: Layer) -> None:
        native, converter = self.aliases[name]
        try:
            value = converter(entry.value, self.theirs)
        except AliasError as mistake:
            if mistake.key == name:  # otherwise it is told where that key is converted
                layer.problems.append(Problem(entry.key, entry.origin, str(mistake)))
            return
        except (ValueError, ArithmeticError) as error:
            layer.problems.append(Problem(entry.key, entry.origin, str(error)))
            return
        if native is None:
            layer.left_alone[entry.key] = entry.origin
            return
        made = None if converter is as_is else converter
        native, chooses, choice = native.partition("=")
        value = choice if chooses and made is None else value
        for key, item in value.items() if isinstance(value, Settings) else [(native, value)]:
            self._set(key, replace(entry, value=item, text=entry.text if made is None else None), layer, made)

    def _choose(self, group: str, entry: Entry, layer: Layer) -> None:
        if f"{group}={entry.value}" in self.aliases:
            self._convert(f"{group}={entry.value}", entry, layer)
        elif isinstance(entry.value, str):
            self._set(group, entry, layer)
        elif entry.value is None and group in GROUPS:
            self._set(group, replace(entry, value="none"), layer)
        elif entry.value is not None:
            layer.problems.append(Problem(entry.key, entry.origin, f"must be a name, not {shown(entry.value)}"))

    def _target(self, group: str, entry: Entry, layer: Layer) -> None:
        if part := part_of(group, entry.value):
            layer.targets[group] = Setting(part, entry.origin, None, entry.key)
            return
        near = nearest(str(entry.value), TARGETS)
        fix = f"choose a part by its name ({group or 'model'}=NAME)" + (f"; did you mean {near[0]}?" if near else "")
        layer.problems.append(Problem(entry.key, entry.origin, refused(entry.value), fix))

    def _set(self, key: str, entry: Entry, layer: Layer, converter: Converter | None = None) -> None:
        chooses = key in CHOICES
        into = layer.choices if chooses else layer.settings
        setting = Setting(entry.value, entry.origin, entry.text, entry.key, converter)
        first = into.get(key)
        if first is None:
            into[key] = setting
        elif not _together(first, setting, chooses):
            written = key if entry.key == key else f"{entry.key} ({key})"
            named = "" if first.written == entry.key else f" as {first.written}"
            layer.problems.append(Problem(written, entry.origin, f"is given twice, first in {first.origin}{named}"))


def _together(first: Setting, second: Setting, chooses: bool) -> bool:
    """Say whether two settings of one key do not contradict: made by one converter of several keys, or one choice."""
    same = first.value == second.value
    joined = first.converter is not None and first.converter is second.converter
    return same and (joined or (chooses and first.written != second.written))


def _interpolates(value: Any) -> bool:
    if isinstance(value, list):
        return any(_interpolates(item) for item in value)
    if isinstance(value, dict):
        return any(_interpolates(item) for item in value.values())
    return isinstance(value, str) and "${" in value
