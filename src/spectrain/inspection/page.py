"""The answer in the terminal: what was found, what is doubtful, and how to go on."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from .families import Family
from .label_facts import label_text, set_text, some
from .plain_text import plain
from .survey import READABLE, Survey, facts_of

WIDTH = 118
_DATE = re.compile(r"(?<!\d)(?:19[7-9]|20[0-3])\d(?:[-_]?(?:0[1-9]|1[0-2])(?:[-_]?(?:0[1-9]|[12]\d|3[01]))?)?(?!\d)")
MOST_LINES, MOST_WAYS, MOST_ALIKE = 20, 6, 3


def text_of(root: Path, found: Survey) -> str:
    """Return the page of a folder."""
    listing = found.listing
    kinds = ", ".join(f"{count} {name}" for name, count in listing.endings()[:6])
    head = f"{len(listing.files)} files ({kinds})" if listing.files else "no files"
    head += f", {len(listing.zarrs)} Zarr" if listing.zarrs else ""
    head += f", {len(listing.runs)} runs" if listing.runs else ""
    parts = [f"{plain(str(root))}\n  {head}; {found.looked_at} {'was' if found.looked_at == 1 else 'were'} looked at"]
    if rows := _rows(found):
        parts.append(_table(("what", "files", "bands", "type", "size", "CRS", "pixel", "dates"), rows))
    if labels := _labels(found):
        parts.append("\n".join(["labels", *(f"  {plain(line)}" for line in labels)]))
    said = [*found.doubts, *_unread(found)]
    said += [f"{label.text}: {label.kind} without images on their ground" for label in found.lonely]
    said += [
        f"{path}: {split['split']}: {line}"
        for path, record in found.sets.items()
        for split in record["splits"]
        for line in split["warnings"][:2]
    ]
    if said:
        more = [f"and {len(said) - MOST_LINES} more"] if len(said) > MOST_LINES else []
        parts.append("\n".join(["doubtful", *(f"  - {plain(line)}" for line in [*said[:MOST_LINES], *more])]))
    parts.append(_ways(found))
    return "\n\n".join(parts)


def _labels(found: Survey) -> list[str]:
    """Return what is known of the labels of all projects and data sets."""
    lines = [f"{one.text}: {label_text(one)}" for project in found.projects for one in project.labels]
    lines += [f"{one.text}: {label_text(one)}" for one in found.lonely]
    lines += [f"{path}: {text}" for path, record in found.sets.items() if (text := set_text(record))]
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return [*lines[:MOST_LINES], *more]


def _ways(found: Survey) -> str:
    if found.ways:
        lines = ["go on with"]
        for way in found.ways[:MOST_WAYS]:
            lines += [f"  # {plain(way.title)}" + (f" ({way.note})" if way.note else ""), *way.lines(), ""]
        if len(found.ways) > MOST_WAYS:
            lines.append(f"and {len(found.ways) - MOST_WAYS} more: give the folder of one")
        return "\n".join(lines).rstrip()
    if found.lonely:
        points = any(label.kind == "points" for label in found.lonely)
        return (
            "nothing to train on: these are labels, and the scenes that they are of are missing.\n"
            "Put the scenes into this folder, and look again"
            + ("; points become labels by `prepare scenes labels=points`." if points else ".")
        )
    if found.listing.runs:
        return "nothing to train on, but runs: `spectrain inspect` tells of each: " + some(found.listing.runs)
    return f"nothing to train on. What can be read: {READABLE}"


def _unread(found: Survey) -> list[str]:
    """Return which files cannot be read; where many of one kind cannot, one of them."""
    kinds: dict[str, list[str]] = {}
    for path in found.unread:
        kinds.setdefault(PurePosixPath(path).suffix, []).append(path)
    lines = []
    for suffix, paths in kinds.items():
        if len(paths) > MOST_ALIKE:
            lines.append(f"{len(paths)} {suffix} files cannot be read, as {paths[0]}: {found.unread[paths[0]]}")
        else:
            lines += [f"{path} cannot be read: {found.unread[path]}" for path in paths]
    return lines


def _rows(found: Survey) -> list[tuple[str, ...]]:
    rows = []
    for number, project in enumerate(found.projects, start=1):
        mark = f"{number}: " if len(found.projects) > 1 else ""
        rows += [_row(f"{mark}images {' '.join(one.texts)}", one) for one in project.images]
        rows += [
            _row(f"{mark}{label.kind} {label.text}", label.family)
            for label in project.labels
            if label.family is not None
        ]
        rows += [_row(f"{mark}mask? {' '.join(one.texts)}", one) for one in project.quality]
        for label in project.labels:
            if label.family is None:
                count = str(label.facts.get("count") or "many")
                crs = str(label.facts.get("crs") or "EPSG:4326")
                rows.append((f"{mark}{label.kind} {label.text}", count, "", "", "", crs, "", ""))
    for label in found.lonely:
        if label.family is not None:
            rows.append(_row(f"{label.kind} {label.text}", label.family))
        else:
            count = str(label.facts.get("count") or "many")
            rows.append(
                (f"{label.kind} {label.text}", count, "", "", "", str(label.facts.get("crs") or "EPSG:4326"), "", "")
            )
    for path, record in found.sets.items():
        for split in record["splits"]:
            n, channels, height, width = split["shape"]
            rows.append(
                (f"{path} {split['split']}", str(n), str(channels), split["dtype"], f"{height} × {width}", "", "", "")
            )
    return [tuple(plain(cell) for cell in row) for row in rows]


def _row(what: str, family: Family) -> tuple[str, ...]:
    said = facts_of(family)
    dates = sorted({match[0] for path in family.files for match in _DATE.finditer(path)})
    return (
        what,
        str(len(family.files)),
        said["bands"],
        said["dtype"],
        said["size"],
        said["crs"],
        said["resolution"],
        "" if not dates or len(dates) > len(family.files) else " to ".join(dict.fromkeys((dates[0], dates[-1]))),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], most: int = 30) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number == 1 else "left", overflow="fold")
    for row in rows[:most]:
        table.add_row(*(Text(cell) for cell in row))
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None).print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join(lines + ([f"and {len(rows) - most} more"] if len(rows) > most else []))
