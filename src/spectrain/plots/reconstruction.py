"""What a model made of the values it did not see: pictures, the error of each band, and mean spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..config.option import option
from ..core.bands import Bands
from ..core.batch import Batch
from ..core.errors import SpectrainError
from ..core.reconstruction import Reconstruction
from ..core.step import Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["png", "pdf", "svg"]


class RgbPlot:
    """The part called "plot_rgb": a row a sample, from what was seen to what the model made of it.

    The columns are a picture of the place where there is one, the original in true colours, the model's input with
    hidden bands black and hidden pixels grey, the reconstruction (hidden values the model's, the others as they were),
    the error of each band, and the mean spectra. See `plots.reconstruction_sheet`.

    Args:
        nb_to_plot: how many samples, from the first on; fewer where the batch has fewer.
        save_format: what ``figure.savefig`` writes where the file's name does not say.
        dpi: dots per inch.
        bands: of the data set; the bands of the reconstruction itself are what is drawn.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``show_prediction=plot_rgb``."""

        nb_to_plot: int = option(4, "how many samples to draw", minimum=1)
        save_format: Format = option("png", "file format where the file's name does not say")
        dpi: int = option(150, "dots per inch", minimum=10)

    def __init__(
        self, nb_to_plot: int = 4, save_format: Format = "png", dpi: int = 150, bands: Bands | None = None
    ) -> None:
        self.nb_to_plot, self.save_format, self.dpi, self.bands = nb_to_plot, save_format, dpi, bands

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands | None = None) -> RgbPlot:
        """Return the configured plot."""
        return cls(config.nb_to_plot, config.save_format, config.dpi, bands)

    def __call__(self, step: Step, batch: Batch) -> Figure:
        """Return the figure; rows of padding are left out.

        Raises:
            SpectrainError: the model's output is no reconstruction.
        """
        from .reconstruction_sheet import Row, draw_rows  # matplotlib takes half a second

        output: Any = step.output
        if not isinstance(output, Reconstruction):
            raise SpectrainError("plot_rgb draws reconstructions, and the task makes none", fix="show_prediction=views")
        rows = []
        for place, patch in enumerate(batch.index[: self.nb_to_plot].tolist()):
            if patch < 0:
                continue
            original, composed = _on_host(output.target[place]), _on_host(output.prediction[place])
            rows.append(
                Row(
                    f"patch {patch}",
                    original,
                    composed,
                    _where(output.valid, place, original.shape),
                    _where(output.masked, place, original.shape),
                    None if output.rgb is None else output.rgb(place),
                )
            )
        return draw_rows(rows, output.bands, dpi=self.dpi, save_format=self.save_format)


def _on_host(values: Tensor) -> NDArray[np.float32]:
    """Return one image as an array."""
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array


def _where(flags: Tensor | None, place: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the flags of one image as an array; True everywhere where there are none."""
    if flags is None:
        return np.ones(shape, dtype=bool)
    array: NDArray[np.bool_] = flags[place].detach().cpu().numpy()
    return array
