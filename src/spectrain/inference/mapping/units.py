"""Says where the values of a scene are so unlike those of the training that they must be in another unit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.bands import Bands
from ...core.batch import Batch
from ...core.fill import fill_invalid
from ...data.statistics import Statistics

LOOKED_AT, STEP = 20, 4
"""Batches that are looked at, and of these every so many rows and columns; more would say the same."""
FAR, UNLIKE = 10.0, 30.0
"""A band is unlike where its mean is so many deviations away, or its deviation so many times larger or smaller."""


class UnitsCheck:
    """Sums what the first batches of a scene hold, a band.

    Args:
        bands: of the model.
        statistics: of its training.
    """

    def __init__(self, bands: Bands, statistics: Statistics) -> None:
        self._bands, self._statistics = bands, statistics
        self._sums: Tensor | None = None
        self._batches = 0

    def add(self, batch: Batch) -> None:
        """Look at a batch; nothing waits for the device."""
        if self._batches == LOOKED_AT:
            return
        self._batches += 1
        valid = batch.valid[..., ::STEP, ::STEP]
        image = fill_invalid(batch.image[..., ::STEP, ::STEP], valid).double()
        found = torch.stack([one.sum((0, 2, 3)) for one in (valid.double(), image, image.square())])
        self._sums = found if self._sums is None else self._sums + found

    def warning(self) -> str | None:
        """Return a sentence that names the bands which are unlike; None where none is."""
        if self._sums is None:
            return None
        counts, sums, squares = self._sums.tolist()
        unlike = []
        for number, band in enumerate(self._bands):
            mean, std = self._statistics.mean[number], self._statistics.std[number]
            if counts[number] < 100 or not math.isfinite(mean) or not std > 0:
                continue
            here = sums[number] / counts[number]
            spread = math.sqrt(max(squares[number] / counts[number] - here * here, 0.0))
            if abs(here - mean) > FAR * std or (spread > 0 and not 1 / UNLIKE < spread / std < UNLIKE):
                unlike.append(f"{band.name} {here:.4g} ± {spread:.2g} (trained on {mean:.4g} ± {std:.2g})")
        if not unlike:
            return None
        return f"values unlike those of the training; are they in another unit? {'; '.join(unlike)}"
