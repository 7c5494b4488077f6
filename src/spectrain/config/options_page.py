"""The page of all options, made from the schema and the group files; ``docs/options.md`` is its frozen copy.

Run ``python -m spectrain.config.options_page docs/options.md`` after a change of options. It imports no part.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from .aliases import EVERYWHERE, RECIPES
from .coerce import describe
from .entries import OPEN
from .library import FOLDER, part_of_file
from .option import options_of
from .recipes import defaults_list
from .schema import GROUPS, SECTIONS, TopLevel
from .sources import read_file
from .yaml_file import dumped

_LINE = re.compile(r"(?P<key>\w+): (?P<value>.*?)(?:  # (?P<doc>.*))?")

_HEAD = f"""# Options

This page is generated (`make docs`). Every option, what it takes, and its default.

An option is set on the command line (`hparams.epochs=20`, or as a flag `--hparams.epochs 20`), in a file
(`--config FILE`: JSON with comments, TOML or YAML), or in personal defaults (`./spectrain.toml`, or the file that
`$SPECTRAIN_CONFIG` names). The higher of these wins: command line, file, personal defaults, recipe, the default given
here. A bare name is enough where only one option ends in it (`--epochs 20`); hyphen and underscore are alike. Any name
is allowed below {" ".join(f"`{prefix}`" for prefix in OPEN)}. What a training would use, and where each value came
from, is printed by `spectrain train RECIPE --cfg job`.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, _section("Where runs are kept", "", TopLevel)]
    for name, kind in SECTIONS.items():
        parts += [_section(f"`{name}.`", f"{name}.", kind), *_variants(name)]
    parts += [
        _recipes(),
        "## Parts\n\nA part is chosen by its name (`optimizer=adam`); its options follow the group's name.\n",
    ]
    parts += [_group(group) for group in GROUPS]
    parts.append(_aliases())
    return "\n".join(parts)


def _section(title: str, prefix: str, kind: type) -> str:
    rows = [
        (f"`{prefix}{name}`", describe(option.hint), f"`{dumped(option.default)}`", option.doc)
        for name, option in options_of(kind).items()
    ]
    return f"## {title}\n\n{_table(('option', 'takes', 'default', 'meaning'), rows)}"


def _recipes() -> str:
    text = ["## Recipes\n\nWhat a recipe sets beyond the defaults.\n"]
    for path in sorted((FOLDER / "recipe").glob("*.yaml")):
        rows = []
        for entry in read_file(path)[0]:
            entries = defaults_list(entry)[0] if entry.key == "defaults" else [entry]
            rows += [(f"`{item.key}`", f"`{dumped(item.value)}`") for item in entries]
        text.append(f"### `{path.stem}`\n\n{_table(('option', 'value'), rows)}")
    return "\n".join(text)


def _group(group: str) -> str:
    text = [f"### `{group}`\n"]
    for path in sorted((FOLDER / group).glob("*.yaml")):
        if part_of_file(group, path.stem) != path.stem:
            continue
        found = [_LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [
            (f"`{group}.{line['key']}`", f"`{line['value']}`", line["doc"] or "")
            for line in found
            if line is not None and line["key"] != "name"
        ]
        table = _table(("option", "default", "meaning"), rows) if rows else "No options.\n"
        text.append(f"`{group}={path.stem}`\n\n{table}")
    return "\n".join([*text, *_variants(group)])


def _variants(group: str) -> list[str]:
    """Return one line for each group file that only sets some options of another."""
    lines = []
    for path in sorted((FOLDER / group).glob("*.yaml")):
        said = {entry.key: entry.value for entry in read_file(path)[0]}
        if "defaults" in said:
            parent, *_ = said.pop("defaults")
            options = ", ".join(f"`{key}={dumped(value)}`" for key, value in said.items())
            lines.append(f"- `{group}={path.stem}` is `{group}={parent}` with {options}\n")
    return ["".join(lines)] if lines else []


def _aliases() -> str:
    text = ["## Names of other systems\n\nThese names are understood as well, so that existing options files work.\n"]
    tables = {"Everywhere": EVERYWHERE, **{f"Recipe `{name}`": table for name, table in RECIPES.items()}}
    for title, table in tables.items():
        rows = [(f"`{key}`", f"`{native}`" if native else "accepted, left alone") for key, (native, _) in table.items()]
        text.append(f"### {title}\n\n{_table(('name', 'option'), rows)}")
    return "\n".join(text)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
