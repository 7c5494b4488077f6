"""Segmented images: what was seen, what is there, what was found and how surely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.batch import Batch
from ..core.colours import class_colours
from ..core.errors import SpectrainError
from ..core.segmented import Segmented
from ..core.step import Step
from ..core.targets import IGNORED
from .samples import SamplesPlot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT, WRONG, MISSED = (0.0, 0.62, 0.45), (0.84, 0.37, 0.0), (0.94, 0.89, 0.26)
"""Colours of what is found, found where it is not, and missed; told apart without colour vision (Okabe and Ito)."""
_GREY = 0.6


class SegmentationPlot(SamplesPlot):
    """The part called "segmentation": a row a sample: the image, its labels, what was found, and how surely.

    For two classes the third picture shows what of class 1 is right, wrong and missed; for more, the classes found.
    What is not labelled is grey.
    """

    def __call__(self, step: Step, batch: Batch) -> Figure:
        """Return the figure; rows of padding are left out.

        Raises:
            SpectrainError: the model's output names no classes.
        """
        from .segmentation_sheet import Sample, draw_samples  # matplotlib takes half a second

        output: Any = step.output
        if not isinstance(output, Segmented):
            raise SpectrainError("this draws classes of pixels, and the task finds none", fix="show_prediction=none")
        chosen = [place for place, patch in enumerate(batch.index[: self.nb_to_plot].tolist()) if patch >= 0]
        probabilities, predicted = output.probabilities.float().cpu().numpy(), output.predicted.cpu().numpy()
        if probabilities.ndim == 4:
            probabilities = probabilities.max(1)
        image, valid = batch.image.float().cpu().numpy(), batch.valid.cpu().numpy()
        y = output.y.cpu().numpy()
        samples = [
            Sample(f"patch {int(batch.index[at])}", image[at], valid[at], y[at], predicted[at], probabilities[at])
            for at in chosen
        ]
        return draw_samples(samples, self.bands, output.names, dpi=self.dpi, save_format=self.save_format)


def shades(count: int) -> NDArray[np.float64]:
    """Return the colours [count,3] of classes (`class_colours`), from 0 to 1."""
    return np.array(class_colours(count)) / 255


def coloured(classes: NDArray[Any], colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a map of classes [H,W] as colours [H,W,3]; 255 is grey."""
    found = colours[np.where(classes == IGNORED, 0, classes).astype(np.int64)]
    return np.where((classes == IGNORED)[..., None], _GREY, found)


def compared(y: NDArray[Any], predicted: NDArray[Any], picture: NDArray[Any]) -> NDArray[np.float64]:
    """Return a picture [H,W,3] in pale grey with what of class 1 is right, wrong and missed."""
    pale = np.repeat(0.45 + 0.5 * picture.mean(-1, keepdims=True), 3, axis=-1)
    for where, colour in (
        ((y == 1) & (predicted == 1), RIGHT),
        ((y == 0) & (predicted == 1), WRONG),
        ((y == 1) & (predicted == 0), MISSED),
    ):
        pale = np.where(where[..., None], colour, pale)
    return np.where((y == IGNORED)[..., None], _GREY, pale)
