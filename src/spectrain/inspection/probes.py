"""What a child process says of one file: a header, and figures of some of its pixels or rows. Plain JSON values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.damage import said
from ..core.errors import DataError
from ..data.raster.rasters import Raster, open_raster, rasterio_package, read_raster, resolution
from ..data.raster.vector_drivers import OtherFormatError, expect_own_features

VALUES = 6_000_000
"""Of a raster that are looked at, over all bands."""
WINDOWS, LARGEST_WINDOW = 5, 512
"""Places of a large raster that are looked at, and their side in px."""
CLASSES = 40
"""Most different whole numbers that may be classes."""
ROWS = 5_000
"""Of a table or vector file that are looked at."""
TEXT_BYTES = 1 << 20
"""Of a table that are read."""


class OtherKindError(DataError):
    """A file is whole, but not what it was asked for: a table of no places, JSON of something else."""


def raster(path: str) -> dict[str, Any]:
    """Return what a raster is like.

    Raises:
        DataError: it is damaged or no raster of numbers.
    """
    held = read_raster(Path(path))
    found = {
        "bands": held.shape[0],
        "size": list(held.shape[1:]),
        "dtype": str(held.dtype),
        "names": list(held.bands.names),
        "crs": _crs_name(held.crs),
        "resolution": _or_none(resolution(held)),
        "transform": list(held.transform),
        "bounds": _bounds(held),
        "nodata": _or_none(held.bands[0].nodata),
        "scaled": any((band.scale, band.offset) != (1.0, 0.0) for band in held.bands),
        "masked": held.masked,
    }
    return found | _figures(held)


def _figures(held: Raster) -> dict[str, Any]:
    """Return figures of each band, over pixels that are neither nodata, masked nor NaN."""
    channels, height, width = held.shape
    rasterio = rasterio_package()
    low, high = np.full(channels, math.inf), np.full(channels, -math.inf)
    missing, nans, zeros, total = np.zeros(channels), 0, 0, 0
    different: set[float] | None = set()
    counts: dict[str, int] = {}
    with open_raster(held.path) as file, rasterio.Env(GDAL_CACHEMAX=64):
        for window in _windows(height, width, channels):
            values = file.read(window=rasterio.windows.Window(*window))
            valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
            nans += int((~valid).sum())
            for number, band in enumerate(held.bands):
                if band.nodata is not None:
                    valid[number] &= values[number] != band.nodata
            if held.masked:
                valid &= file.read_masks([1], window=rasterio.windows.Window(*window)) != 0
            total += values.shape[1] * values.shape[2]
            missing += (~valid).sum((1, 2))
            zeros += int((values == 0).all(0).sum())
            for number in range(channels):
                if (some := values[number][valid[number]]).size:
                    low[number], high[number] = min(low[number], some.min()), max(high[number], some.max())
            if different is not None:
                uniques, numbers = np.unique(values[valid], return_counts=True)
                different |= set(uniques[: 2 * CLASSES].tolist())
                if channels == 1 and len(uniques) <= CLASSES:
                    for one, count in zip(uniques.tolist(), numbers.tolist(), strict=True):
                        counts[f"{one:g}"] = counts.get(f"{one:g}", 0) + count
                if len(different) > CLASSES or any(one != int(one) for one in different):
                    different = None
    return {
        "low": [_or_none(one) for one in low.tolist()],
        "high": [_or_none(one) for one in high.tolist()],
        "missing": (missing / max(1, total)).tolist(),
        "nan": nans,
        "zeros": zeros / max(1, total),
        "seen": total / (height * width),
        "classes": counts if different is not None and channels == 1 else None,
        "different": None if different is None else len(different),
    }


def _windows(height: int, width: int, channels: int) -> list[tuple[int, int, int, int]]:
    """Return (column, row, width, height) of the whole raster, or of its centre and places towards its corners."""
    if height * width * channels <= VALUES:
        return [(0, 0, width, height)]
    side = max(8, min(LARGEST_WINDOW, math.isqrt(VALUES // (WINDOWS * channels))))
    high, wide = min(side, height), min(side, width)
    shares = [(0.5, 0.5), (0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8)][:WINDOWS]
    places = [(int((width - wide) * x), int((height - high) * y)) for y, x in shares]
    return [(column, row, wide, high) for column, row in dict.fromkeys(places)]


def vector(path: str) -> dict[str, Any]:
    """Return what a vector file holds: geometries, columns, and the values of those with few.

    Raises:
        OtherKindError: it is none.
        DataError: it is damaged, or leads elsewhere.
    """
    import geopandas
    import shapely

    place = Path(path)
    try:
        opened = expect_own_features(place)
    except OtherFormatError as error:
        raise OtherKindError(error.what, where=path, fix=error.fix) from error
    try:
        if place.suffix.lower() == ".parquet":
            held = geopandas.read_parquet(place)
            count, held = len(held), held.head(ROWS)
        else:
            import pyogrio

            count = int(pyogrio.read_info(place, **opened)["features"])
            held = geopandas.read_file(place, rows=ROWS, **opened)
    except Exception as error:
        other = "geo metadata" in str(error) or "not recognized" in str(error)
        raise (OtherKindError if other else DataError)(
            f"is no vector file: {said(error)}", where=path, fix="see that it is whole"
        ) from error
    if not hasattr(held, "geometry") or not len(held):
        return {"kind": "nothing", "count": 0, "columns": {}, "values": {}, "crs": None, "bounds": None, "wrong": 0}
    shapes = held.geometry.to_numpy()
    kinds = set(shapely.get_type_id(shapes[~shapely.is_missing(shapes)]).tolist())
    kind = "polygons" if kinds & {3, 6} else "points" if kinds <= {0, 4} and kinds else "lines"
    columns = {str(name): held[name].dtype.kind for name in held.columns if name != held.geometry.name}
    values = {}
    for name in columns:
        unique = held[name].dropna().astype(str).unique()
        if len(unique) <= CLASSES:
            values[name] = sorted(unique.tolist())
    return {
        "kind": kind,
        "count": count,
        "columns": columns,
        "values": values,
        "crs": None if held.crs is None else _epsg(held.crs),
        "bounds": None if held.crs is None else _finite(held.to_crs(4326).total_bounds.tolist()),
        "wrong": int((~shapely.is_valid(shapes)).sum()),
        "ranges": {name: _range(held[name].to_numpy()) for name, kind in columns.items() if kind in "iuf"},
    }


def table(path: str) -> dict[str, Any]:
    """Return the columns of a CSV table, and where the points of its rows lie if it has places.

    Raises:
        DataError: it is no table.
    """
    import io

    import pandas as pd

    from ..preparation.points.columns import Wanted, place_columns

    with Path(path).open("rb") as file:
        content = file.read(TEXT_BYTES + 1)
    whole = len(content) <= TEXT_BYTES
    if not whole:  # of the last row there may be a part alone, whose numbers are others
        content = content[: max(content.rfind(b"\n", 0, TEXT_BYTES), content.rfind(b"\r", 0, TEXT_BYTES)) + 1]
    text = content.decode("utf-8-sig", errors="replace")
    lines = text.splitlines()[: ROWS + 1]
    if len(lines) < 2 or "\0" in text:
        raise DataError("is no table: it has no rows below a header", where=path, fix="see that it is whole")
    delimiter = max(",;\t", key=lines[0].count)
    held = pd.read_csv(io.StringIO("\n".join(lines)), sep=delimiter, on_bad_lines="skip", skipinitialspace=True)
    columns = {str(name): held[name].dtype.kind for name in held.columns}
    values = {}
    for name in columns:
        unique = held[name].dropna().astype(str).unique()
        if len(unique) <= CLASSES:
            values[name] = sorted(unique.tolist())
    found: dict[str, Any] = {
        "columns": columns,
        "values": values,
        "count": len(held) if whole and len(lines) <= ROWS else None,
        "texts": {name: held[name].astype(str).tolist() for name, kind in columns.items() if kind in "iuO"},
        "ranges": {name: _range(held[name].to_numpy()) for name, kind in columns.items() if kind in "iuf"},
        "bounds": None,
    }
    try:
        (x, y), _ = place_columns(list(columns), Wanted(()), Path(path))
    except DataError:
        return found
    if columns[x] in "iuf" and columns[y] in "iuf":
        found["bounds"] = _finite([held[x].min(), held[y].min(), held[x].max(), held[y].max()])
        found["place"] = [x, y]
    return found


def plan(kind: str, words: Sequence[str]) -> dict[str, Any]:
    """Return what `spectrain prepare` would do by these words, from headers alone: scenes, bands, what goes wrong.

    Raises:
        SpectrainError: it would do nothing.
    """
    from ..config.command_line import split_tokens
    from ..preparation.layouts import scenes_of
    from ..preparation.plan import make_plan
    from ..preparation.resolve import kind_of, resolve

    overrides, flags = split_tokens(words)
    options = resolve(kind, None, overrides, flags, {"train_data_dir": "out"})
    made = make_plan(kind_of(kind), options, *scenes_of(kind_of(kind), options))
    return {
        "scenes": len(made.scenes),
        "bands": list(made.record.bands.names),
        "failed": {name: str(error).partition("\n")[0] for name, error in list(made.failed.items())[:3]},
        "failures": len(made.failed),
    }


def places(paths: Sequence[str]) -> int:
    """Return how many places on the ground rasters are of: those that share ground are one; 0 where none has any."""
    from ..data.raster.ground import file_polygons, joined_by_ground

    polygons = file_polygons([read_raster(Path(path)) for path in paths])
    return 0 if polygons is None else len(set(joined_by_ground(list(paths), polygons)))


def data_set(
    path: str,
    split: Sequence[str] | None = None,
    output: str | None = None,
    window: int | None = None,
    labels: str | None = None,
) -> dict[str, Any]:
    """Return what a data set or run is.

    Raises:
        DataError: see `data_set.inspect`.
    """
    _refuse_early(Path(path), split, window, labels)
    from .data_set import inspect

    found = inspect(path, split, output, window, labels)
    return {"json": found.to_json()}


def _refuse_early(path: Path, split: Sequence[str] | None, window: int | None, labels: str | None) -> None:
    """Open the first split of a data set: what is none is refused before torch is imported, which takes seconds."""
    from ..config.schema import DatasetOptions
    from ..data.opening import open_patches, recognise
    from ..runs.folder import ENSEMBLE, MEMBERS

    if any((path / name).is_file() for name in ("run.json", ENSEMBLE, MEMBERS)):
        return
    if names := split or recognise(path).splits(path):
        open_patches(path, names[0], DatasetOptions(window=window, labels_path=labels))


def _bounds(held: Raster) -> list[float] | None:
    """Return west, south, east, north in degrees; None without a place on the ground."""
    if held.crs is None:
        return None
    from rasterio import warp

    a, b, c, d, e, f = held.transform
    _, height, width = held.shape
    xs = [c, c + a * width, c + b * height, c + a * width + b * height]
    ys = [f, f + d * width, f + e * height, f + d * width + e * height]
    try:
        x, y = warp.transform(held.crs, "EPSG:4326", xs, ys)
    except Exception:  # a coordinate system that cannot be turned into degrees has no place that we could compare
        return None
    return _finite([min(x), min(y), max(x), max(y)])


def _finite(values: Sequence[float]) -> list[float] | None:
    return [float(one) for one in values] if all(math.isfinite(one) for one in values) else None


def _crs_name(wkt: str | None) -> str | None:
    return None if wkt is None else _epsg(rasterio_package().crs.CRS.from_wkt(wkt))


def _epsg(crs: Any) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(getattr(crs, "name", None) or crs.to_wkt().split('"')[1])


def _range(values: NDArray[Any]) -> list[float] | None:
    some = values[np.isfinite(values)]
    return [float(some.min()), float(some.max())] if some.size else None


def _or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
