"""Labels of few measured pixels: where they are and what was measured, without the pixels in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPARSE = 0.1
"""Share of measured pixels up to which labels are kept so, in batches and by `spectrain prepare`."""


@dataclass(frozen=True, slots=True)
class SparseLabels:
    """Values at M pixels of B patches; every other pixel was not measured.

    To numpy it is the array that it stands for: ``np.asarray(labels)`` is `dense`.

    Attributes:
        index: int64 [M], ``row * width + column`` within the patch.
        value: float32 [M].
        row: int64 [M], the patch's place in the batch, not falling.
        shape: (B, H, W).
    """

    index: NDArray[np.int64]
    value: NDArray[np.float32]
    row: NDArray[np.int64]
    shape: tuple[int, int, int]

    @classmethod
    def from_dense(cls, labels: NDArray[Any]) -> SparseLabels:
        """Take labels [B,H,W] of decimals with NaN where nothing was measured."""
        count, height, width = labels.shape
        flat = labels.reshape(count, height * width)
        row, index = np.nonzero(~np.isnan(flat))
        return cls(index, flat[row, index].astype(np.float32), row, (count, height, width))

    @property
    def ndim(self) -> int:
        """Of the array that it stands for."""
        return 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return np.dtype(np.float32)

    @property
    def size(self) -> int:
        """Pixels, measured or not."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def __len__(self) -> int:
        return self.shape[0]

    def dense(self) -> NDArray[np.float32]:
        """Return float32 [B,H,W] with NaN where nothing was measured."""
        out = np.full(self.shape, np.nan, dtype=np.float32)
        out.reshape(len(out), self.shape[1] * self.shape[2])[self.row, self.index] = self.value
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("sparse labels are not an array yet: one is made of them")
        return self.dense() if dtype is None else self.dense().astype(dtype)


Labels = NDArray[np.generic] | SparseLabels
"""Labels as a reader returns them."""
