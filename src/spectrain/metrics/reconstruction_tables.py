"""What a test says of a reconstruction: a row an image, a row a band."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.bands import Bands
from ..core.batch import Batch
from ..core.reconstruction import Reconstruction
from .base import Tables
from .reconstruction import ReconstructionSums, image_rows, mse_by_band, required


class ReconstructionTables(ReconstructionSums, Tables):
    """The metrics of each image, their means, and the error of each band over all masked values.

    Args:
        ssim: report SSIM too.
    """

    def __init__(self, ssim: bool) -> None:
        super().__init__(ssim)
        self._index: list[int] = []
        self._columns: dict[str, list[float]] = defaultdict(list)
        self._of_bands: dict[int, Tensor] = {}

    @torch.no_grad()
    def update(self, output: Reconstruction, batch: Batch) -> None:
        """Add a batch; rows of padding are left out."""
        output = required(output)
        squares, counts = by_band = mse_by_band(output.prediction, output.target, output.chosen)
        rows = image_rows(output, ssim=self._ssim, by_band=by_band)
        self.add(rows, output, batch)
        real = batch.real.cpu()
        self._index += batch.index.cpu()[real].tolist()
        for name, values in rows.items():
            self._columns[name] += values.cpu()[real].tolist()
        error = (
            torch.where(output.chosen, output.prediction - output.target, 0.0)
            if output.chosen is not None
            else (output.prediction - output.target)
        )
        bias = error.sum((2, 3), dtype=squares.dtype)  # float64, but not of the whole batch at once
        sums = torch.stack([part.cpu()[real].sum(0) for part in (squares, bias, counts.to(squares.dtype))])
        known = self._of_bands.get(batch.dataset)
        self._of_bands[batch.dataset] = sums if known is None else known + sums

    def images(self) -> dict[str, list[Any]]:
        """Return ``index`` and the eight metrics (see `ReconstructionMetric`); NaN where nothing can be compared."""
        return {"index": self._index, **self._columns}

    def bands(self, bands: Sequence[Bands]) -> dict[str, list[Any]]:
        """Return a row a band: name, wavelength in nm, RMSE and mean error of the masked values, and their number.

        Errors are in the image's unit. ``data_set`` numbers the data sets of a mixture.
        """
        table: dict[str, list[Any]] = {
            name: [] for name in ("data_set", "band", "wavelength_nm", "rmse", "mean_error", "values")
        }
        for dataset, sums in sorted(self._of_bands.items()):
            squares, bias, counts = sums
            for number, band in enumerate(bands[dataset]):
                count = counts[number].item()
                table["data_set"].append(dataset)
                table["band"].append(band.name)
                table["wavelength_nm"].append("" if band.wavelength is None else band.wavelength)
                table["rmse"].append((squares[number].item() / count) ** 0.5 if count else float("nan"))
                table["mean_error"].append(bias[number].item() / count if count else float("nan"))
                table["values"].append(int(count))
        return table
