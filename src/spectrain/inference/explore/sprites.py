"""Small images packed into sheets that a browser decodes at once."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

ACROSS = 32
"""Images along each side of a sheet."""


def sheets_of(thumbnails: NDArray[np.uint8]) -> list[str]:
    """Return data URIs of sheets with 32 x 32 images [N,h,w,3] each, row by row; the last one is shorter."""
    from PIL import Image

    count, height, width, _ = thumbnails.shape
    found = []
    for start in range(0, count, ACROSS * ACROSS):
        part = thumbnails[start : start + ACROSS * ACROSS]
        lines = -(-len(part) // ACROSS)
        sheet = np.zeros((lines * ACROSS, height, width, 3), np.uint8)
        sheet[: len(part)] = part
        picture = sheet.reshape(lines, ACROSS, height, width, 3).swapaxes(1, 2).reshape(lines * height, -1, 3)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "WEBP", quality=88)
        found.append("data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii"))
    return found
