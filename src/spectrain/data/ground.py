"""Where patches lie on the ground, and which of them share pixels: across scenes, dates and grids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
AT_ONCE = 64
"""Places whose neighbours are looked for at once: of windows one pixel apart each has thousands."""

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


def shared_pairs(first: Polygons, second: Polygons) -> NDArray[np.int64]:
    """Return the pairs [P,2] of places in ``first`` and ``second`` that share ground.

    Args:
        first: polygons in metres.
        second: polygons in metres.
    """
    found = [pairs[_share(first[pairs[:, 0]], second[pairs[:, 1]])] for pairs in _near(first, second)]
    return np.concatenate([np.empty((0, 2), np.int64), *found])


def sharing(first: Polygons, second: Polygons, within_m: float = 0.0) -> NDArray[np.int64]:
    """Return which places of ``first`` share ground with any of ``second``, by number, in order.

    Args:
        first: polygons in metres.
        second: polygons in metres.
        within_m: where more than 0, those nearer than this count too.
    """
    found = [np.empty(0, np.int64)]
    for pairs in _near(first, second, within_m):
        found.append(pairs[:, 0] if within_m > 0 else _that_share(pairs[:, 0], first, second, pairs))
    return np.unique(np.concatenate(found))


def _near(first: Polygons, second: Polygons, within_m: float = 0.0) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs [P,2] of places that touch or are near enough, of some places of ``first`` at a time."""
    shapely, _ = packages()
    tree = shapely.STRtree(second)
    near = {"predicate": "dwithin", "distance": within_m} if within_m > 0 else {"predicate": "intersects"}
    for begin in range(0, len(first), AT_ONCE):
        pairs = tree.query(first[begin : begin + AT_ONCE], **near)
        yield pairs.T.astype(np.int64) + np.array([begin, 0])


def _share(first: Polygons, second: Polygons) -> NDArray[np.bool_]:
    """Return for each pair of places whether it shares ground."""
    shapely, _ = packages()
    shared: NDArray[np.bool_] = shapely.area(shapely.intersection(first, second)) > SHARED_M2
    return shared


def _that_share(keys: NDArray[np.int64], first: Polygons, second: Polygons, pairs: NDArray[np.int64]) -> NDArray[Any]:
    """Return the keys of which a pair shares ground.

    Of each key few pairs are looked at, then twice as many of those still in doubt: of windows that overlap by nearly
    all, thousands of pairs say what the first one does.

    Args:
        keys: [P], of the pairs.
        first: polygons in metres.
        second: polygons in metres.
        pairs: [P,2], numbers in ``first`` and ``second``.
    """
    order = np.argsort(keys, kind="stable")
    keys, pairs = keys[order], pairs[order]
    rank = np.arange(len(keys)) - np.searchsorted(keys, keys)
    found, seen = [keys[:0]], 1
    while len(keys):
        now = rank < seen
        shared = _share(first[pairs[now, 0]], second[pairs[now, 1]])
        found.append(np.unique(keys[now][shared]))
        left = ~now & ~np.isin(keys, found[-1])
        keys, pairs, rank, seen = keys[left], pairs[left], rank[left], 2 * seen + 1
    return np.concatenate(found)


def joined_groups(groups: Sequence[str], places: Polygons) -> list[str]:
    """Return the group of each place, with those that share ground as one.

    Args:
        groups: of each place.
        places: polygons in metres.
    """
    names = sorted(set(groups))
    numbers = {name: number for number, name in enumerate(names)}
    number = np.array([numbers[group] for group in groups], dtype=np.int64)
    links = np.empty(0, np.int64)
    for pairs in _near(places, places):
        one, other = number[pairs].T
        link = one * len(names) + other
        new = (one < other) & ~np.isin(link, links)  # of a group's own pairs there may be very many
        links = np.append(links, _that_share(link[new], places, places, pairs[new]))
    group_of = joined(names, np.stack(np.divmod(links, max(1, len(names))), 1).tolist())
    return [group_of[one] for one in number]


def joined(groups: Sequence[str], pairs: Iterable[Sequence[int]]) -> list[str]:
    """Return the group of each row, with the groups of each pair of rows as one, by the name that sorts first."""
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for one, other in pairs:
        first, second = sorted((root(groups[one]), root(groups[other])))
        parent[second] = first
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
