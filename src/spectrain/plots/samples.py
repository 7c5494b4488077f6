"""What plots of the first samples of a batch have in common: their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..config.option import option
from ..core.bands import Bands
from .reconstruction import Format


class SamplesPlot:
    """A plot with a row a sample.

    Args:
        nb_to_plot: how many samples, from the first on; fewer where the batch has fewer.
        save_format: what ``figure.savefig`` writes where the file's name does not say.
        dpi: dots per inch.
        bands: of the data set; their wavelengths give true colours.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``show_prediction=segmentation`` and ``regression``."""

        nb_to_plot: int = option(6, "how many samples to draw", minimum=1)
        save_format: Format = option("png", "file format where the file's name does not say")
        dpi: int = option(110, "dots per inch", minimum=10)

    def __init__(
        self, nb_to_plot: int = 6, save_format: Format = "png", dpi: int = 110, bands: Bands | None = None
    ) -> None:
        self.nb_to_plot, self.save_format, self.dpi, self.bands = nb_to_plot, save_format, dpi, bands

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands | None = None) -> Self:
        """Return the configured plot."""
        return cls(config.nb_to_plot, config.save_format, config.dpi, bands)
