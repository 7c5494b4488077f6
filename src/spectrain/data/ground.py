"""Where patches lie on the ground, and which of them share pixels: across scenes, dates and grids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.damage import reading
from ..core.errors import DataError, needs

if TYPE_CHECKING:
    import pandas as pd

EQUAL_AREA = 6933  # EPSG: the world in an equal-area cylinder, metres, to 86 degrees of latitude
BOX = ("lon_w", "lat_s", "lon_e", "lat_n")
SHARED_M2 = 1.0
"""Polygons that share less than this many square metres only touch."""

Polygons = NDArray[np.object_]


class SharedGroundError(DataError):
    """Two parts of a split share pixels on the ground."""


def footprints(metadata: pd.DataFrame) -> Polygons | None:
    """Return the ground polygon of each patch in an equal-area projection (metres), or None without georeference.

    Args:
        metadata: one row a patch, with a column ``geometry`` (WKB or shapely, longitude and latitude) or the columns
            ``lon_w lat_s lon_e lat_n`` in degrees.

    Raises:
        DataError: the packages of the extra ``geo`` are missing, or a row has no place.
    """
    boxed = set(BOX) <= set(metadata.columns)
    if "geometry" not in metadata and not boxed:
        return None
    shapely, pyproj = packages()
    if "geometry" in metadata:
        values = metadata["geometry"].to_numpy()
        first = next((value for value in values if value is not None), None)
        with reading("the metadata table", fix="write its column geometry as WKB", what="its polygons cannot be read"):
            degrees = shapely.from_wkb(values) if isinstance(first, bytes | bytearray) else np.array(values, object)
    else:
        degrees = shapely.box(*(metadata[name].to_numpy(dtype=np.float64) for name in BOX))
    lacking = shapely.is_missing(degrees) | shapely.is_empty(degrees)
    if lacking.any():
        row = int(np.flatnonzero(lacking)[0])
        raise DataError(
            f"{int(lacking.sum())} patches have no place on the ground, the first in row {row}",
            where="the metadata table",
            fix="fill in their geometry, or drop the columns to split without georeference",
        )
    project = pyproj.Transformer.from_crs(4326, EQUAL_AREA, always_xy=True).transform
    projected: Polygons = shapely.transform(degrees, lambda xy: np.column_stack(project(xy[:, 0], xy[:, 1])))
    return mended(projected)


def mended(places: Polygons) -> Polygons:
    """Return polygons with those made valid whose ring crosses itself: GEOS may refuse to intersect such ones."""
    shapely, _ = packages()
    crossed = ~shapely.is_valid(places)
    places = places.copy()
    places[crossed] = shapely.make_valid(places[crossed], method="structure", keep_collapsed=False)
    return places


def shared_pairs(first: Polygons, second: Polygons, within_m: float = 0.0) -> NDArray[np.int64]:
    """Return the pairs [P,2] of places in ``first`` and ``second`` that share ground.

    Args:
        first: polygons in metres.
        second: polygons in metres.
        within_m: where more than 0, pairs nearer than this count too.
    """
    shapely, _ = packages()
    if not len(first) or not len(second):
        return np.empty((0, 2), np.int64)
    tree = shapely.STRtree(second)
    if within_m > 0:
        pairs = tree.query(first, predicate="dwithin", distance=within_m)
    else:
        pairs = tree.query(first, predicate="intersects")
        shared = shapely.area(shapely.intersection(first[pairs[0]], second[pairs[1]])) > SHARED_M2
        pairs = pairs[:, shared]
    return np.ascontiguousarray(pairs.T).astype(np.int64)


def joined_groups(groups: Sequence[str], places: Polygons) -> list[str]:
    """Return the group of each place, with those that share ground as one.

    Args:
        groups: of each place.
        places: polygons in metres.
    """
    return joined(groups, shared_pairs(places, places).tolist())


def joined(groups: Sequence[str], pairs: Iterable[Sequence[int]]) -> list[str]:
    """Return the group of each row, with the groups of each pair of rows as one."""
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for one, other in pairs:
        parent[root(groups[one])] = root(groups[other])
    return [root(group) for group in groups]


def refuse_shared(parts: Mapping[str, NDArray[np.int64]], places: Polygons, ids: Sequence[str], where: str) -> None:
    """Raise a `SharedGroundError` that names the first pairs where two parts of a split share pixels on the ground.

    Args:
        parts: rows of each part.
        places: the polygon of each row.
        ids: the patch id of each row.
        where: for the message.
    """
    names = list(parts)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            a, b = parts[one], parts[other]
            pairs = shared_pairs(places[a], places[b])
            if len(pairs):
                some = ", ".join(f"{ids[a[i]]} and {ids[b[j]]}" for i, j in pairs[:3])
                raise SharedGroundError(
                    f"{one!r} and {other!r} share pixels on the ground in {len(pairs)} pairs of patches: {some}",
                    where=where,
                    fix="split by blocks with a buffer (method block, buffer_m) or by group",
                )


def packages() -> tuple[Any, Any]:
    """Return shapely and pyproj, or say how to get them."""
    with needs("geo", "to look at the ground"):
        import pyproj
        import shapely
    return shapely, pyproj
