"""Scenes: rasters on one grid, of any size, from which windows are read in bounded memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.bands import Bands
from .raster.rasters import Raster, RasterImages, Transform, read_raster, resolution


@dataclass(frozen=True, slots=True)
class SceneGrid:
    """Where the pixels of a scene lie.

    Attributes:
        size: (height, width) in px.
        crs: WKT; None where the scene has no place on the ground.
        transform: of pixel corners: x = a·column + b·row + c, y = d·column + e·row + f.
    """

    size: tuple[int, int]
    crs: str | None
    transform: Transform


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a window of a scene holds, as stored.

    Attributes:
        image: [C,h,w] in the scene's type; a value that is missing is the band's nodata, or NaN.
        mask: bool [1,h,w] or [C,h,w], True where observed; None where the scene has no mask.
    """

    image: NDArray[Any]
    mask: NDArray[np.bool_] | None


class Scene(ABC):
    """A scene. `spectrain prepare` cuts patches from it, `spectrain predict` maps it.

    Attributes:
        name: the same wherever the files lie.
        bands: one a channel.
        dtype: of the images.
        grid: where its pixels lie.
    """

    name: str
    bands: Bands
    dtype: np.dtype[Any]
    grid: SceneGrid

    @abstractmethod
    def read(self, row: int, column: int, height: int, width: int) -> Pixels:
        """Return a window, which lies within the scene; the same pixels whatever window they are read in.

        Raises:
            DataError: a file is gone or damaged.
        """


class RasterScene(Scene):
    """One multi-band raster as it is.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        raster: Raster = read_raster(path)
        ground = resolution(raster)
        self.name, self.dtype = path.name, raster.dtype
        self.bands = Bands.from_json([{"resolution": ground, **_said(band)} for band in raster.bands.to_json()])
        self.grid = SceneGrid(raster.shape[1:], raster.crs, raster.transform)
        self._image = RasterImages([raster])
        self._mask = RasterImages([raster], masks=True) if raster.masked else None

    def read(self, row: int, column: int, height: int, width: int) -> Pixels:
        """See `Scene.read`."""
        place, size = np.array([[0, row, column]], dtype=np.int64), (height, width)
        mask = None if self._mask is None else self._mask.take(place, size)[0] != 0
        return Pixels(self._image.take(place, size)[0], mask)


def _said(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}
