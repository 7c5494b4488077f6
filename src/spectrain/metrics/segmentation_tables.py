"""What a test says of a segmentation, image by image: pixels of each kind, and objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.bands import Bands
from ..core.batch import Batch
from ..core.segmented import Segmented
from .base import Tables
from .segmentation import confusion

Counts = NDArray[np.int64]


class SegmentationTables(Tables):
    """Confusion counts of each image, from which those of a scene or region are summed.

    Args:
        object_iou: intersection over union from which two objects are one; None counts no objects.
    """

    def __init__(self, object_iou: float | None) -> None:
        self.object_iou = object_iou
        self._index: list[int] = []
        self._counts: list[Counts] = []
        self.names: tuple[str, ...] = ()

    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch; rows of padding are left out."""
        assert isinstance(output, Segmented)
        real = batch.real.cpu()
        self.names = output.names
        self._index += batch.index.cpu()[real].tolist()
        self._counts += list(confusion(output).cpu()[real].numpy().astype(np.int64))

    def images(self) -> dict[str, list[Any]]:
        """Return ``index``, and pixels of each class: there, found and both."""
        counts = np.array(self._counts).reshape(-1, len(self.names), len(self.names))
        table: dict[str, list[Any]] = {"index": self._index}
        for number, name in enumerate(self.names):
            table[f"{name}: pixels there"] = counts[:, number].sum(1).tolist()
            table[f"{name}: found"] = counts[:, :, number].sum(1).tolist()
            table[f"{name}: right"] = counts[:, number, number].tolist()
        return table

    def bands(self, bands: Sequence[Bands]) -> dict[str, list[Any]]:
        """There is nothing to say of bands."""
        return {}
