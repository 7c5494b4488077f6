"""Opens the scene that is to be mapped: a raster, a folder with a file a band, or what `prepare` has a recipe for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.bands import Bands
from ...core.errors import DataError, perhaps_beside
from ...data.raster.rasters import read_raster
from ...data.scene import Pixels, RasterScene, Scene

RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img")


def open_map_scenes(
    path: Path,
    preparations: Sequence[dict[str, Any] | None],
    wanted: Bands,
    dem: Path | None = None,
    aux: Sequence[Path] = (),
) -> list[Scene]:
    """Return the scene as the training data of each model were made of theirs, one object where that was the same way.

    Args:
        path: a raster; a folder with a single-band raster for each band; or whatever the preparation takes.
        preparations: the recipe that each model's training data were prepared by, or None.
        wanted: the bands of the models.
        dem: elevation that derived bands are computed from.
        aux: further rasters that the preparation asks for.

    Raises:
        DataError: the scene is missing or damaged, or lacks bands; or the recipes lead to different grids.
    """
    if not path.exists():
        raise DataError(
            "there is no such scene" + perhaps_beside(path), where=str(path), fix="give a raster, such as a GeoTIFF"
        )
    if all(preparation is None for preparation in preparations):
        for name, given in (("--dem", dem), *(("--aux", one) for one in aux)):
            if given is not None:
                raise DataError(
                    "the model's data were not prepared with derived bands, so nothing is computed from it",
                    where=f"{name} {given}",
                    fix=f"leave {name} out",
                )
    ways: list[dict[str, Any] | None] = []
    scenes: list[Scene] = []
    found = []
    for preparation in preparations:
        if preparation not in ways:
            ways.append(preparation)
            scenes.append(_opened(path, preparation, wanted, dem, aux))
        found.append(scenes[ways.index(preparation)])
    for scene in scenes[1:]:
        if scene.grid != scenes[0].grid:
            raise DataError(
                f"the runs' data were prepared on different grids: {scenes[0].grid.size} and {scene.grid.size} px",
                where=str(path),
                fix="map them one by one",
            )
    return found


def _opened(
    path: Path, preparation: dict[str, Any] | None, wanted: Bands, dem: Path | None, aux: Sequence[Path]
) -> Scene:
    if preparation is None:
        return FileScene(path, wanted) if path.is_dir() else RasterScene(path)
    from ...preparation import open_scene  # type: ignore[import-untyped, unused-ignore]

    scene: Scene = open_scene(path, preparation, dem=dem, aux=list(aux) or None)
    return scene


class FileScene(Scene):
    """A folder with a single-band raster for each band, all on one grid; a band's file ends in its name.

    Args:
        folder: holds, say, ``T32UQD_B04.tif`` for the band B04.
        wanted: the bands to look for.

    Raises:
        DataError: a band has no file or several, or the files differ in grid or type.
    """

    def __init__(self, folder: Path, wanted: Bands) -> None:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in RASTERS)
        chosen = [_file_of(name, files, folder) for name in wanted.names]
        self._parts = [RasterScene(path) for path in chosen]
        first = self._parts[0]
        for path, part in zip(chosen, self._parts, strict=True):
            count = read_raster(path).shape[0]
            if count != 1:
                raise DataError(f"has {count} bands", where=str(path), fix="give a file for each band")
            if part.grid != first.grid or part.dtype != first.dtype:
                raise DataError(
                    f"lies on another grid, or is of another type, than {chosen[0].name}: {part.grid.size} {part.dtype}"
                    f" and {first.grid.size} {first.dtype}",
                    where=str(path),
                    fix="resample the bands to one grid, e.g. by `gdalbuildvrt -separate -resolution highest`",
                )
        self.name, self.dtype, self.grid = folder.name, first.dtype, first.grid
        named = [
            {**part.bands.to_json()[0], "name": name} for name, part in zip(wanted.names, self._parts, strict=True)
        ]
        self.bands = Bands.from_json(named)

    def read(self, row: int, column: int, height: int, width: int) -> Pixels:
        """See `Scene.read`."""
        found = [part.read(row, column, height, width) for part in self._parts]
        image = np.concatenate([one.image for one in found])
        if all(one.mask is None for one in found):
            return Pixels(image, None)
        whole = np.ones((1, height, width), dtype=bool)
        return Pixels(image, np.concatenate([whole if one.mask is None else one.mask for one in found]))


def _file_of(name: str, files: list[Path], folder: Path) -> Path:
    """Return the file whose stem is the name, else the one whose stem ends in it."""
    stems = {path: path.stem.lower() for path in files}
    exact = [path for path, stem in stems.items() if stem == name.lower()]
    ending = [path for path, stem in stems.items() if stem.endswith((f"_{name.lower()}", f"-{name.lower()}"))]
    found = exact or ending
    if len(found) == 1:
        return found[0]
    raise DataError(
        f"{len(found)} files are of the band {name!r}" if found else f"no file is of the band {name!r}",
        where=str(folder),
        fix=f"call it {name}.tif; there are {', '.join(path.name for path in files[:8]) or 'no rasters'}",
    )
