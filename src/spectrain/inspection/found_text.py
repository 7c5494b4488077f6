"""What was found of a data set or a run, for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.band_statistics import Statistics
from .found import Inspection, LabelRange
from .plain_text import plain

FIRST_BANDS, LAST_BANDS = 12, 4
"""Bands that are shown where there are more."""
_LISTED = 12


def inspection_text(found: Inspection) -> str:
    """Return the page of a data set or a run."""
    if found.run is not None:
        return _run_text(found.path, found.run, found.checkpoints)
    lines = [plain(str(found.path)), *([f"  {found.kind}"] if found.kind else [])]
    if found.folds:
        lines.append(f"  folds (training + validation): {folds_text(found.folds)}")
    for facts in found.splits:
        count, channels, height, width = facts.shape
        lines += ["", f"{facts.split}: {count} patches of {channels} × {height} × {width}, {facts.dtype}"]
        lines += [f"  {facts.looked_at} of them were looked at"] if facts.looked_at < count else []
        lines += _table(found.bands, facts.statistics)
        lines += [f"  mask: {'stored beside the images' if facts.has_mask else 'none'}"]
        if facts.labels:
            lines += [f"  labels: {labels_text(facts.labels, facts.ignored, facts.names)}"]
        lines += [f"  {line}" for line in ranges_text(facts.ranges)]
        lines += [f"  warning: {warning}" for warning in facts.warnings]
    told = [*found.advice, *([f"train on it: {found.command}"] if found.command else [])]
    return "\n".join([*lines, *([""] if told else []), *told])


def labels_text(counts: Mapping[str, int], ignored: Sequence[str], names: Sequence[str]) -> str:
    """Return the share of each class among what counts, and the share of what does not.

    Args:
        counts: as `LabelsSeen` has them.
        ignored: those that do not count.
        names: of the classes, or none.
    """
    total = sum(counts.values())
    lost = sum(counts[name] for name in ignored)
    shown = []
    for name, count in counts.items():
        if name in ignored:
            continue
        called = f"{name} ({names[int(name)]})" if name.isdigit() and int(name) < len(names) else name
        shown.append(f"{called} {count / max(1, total - lost):.1%}")
    text = ", ".join(shown[:_LISTED]) + (", ..." if len(shown) > _LISTED else "")
    if ignored:
        text += f"; ignored {lost / total:.1%} ({', '.join(ignored)})"
    return text


def folds_text(folds: Sequence[Mapping[str, int]]) -> str:
    """Return how many patches each side of each fold has."""
    return ", ".join(f"{number}: {one['train']} + {one['valid']}" for number, one in enumerate(folds))


def ranges_text(ranges: Sequence[LabelRange | None]) -> list[str]:
    """Return a line a layer."""
    lines = []
    for number, one in enumerate(ranges):
        layer = f" of layer {number}" if len(ranges) > 1 else ""
        said = "none" if one is None else f"{one.count:,} from {one.minimum:.6g} to {one.maximum:.6g}"
        lines.append(f"measured labels{layer}: {said}" + ("" if one is None else f", median {one.median:.6g}"))
    return lines


def _table(bands: list[dict[str, Any]], statistics: Statistics) -> list[str]:
    """Return the bands with their statistics as aligned columns."""
    rows = [["band", "nm", "unit", "mean", "std", "min", "max", "missing"]]
    hidden = range(FIRST_BANDS, len(bands) - LAST_BANDS) if len(bands) > FIRST_BANDS + LAST_BANDS + 1 else range(0)
    for number, band in enumerate(bands):
        if number in hidden:
            rows += [[f"... {len(hidden)} more", *[""] * 7]] if number == hidden[0] else []
            continue
        wavelength = "" if band["wavelength"] is None else f"{band['wavelength']:g}"
        numbers = (getattr(statistics, name)[number] for name in ("mean", "std", "minimum", "maximum"))
        cells = ["" if math.isnan(value) else f"{value:.4g}" for value in numbers]
        rows.append([band["name"], wavelength, band["unit"] or "", *cells, f"{statistics.missing_share[number]:.1%}"])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text = [
        left.ljust(width) if column < 3 else left.rjust(width)
        for row in rows
        for column, (left, width) in enumerate(zip(row, widths, strict=True))
    ]
    per_row = len(rows[0])
    return ["  " + "  ".join(text[start : start + per_row]).rstrip() for start in range(0, len(text), per_row)]


def _run_text(folder: Path, info: dict[str, Any], checkpoints: Sequence[str]) -> str:
    """Return what a run is and how it stands."""
    best = info.get("best") or {}
    lines = [
        plain(str(folder)),
        f"  {info.get('recipe')} {info.get('run_name')}/{info.get('run_id')}: {info.get('status')}",
        f"  steps: {info.get('steps', 0)}",
    ]
    if "value" in best:
        lines.append(f"  best: {best['monitor']} {best['value']:.5g} in epoch {best['epoch']}")
    if timings := info.get("timings"):
        lines.append(f"  timings: {json.dumps(timings)}")
    return "\n".join([*lines, f"  checkpoints: {', '.join(checkpoints) or 'none'}"])
