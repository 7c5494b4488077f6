"""Maps of values: what was seen, what was measured, what is predicted, how surely, and how far it is off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..core.batch import Batch
from ..core.errors import SpectrainError
from ..core.regressed import Regressed
from ..core.step import Step
from .samples import SamplesPlot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RegressionPlot(SamplesPlot):
    """The part called "regression": a row a sample: the image, its labels, the prediction, its deviation, its error.

    Labels and prediction share their colours, which are those of the labels drawn; the deviation is that of the
    model's own errors and is left out where it has no error model; the error is at labelled pixels. Few labels are dots
    larger than a pixel, so that they are seen. What is missing is grey. Each of several quantities has rows and colours
    of its own, below each other. See `plots.regression_sheet`.
    """

    def __call__(self, step: Step, batch: Batch) -> Figure:
        """Return the figure; rows of padding are left out.

        Raises:
            SpectrainError: the output is no maps of values; the task's ``shown`` makes maps of sparse values.
        """
        from .regression_sheet import Sample, draw_samples  # matplotlib takes half a second

        output: Any = step.output
        if not isinstance(output, Regressed) or output.row is not None:
            raise SpectrainError("this draws maps of values, and the task makes none", fix="show_prediction=none")
        image, valid = batch.image.float().cpu().numpy(), batch.valid.cpu().numpy()
        mean = output.mean.float().cpu().numpy()
        deviation = None
        if output.log_variance is not None:
            everywhere = replace(output, valid=torch.ones_like(output.valid))  # not at labels alone
            deviation = everywhere.variance.sqrt().cpu().numpy()
        y = np.where(output.valid.cpu().numpy(), output.y.float().cpu().numpy(), np.nan)
        samples = [
            Sample(
                f"patch {patch}",
                image[at],
                valid[at],
                y[at],
                np.where(valid[at].any(0), mean[at], np.nan),
                None if deviation is None else np.where(valid[at].any(0), deviation[at], np.nan),
            )
            for at, patch in enumerate(batch.index[: self.nb_to_plot].tolist())
            if patch >= 0
        ]
        return draw_samples(samples, self.bands, output.names, output.unit, dpi=self.dpi, save_format=self.save_format)
