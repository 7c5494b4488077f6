"""No augmentation: a view is the batch itself."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.bands import Bands
from ..core.batch import Batch
from ..core.random import Key
from ..core.registry import register


@register("augmentation", "none")
class NoAugmentation:
    """Returns every batch as it came."""

    @dataclass
    class Config:
        """No options."""

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands) -> NoAugmentation:
        """Return the augmentation; it has nothing to set."""
        return cls()

    def __call__(self, batch: Batch, key: Key) -> Batch:
        """Return ``batch``."""
        return batch

    def centred(self, batch: Batch) -> Batch:
        """Return ``batch``."""
        return batch
