"""A raw scene as the scene that its patches were prepared from: the same code for `prepare` and `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..data.raster.rasters import Raster
from .ingredients import Channel, Described, Ingredients, channels_of, placed
from .patterns import SUFFIXES, Pattern, SceneFiles, beside, rasters_in
from .prepared import PreparedScene
from .record import Preparation

Places = str | Path | Sequence[str | Path]


def open_scene(
    path: str | Path,
    preparation: Preparation | Mapping[str, Any],
    *,
    dem: Places | None = None,
    aux: Places | None = None,
) -> PreparedScene:
    """Return a raw scene with the bands that patches were prepared with.

    Args:
        path: a raster; or a folder with the files of one scene. Where the patterns of the preparation make a scene of
            several files, any one of them will do.
        preparation: the content of preparation.json (`Patches.preparation`).
        dem: raster or folder of the elevation, or several; None is that of the preparation.
        aux: rasters or folders of further bands (tasselled cap, ...); None is those of the preparation.

    Raises:
        DataError: a file is missing or damaged, a band is not there, or what it is made of is not given.
    """
    record = preparation if isinstance(preparation, Preparation) else Preparation.from_json(preparation)
    files = scene_files(Path(path).expanduser(), record)
    return build_scene(files, record, dem=dem, aux=aux)


def build_scene(
    files: SceneFiles, record: Preparation, *, dem: Places | None = None, aux: Places | None = None
) -> PreparedScene:
    """Return the scene of some files; see `open_scene`."""
    heights = elevation(record, dem)
    ingredients = gather(files, record, heights, aux)
    quality = None if files.quality is None else placed(files.quality, record.crs)
    if quality is not None and quality.shape[0] < record.quality_band:
        raise DataError(
            f"the quality mask has {quality.shape[0]} bands, band {record.quality_band} was asked for",
            where=str(quality.path),
            fix="correct quality-band",
        )
    return PreparedScene(files.name, ingredients, record, heights, quality)


def gather(files: SceneFiles, record: Preparation, dem: Sequence[Raster], aux: Places | None = None) -> Ingredients:
    """Return the bands that a scene can give."""
    said = Described(record.band_names, record.scale, record.offset, record.nodata, record.crs)
    further: dict[str, list[Channel]] = {}
    wanted = record.aux if aux is None else aux
    for one in [wanted] if isinstance(wanted, str | Path) else wanted:
        for path in rasters_in(one, "aux"):
            for name, channel in channels_of([("", path)], Described(crs=record.crs)).items():
                further.setdefault(name, []).append(channel)
    return Ingredients(channels_of(files.images, said), further, bool(dem), record.formulas)


def scene_files(path: Path, record: Preparation) -> SceneFiles:
    """Return the files of the scene at a path.

    Raises:
        DataError: there is none, or there are several.
    """
    if not path.exists():
        raise DataError("there is no such scene", where=str(path), fix="give a raster, or the folder of its files")
    patterns = [Pattern.read(one) for one in record.images]
    root, name, images = (_in_folder if path.is_dir() else _of_file)(path, patterns)
    files = SceneFiles(name, tuple(images))
    if record.quality is None:
        return files
    quality = beside(root, record.quality, files)
    if quality is None:
        raise DataError(
            f"there is no quality mask {record.quality!r}, and the patches were prepared with one",
            where=str(images[0][1].parent),
            fix="put it beside the scene",
        )
    return SceneFiles(name, files.images, quality)


Found = tuple[Path, str, list[tuple[str, Path]]]


def _of_file(path: Path, patterns: Sequence[Pattern]) -> Found:
    """Return root, name and images of the scene of a file: those that the patterns name, else the file alone."""
    for pattern in patterns:
        if (place := pattern.place(path)) is not None:
            root, name = place
            return root, name, _of_scene(root, patterns, name)
    return path.parent, path.stem, [("", path)]


def _of_scene(root: Path, patterns: Sequence[Pattern], name: str) -> list[tuple[str, Path]]:
    """Return the files of one scene.

    Raises:
        DataError: a pattern has none.
    """
    found = []
    for pattern in patterns:
        files = pattern.files(root, name).get(name, [])
        if not files:
            raise DataError(
                f"the scene {name!r} has no file {pattern.text!r}",
                where=str(root),
                fix="put it where the scenes of the training have theirs",
            )
        found += [(pattern.prefix, path) for path in files]
    return found


def _in_folder(path: Path, patterns: Sequence[Pattern]) -> Found:
    """Return root, name and images of the scene in a folder.

    Raises:
        DataError: there is none, or there are several.
    """
    names = list(dict.fromkeys(name for pattern in patterns for name in pattern.files(path)))
    if len(names) == 1:
        return path, names[0], _of_scene(path, patterns, names[0])
    if names:
        raise DataError(
            f"the folder holds {len(names)} scenes: {', '.join(names[:3])}{', ...' * (len(names) > 3)}",
            where=str(path),
            fix="give one file of the scene",
        )
    files = [one for one in sorted(path.iterdir()) if one.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError("there is no raster in the folder", where=str(path), fix="give the folder of a scene's files")
    named = next((one for one in files if any(pattern.place(one) for pattern in patterns)), None)
    if named is not None:
        return _of_file(named, patterns)
    return path, path.name, [("", one) for one in files]


def elevation(record: Preparation, dem: Places | None = None) -> list[Raster]:
    """Return the rasters of the elevation; none where none is given."""
    places = record.dem if dem is None else dem
    if places is None:
        return []
    each = [places] if isinstance(places, str | Path) else places
    return [placed(path, record.crs) for one in each for path in rasters_in(one, "dem")]
