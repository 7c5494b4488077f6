"""Puts the page together: what is shown as JSON, its style and script, in one file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_write
from ...runs.report.document import document, part
from ...runs.report.html import Html, data_block, el
from .columns import columns_of
from .sprites import ACROSS, sheets_of

if TYPE_CHECKING:
    import pandas as pd


def write_explore(
    path: Path,
    *,
    title: str,
    positions: dict[str, NDArray[np.floating]],
    neighbours: NDArray[np.int64],
    cosines: NDArray[np.float32],
    thumbnails: NDArray[np.uint8],
    metadata: pd.DataFrame,
    facts: dict[str, str],
) -> None:
    """Write one HTML file that needs nothing else: the map of embeddings, the images, their neighbours and metadata.

    Args:
        path: the page.
        title: its heading.
        positions: maps by name, each [N,2]; an image with NaN is on no map, and the page says how many these are.
        neighbours: [N,K] the nearest images of each, -1 where there are no more.
        cosines: [N,K].
        thumbnails: [N,h,w,3].
        metadata: N rows.
        facts: a few words on where the embeddings come from, by name.
    """
    count, height, width, _ = thumbnails.shape
    data = {
        "count": count,
        "tile": [width, height],
        "across": ACROSS,
        "sheets": sheets_of(thumbnails),
        "maps": [{"name": name, "at": _packed(_centred(found), "<f4")} for name, found in positions.items()],
        "near": _packed(neighbours, "<i4"),
        "cosines": _packed(cosines, "<f4"),
        "nearEach": neighbours.shape[1],
        "columns": columns_of(metadata),
        "scale": _scale(),
    }
    unseen = int(np.isnan(next(iter(positions.values()))).any(axis=1).sum())
    shown = facts | ({"without a valid pixel": f"{unseen}, not on the map"} if unseen else {})
    body = [
        el(
            "header",
            el("h1", title),
            el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in shown.items()), class_="facts"),
        ),
        _main(list(positions)),
        data_block(data),
    ]
    style, script = (part(name, __package__) for name in ("explore.css", "explore.js"))
    atomic_write(path, document(f"{title} · spectrain", style, script, *body))


def _main(maps: list[str]) -> Html:
    """Return the places that the script fills."""
    canvas = el(
        "canvas",
        id="map",
        tabindex="0",
        role="application",
        aria_label="Map of embeddings. Arrow keys go to the nearest image in that direction, Enter selects the first "
        "image, Escape clears the selection.",
    )
    buttons = el(
        "div",
        el("button", "+", type="button", id="closer", aria_label="Zoom in"),
        el("button", "−", type="button", id="farther", aria_label="Zoom out"),
        el("button", "Whole map", type="button", id="whole"),
        class_="zoom",
    )
    hover = el("div", el("canvas", id="hover-image"), el("div", id="hover-text"), id="hover", hidden=True)
    choices = [el("option", name, value=name) for name in maps]
    controls = el(
        "section",
        el("label", el("span", "Map"), el("select", *choices, id="choose-map")),
        el("label", el("span", "Colour"), el("select", id="choose-colour")),
        el("div", id="legend"),
        class_="controls",
    )
    filters = el(
        "details",
        el("summary", "Filter ", el("span", id="count")),
        el("div", id="filters"),
        el("button", "Show all", type="button", id="all"),
        class_="filter",
    )
    selected = el(
        "section",
        el("h2", "Selected", id="selected-title"),
        el("p", "Point at the map to see an image; click to keep it.", class_="empty", id="nothing"),
        el("div", el("canvas", id="selected-image"), el("dl", id="selected-facts"), id="selected", hidden=True),
        aria_labelledby="selected-title",
    )
    near = el(
        "section", el("h2", "Nearest images", id="near-title"), el("ol", id="near"), class_="near", hidden=True,
        aria_labelledby="near-title", id="near-section",
    )  # fmt: skip
    return el(
        "main",
        el("div", canvas, buttons, hover, class_="map"),
        near,
        el("aside", controls, selected, filters),
        el("p", id="live", class_="unseen", aria_live="polite"),
    )


def _centred(positions: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return positions [N,2] within -1 to 1, the aspect kept; NaN stays."""
    kept = positions[np.isfinite(positions).all(axis=1)]
    if not len(kept):
        return positions
    low, high = kept.min(axis=0), kept.max(axis=0)
    half = float((high - low).max()) / 2 or 1.0
    centred: NDArray[np.floating] = (positions - (low + high) / 2) / half
    return centred


def _packed(values: NDArray[Any], kind: str) -> str:
    """Return numbers as base64 of little-endian bytes."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")


def _scale() -> list[str]:
    """Return the colours of numbers, from low to high."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](place / 63)) for place in range(64)]
