"""RGB pictures beside the images, read only when one is drawn."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)


class Pictures:
    """A picture file for each of M images, or none; it shows the whole image, at any resolution.

    Args:
        files: one an image; None where it has none.
        sides: int [M,2], height and width of the images in px.
    """

    def __init__(self, files: Sequence[Path | None], sides: NDArray[np.int64]) -> None:
        self._files, self._sides = list(files), sides
        self._told = False

    def take(self, image: int, row: int, column: int, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Return what the picture shows of a window, [H',W',3]; None where there is no picture that can be read."""
        path = self._files[image]
        if path is None:
            return None
        from PIL import Image

        try:
            with Image.open(path) as opened:
                across, down = (there / here for there, here in zip(opened.size, self._sides[image][::-1], strict=True))
                left, top = round(column * across), round(row * down)
                right = max(left + 1, round((column + size[1]) * across))
                bottom = max(top + 1, round((row + size[0]) * down))
                return np.asarray(opened.convert("RGB").crop((left, top, right, bottom)))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            if not self._told:
                self._told = True
                logger.warning("%s: the picture cannot be read (%s); plots go without such", path, error)
            return None
