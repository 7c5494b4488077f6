"""What the model is shown: the views of the first few samples, and how alike it finds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..config.option import option
from ..core.bands import Bands
from ..core.batch import Batch
from ..core.step import Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["png", "pdf", "svg"]


class ViewsPlot:
    """The part called "views": a column a sample, a row a view.

    The title says which patch it is and, where the model's output is one vector a view, the cosine between the first
    two. See `plots.images` for how images of any number of bands become colours.

    Args:
        nb_to_plot: how many samples, from the first on; fewer where the batch has fewer.
        dpi: dots per inch.
        save_format: what ``figure.savefig`` writes where the file's name does not say.
        bands: of the images, for true colours and the unit on the bar; None where nothing is known of them.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``show_prediction=views``."""

        nb_to_plot: int = option(4, "how many samples to draw", minimum=1)
        dpi: int = option(100, "dots per inch", minimum=10)
        save_format: Format = option("png", "file format where the file's name does not say")

    def __init__(
        self, nb_to_plot: int = 4, dpi: int = 100, save_format: Format = "png", bands: Bands | None = None
    ) -> None:
        self.nb_to_plot, self.dpi, self.save_format, self.bands = nb_to_plot, dpi, save_format, bands

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands | None = None) -> ViewsPlot:
        """Return the configured plot."""
        return cls(config.nb_to_plot, config.dpi, config.save_format, bands)

    def __call__(self, step: Step, batch: Batch) -> Figure:
        """Return the figure; rows of padding are left out."""
        from .views_sheet import Column, draw_columns  # matplotlib takes half a second

        count = batch.index.shape[0] // batch.views
        cosines = _cosines(step.output, batch)
        columns = []
        for sample, patch in enumerate(batch.index[: min(count, self.nb_to_plot)].tolist()):
            if patch < 0:
                continue
            rows = [sample + view * count for view in range(batch.views)]
            title = f"patch {patch}" if cosines is None else f"patch {patch}\ncosine {cosines[sample]:.2f}"
            columns.append(Column(title, _on_host(batch.image[rows]), _on_host(batch.valid[rows])))
        names = [f"view {view + 1}" for view in range(batch.views)]
        return draw_columns(columns, names, bands=self.bands, dpi=self.dpi, save_format=self.save_format)


def _on_host(values: Tensor) -> NDArray[Any]:
    """Return a few rows as an array; float32 for all floating types."""
    values = values.detach()
    array: NDArray[np.generic] = (values.float() if values.is_floating_point() else values).cpu().numpy()
    return array


def _cosines(output: Any, batch: Batch) -> list[float] | None:
    """Return the cosine between the first two views of each sample; None where the output is not a vector a view."""
    if batch.views < 2 or not isinstance(output, Tensor) or output.dim() != 2:
        return None
    first, second = output.detach().float().chunk(batch.views)[:2]
    cosines: list[float] = F.cosine_similarity(first, second).tolist()
    return cosines
