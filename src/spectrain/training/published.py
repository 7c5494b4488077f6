"""Values under the names that users of another system know them by, beside our own."""

from __future__ import annotations

import re
from collections.abc import Mapping

PHASES = {"train": "train", "valid": "val"}


def published_row(row: Mapping[str, float], names: Mapping[str, str], fold: int | str | None) -> dict[str, float]:
    """Return the values of an epoch as ``train/NAME``, ``val/NAME`` and ``val0/NAME`` (of the fold, 0 where none is).

    Args:
        row: by our names, as "jaccard_valid".
        names: our name of a value -> theirs; empty for most tasks.
        fold: number of the fold that is trained; "all" has no validation.
    """
    found: dict[str, float] = {}
    for name, value in row.items():
        stem, _, phase = name.rpartition("_")
        if stem in names and phase in PHASES:
            found[f"{PHASES[phase]}/{names[stem]}"] = value
            if phase == "valid":
                found[f"val{fold or 0}/{names[stem]}"] = value
    return found


def native_name(name: str, names: Mapping[str, str]) -> str:
    """Return our name of a value that may be given as ``val/NAME`` or, of whatever fold, ``val0/NAME``."""
    theirs = re.fullmatch(r"(train|val)\d*/(.+)", name)
    stem = next((ours for ours, other in names.items() if theirs and other == theirs[2]), None)
    if theirs is None or stem is None:
        return name
    return f"{stem}_train" if theirs[1] == "train" else f"{stem}_valid"
