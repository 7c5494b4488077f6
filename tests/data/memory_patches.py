"""Patches held in memory, for tests of what works on any reader."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from spectrain.core.bands import Bands
from spectrain.core.errors import DataError
from spectrain.data.patches import Patches, Rows


class MemoryPatches(Patches):
    """Arrays as a split of a patch set.

    Args:
        image: [N,C,H,W].
        mask: bool [N,1,H,W] or [N,C,H,W], or None.
        labels: first axis N, or None.
        bands: as many as channels; unnamed where None.
        metadata: one row a patch; ``patch_id`` p0, p1, ... where it has none.
        split: its name.
        fail_at: reading this index raises a DataError, as a damaged file would.
    """

    def __init__(self, image, mask=None, labels=None, bands=None, metadata=None, split="train", fail_at=None):
        self.path, self.split = Path("memory"), split
        self.bands = bands or Bands.unnamed(image.shape[1])
        self.shape, self.dtype = image.shape, image.dtype
        self.has_mask, self.has_labels = mask is not None, labels is not None
        self.image, self.mask, self.labels, self.fail_at = image, mask, labels, fail_at
        self.table = pd.DataFrame(index=range(len(image))) if metadata is None else metadata.reset_index(drop=True)
        if "patch_id" not in self.table:
            self.table = self.table.assign(patch_id=[f"p{number}" for number in range(len(image))])
        self.checks = 0

    def read(self, index):
        if index.min(initial=0) < 0 or index.max(initial=0) >= len(self):
            raise IndexError(f"{index} outside 0 to {len(self) - 1}")
        if self.fail_at is not None and self.fail_at in index:
            raise DataError(f"patch {self.fail_at} is damaged", where=str(self.path))
        return Rows(
            self.image[index],
            None if self.mask is None else self.mask[index],
            None if self.labels is None else self.labels[index],
        )

    def metadata(self):
        return self.table

    def fingerprint(self):
        return hashlib.blake2b(self.image[:64].tobytes(), digest_size=8).hexdigest()

    def check(self):
        self.checks += 1
