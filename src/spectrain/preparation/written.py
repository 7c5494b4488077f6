"""The files beside the patches: config.toml and labels.geojson."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..core.bands import Bands
from ..data.ground import EQUAL_AREA, packages
from ..data.ground import Polygons as Places
from .assign import SPLITS
from .options import NORM_FACTORS, Kind, PrepareOptions
from .vectors import read_table

_PATHS = (
    "data_dir", "train_data_dir", "labels_dir", "dem", "arcticdem_dir", "tcvis_dir", "admin_dir", "split_table",
    "preprocess_cache",
)  # fmt: skip


def config_text(kind: Kind, options: PrepareOptions, bands: Bands, patches: Mapping[str, int]) -> str:
    """Return config.toml: the table [darts] with every option, so that it can be given to the command again.

    Args:
        kind: the preset.
        options: as they were used.
        bands: of the patches.
        patches: how many each split has.
    """
    values = asdict(options)
    values["bands"] = list(bands.names)
    lines = [f"# spectrain prepare {kind}", "[darts]"]
    for name, value in values.items():
        text = _toml(_path(value) if name in _PATHS else value)
        lines.append(f"# {name} is not set" if text is None else f"{name} = {text}")
    lines += [f"n_patches = {sum(patches.values())}", "", "[darts.norm_factors]"]
    lines += [f"{_key(name)} = {_toml(factor)}" for name, factor in norm_factors(bands).items()]
    return "\n".join(lines) + "\n"


def norm_factors(bands: Bands) -> dict[str, float]:
    """Return the published factor of each band; of others one over the width of its limits, in stored numbers."""
    found = {}
    for band in bands:
        if band.name in NORM_FACTORS:
            found[band.name] = NORM_FACTORS[band.name]
        elif band.limits is not None:
            found[band.name] = band.scale / (band.limits[1] - band.limits[0])
    return found


def _path(value: str | None) -> str | None:
    """Return a path below the working folder relative to it, with forward slashes; others as they were given."""
    if value is None:
        return None
    path = Path(value)
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_absolute() and path.is_relative_to(here) else path.as_posix()


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _toml(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(str(value)) or repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(one) or '' for one in value)}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def labels_text(
    used: Sequence[tuple[str, str, Sequence[int]]], places: Mapping[str, Places | None] | None = None
) -> str | None:
    """Return labels.geojson: each polygon of a used scene once, in longitude and latitude, with its split.

    The property is called ``mode``, as those know it who come from DARTS.

    Args:
        used: (split of the scene, vector file, rows of its polygons there).
        places: of the patches of each split, where these were split within scenes; a polygon has the split of those.

    Returns:
        The text; None where no labels are polygons. A polygon over scenes of several splits has the last of them.
    """
    last: dict[tuple[str, int], int] = {}
    for name, file, rows in used:
        for row in rows:
            last[file, row] = max(last.get((file, row), 0), SPLITS.index(name))
    if not last:
        return None
    shapely, _ = packages()
    features = []
    for file in dict.fromkeys(file for _, file, rows in used if len(rows)):
        table = read_table(Path(file))
        rows = sorted(row for source, row in last if source == file)
        part = table.iloc[rows]
        ground = np.array(part.geometry.to_crs(EQUAL_AREA).to_numpy(), dtype=object)
        for split, patches in sorted((places or {}).items(), key=lambda one: SPLITS.index(one[0])):
            if patches is not None:
                for one in np.unique(shapely.STRtree(ground).query(patches, predicate="intersects")[1]):
                    last[file, rows[one]] = SPLITS.index(split)
        shapes = shapely.make_valid(np.array(part.geometry.to_crs(4326).to_numpy(), dtype=object))
        columns = [str(name) for name in part.columns if name != part.geometry.name and name != "mode"]
        for row, shape, values in zip(rows, shapes, part[columns].to_numpy(dtype=object), strict=True):
            said = {name: _plain(value) for name, value in zip(columns, values, strict=True)}
            features.append(
                {
                    "type": "Feature",
                    "properties": {**said, "mode": SPLITS[last[file, row]]},
                    "geometry": json.loads(shapely.to_geojson(shape)),
                }
            )
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
    return '{"type": "FeatureCollection", "features": [\n' + lines + "\n]}\n"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if value is None or value is np.nan or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, np.generic):
        return _plain(value.item())
    return value if isinstance(value, bool | int | float | str) else str(value)
