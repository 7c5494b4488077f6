"""The map of a demo as one picture for its report: what the model was given, what is known, what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..core.targets import IGNORED
from ..data.ground import packages
from ..data.scene import SceneGrid
from ..plots.regression_sheet import DEVIATION, VALUE
from ..plots.segmentation import MISSED, RIGHT, WRONG, coloured, shades
from ..preparation.affine import inverse
from ..preparation.labels import burnt, in_pixels
from ..preparation.vectors import read_polygons
from .chain import CHAINS, place_of

_SIDE, _GAP, _HEAD, _FOOT = 3.1, 0.12, 0.32, 0.55
"""Inches: a map's width, what is between two, above and below them."""
FOUND = (0.34, 0.71, 0.91)
"""Colour of what is found where nothing is labelled."""


def draw_map(task: str, path: Path) -> None:
    """Draw the map of a demo with a scene as a PNG; the map and the scene lie in ``./demo-TASK``."""
    place = place_of(task)
    figure = DRAWN[task](*(place / name for name in (*CHAINS[task].files, "map.tif")))
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


def _buildings(scene: Path, outlines: Path, found: Path) -> Figure:
    """Return the height above the ground, the outlines, and the map, coloured by what is right of it."""
    layers, _, grid = _read(scene)
    classes = _read(found)[0][0]
    known = _labels(outlines, grid)
    figure, axes = _panels(3, grid)
    height = np.where(np.isnan(layers[:2]).any(0), np.nan, layers[0] - layers[1])
    _shown(axes[0], height, VALUE, 0.0, 15.0)
    axes[0].set_title("given: height above the ground, m", fontsize=10)
    axes[1].imshow(coloured(known, shades(2)), interpolation="nearest")
    axes[1].set_title("known: outlines of buildings", fontsize=10)
    axes[2].imshow(_told_apart(known, classes), interpolation="nearest")
    axes[2].set_title("found by the model", fontsize=10)
    other, building = map(tuple, shades(2))
    _legend(axes[1], {"building": building, "none": other, "not labelled": (0.6, 0.6, 0.6)})
    names = {"right": RIGHT, "wrong": WRONG, "missed": MISSED, "found beyond the labels": FOUND}
    _legend(axes[2], names)
    return figure


def _greenness(scene: Path, points: Path, found: Path) -> Figure:
    """Return a day that was given, the measured pixels of the day that was not, its map, and how sure that is."""
    layers, names, grid = _read(scene)
    mean, *deviations = _read(found)[0][:2]  # of a model without deviations there is the mean alone
    x, y, value = np.loadtxt(points, delimiter=",", skiprows=1, unpack=True)
    a, b, c, d, e, f = inverse(grid.transform)
    low, high = np.nanpercentile(np.concatenate([value, mean[np.isfinite(mean)]]), [1, 99])
    figure, axes = _panels(3 + len(deviations), grid)
    _shown(axes[0], layers[-1], VALUE, low, high)
    axes[0].set_title(f"given: {names[-1]}, and {len(names) - 1} days more", fontsize=10)
    axes[1].set_facecolor("0.86")
    dots = axes[1].scatter(
        a * x + b * y + c - 0.5, d * x + e * y + f - 0.5, c=value, s=9, cmap=VALUE, vmin=low, vmax=high, linewidths=0
    )
    axes[1].set(xlim=(-0.5, grid.size[1] - 0.5), ylim=(grid.size[0] - 0.5, -0.5), aspect="equal")
    axes[1].set_title(f"known: {value.size} pixels of the day", fontsize=10)
    _bar(axes[1], dots)
    _shown(axes[2], mean, VALUE, low, high)
    axes[2].set_title("told by the model: NDVI", fontsize=10)
    for deviation in deviations:
        _shown(axes[3], deviation, DEVIATION, 0.0, float(np.nanpercentile(deviation, 99)))
        axes[3].set_title("how unsure it is: deviation", fontsize=10)
    return figure


DRAWN: dict[str, Callable[[Path, Path, Path], Figure]] = {"segmentation": _buildings, "regression": _greenness}


def _read(path: Path) -> tuple[NDArray[np.float64], list[str], SceneGrid]:
    """Return the bands of a raster [C,H,W], NaN where nothing is, their names, and where it lies."""
    import rasterio

    with rasterio.open(path) as source:
        values = source.read(masked=True).astype(np.float64).filled(np.nan)
        scales = [np.array(one).reshape(-1, 1, 1) for one in (source.scales, source.offsets)]
        names = [str(name or number) for number, name in enumerate(source.descriptions, start=1)]
        grid = SceneGrid((source.height, source.width), source.crs.to_wkt(), tuple(source.transform)[:6])
    return values * scales[0] + scales[1], names, grid


def _labels(path: Path, grid: SceneGrid) -> NDArray[np.uint8]:
    """Return polygons as classes [H,W] as the demo's preparation does: 255 beyond their hull."""
    shapely, _ = packages()
    polygons = read_polygons(path)
    shapes = in_pixels(polygons.geometry, polygons.crs, grid, whole=True)
    hull = np.array([shapely.convex_hull(shapely.geometrycollections(shapes))], dtype=object)
    inside = burnt(hull, np.ones(1, np.uint8), 0, 0, *grid.size)
    classes = burnt(shapes, np.ones(len(shapes), np.uint8), 0, 0, *grid.size)
    return np.where(inside == 1, classes, np.uint8(IGNORED))


def _told_apart(known: NDArray[np.uint8], found: NDArray[np.float64]) -> NDArray[np.float64]:
    picture = np.full((*known.shape, 3), 0.93)
    picture[known == IGNORED] = 0.6
    for where, colour in (
        ((known == 1) & (found == 1), RIGHT),
        ((known == 0) & (found == 1), WRONG),
        ((known == 1) & (found != 1), MISSED),
        ((known == IGNORED) & (found == 1), FOUND),
    ):
        picture[where] = colour
    return picture


def _panels(count: int, grid: SceneGrid) -> tuple[Figure, Any]:
    """Return a figure with axes [count] for maps, side by side, with room for a title above and a key below each."""
    side = _SIDE * grid.size[0] / grid.size[1]
    width, height = count * (_SIDE + _GAP) + _GAP, side + _HEAD + _FOOT
    figure = Figure(figsize=(width, height), dpi=110)
    get_registered_canvas_class("png")(figure)
    axes = []
    for place in range(count):
        left = _GAP + place * (_SIDE + _GAP)
        axes.append(figure.add_axes((left / width, _FOOT / height, _SIDE / width, side / height)))
        axes[-1].set(xticks=[], yticks=[])
    return figure, axes


def _shown(axes: Any, values: NDArray[np.float64], cmap: str, low: float, high: float) -> None:
    _bar(axes, axes.imshow(values, cmap=cmap, vmin=low, vmax=high, interpolation="nearest"))


def _bar(axes: Any, drawn: Any) -> None:
    """Draw a colour bar below a map."""
    inside = axes.inset_axes((0.05, -0.09, 0.9, 0.035))
    axes.figure.colorbar(drawn, cax=inside, orientation="horizontal", extend="both").ax.tick_params(labelsize=8)


def _legend(axes: Any, names: dict[str, Any]) -> None:
    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in names.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=2 if len(names) > 3 else len(names),
        fontsize=9,
        frameon=False,
    )
