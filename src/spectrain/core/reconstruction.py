"""What a model that fills in hidden values made of a batch, for the metrics and the pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from .bands import Bands


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Images and what a model made of them, in one unit: that of ``bands`` or, if the loss is taken there, scaled.

    What stands where ``valid`` is False means nothing and may be NaN, in the prediction too.

    Attributes:
        prediction: [B,C,H,W], the composited image: the model's values where ``masked``, elsewhere the target's own.
        target: [B,C,H,W].
        valid: bool [B,C,H,W], True where there is a value to compare with; None where every value is valid.
        masked: bool [B,C,H,W], True where the model did not see the value; None where it saw none.
        data_range: largest minus smallest value that the data can take, above 0; for PSNR and SSIM.
        bands: of the images, C of them.
        rgb: gives for a row, when it is drawn, a picture [H',W',3] of the same place, uint8 or 0 to 1, or None; None
            where there are no pictures.
    """

    prediction: Tensor
    target: Tensor
    valid: Tensor | None
    masked: Tensor | None
    data_range: float
    bands: Bands
    rgb: Callable[[int], NDArray[Any] | None] | None = None

    def __post_init__(self) -> None:
        shape = self.target.shape
        for name in ("prediction", "valid", "masked"):
            part = getattr(self, name)
            if part is not None and part.shape != shape:
                raise ValueError(f"{name} {tuple(part.shape)} and target {tuple(shape)} differ in shape")
        if len(self.bands) != shape[1]:
            raise ValueError(f"{len(self.bands)} bands for {shape[1]} channels")
        if not self.data_range > 0:
            raise ValueError(f"the data range must be above 0, not {self.data_range}")

    @property
    def chosen(self) -> Tensor | None:
        """Bool [B,C,H,W], the values that are masked and valid; None where all are."""
        if self.masked is None or self.valid is None:
            return self.valid if self.masked is None else self.masked
        return self.masked & self.valid
