"""No picture."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.bands import Bands
from ..core.batch import Batch
from ..core.step import Step


class NoPlot:
    """The part called "none"."""

    nb_to_plot = 0

    @dataclass(frozen=True)
    class Config:
        """``show_prediction=none`` has no keys."""

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands | None = None) -> NoPlot:
        """Return the part."""
        return cls()

    def __call__(self, step: Step, batch: Batch) -> None:
        """Return None: nothing is drawn."""
