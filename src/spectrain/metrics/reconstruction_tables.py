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
from .reconstruction import image_rows, mse_by_band


class ReconstructionTables(Tables):
    """The metrics of each image, and the error of each band over all masked values.

    Args:
        ssim: report SSIM too.
    """

    def __init__(self, ssim: bool) -> None:
        self.ssim = ssim
        self._index: list[int] = []
        self._columns: dict[str, list[float]] = defaultdict(list)
        self._sums: dict[int, Tensor] = {}

    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch; rows of padding are left out."""
        assert isinstance(output, Reconstruction)
        real = batch.real.cpu()
        self._index += batch.index.cpu()[real].tolist()
        for name, values in image_rows(output, ssim=self.ssim).items():
            self._columns[name] += values.cpu()[real].tolist()
        squares, counts = mse_by_band(output.prediction, output.target, output.chosen)
        error = (
            torch.where(output.chosen, output.prediction - output.target, 0.0)
            if output.chosen is not None
            else (output.prediction - output.target)
        )
        bias = error.sum((2, 3), dtype=squares.dtype)  # float64, but not of the whole batch at once
        sums = torch.stack([part.cpu()[real].sum(0) for part in (squares, bias, counts.to(squares.dtype))])
        self._sums[batch.member] = self._sums[batch.member] + sums if batch.member in self._sums else sums

    def images(self) -> dict[str, list[Any]]:
        """Return ``index`` and the eight metrics (see `ReconstructionMetric`); NaN where nothing can be compared."""
        return {"index": self._index, **self._columns}

    def bands(self, bands: Sequence[Bands]) -> dict[str, list[Any]]:
        """Return a row a band: name, wavelength in nm, RMSE and mean error of the masked values, and their number.

        Errors are in the image's unit. ``data_set`` numbers the members of a mixture.
        """
        table: dict[str, list[Any]] = {
            name: [] for name in ("data_set", "band", "wavelength_nm", "rmse", "mean_error", "values")
        }
        for member, sums in sorted(self._sums.items()):
            squares, bias, counts = sums
            for number, band in enumerate(bands[member]):
                count = counts[number].item()
                table["data_set"].append(member)
                table["band"].append(band.name)
                table["wavelength_nm"].append("" if band.wavelength is None else band.wavelength)
                table["rmse"].append((squares[number].item() / count) ** 0.5 if count else float("nan"))
                table["mean_error"].append(bias[number].item() / count if count else float("nan"))
                table["values"].append(int(count))
        return table
