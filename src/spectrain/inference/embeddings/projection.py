"""Embeddings in few dimensions: principal components of a stream, and UMAP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError, needs

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Pca:
    """Principal components.

    Attributes:
        mean: float64 [D].
        components: float64 [K,D], orthonormal rows; the largest entry of each is positive.
        explained_variance_ratio: float64 [K].
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    explained_variance_ratio: NDArray[np.float64]

    def transform(self, rows: Floats) -> NDArray[np.float64]:
        """Return the coefficients [n,K] of rows [n,D]; a row with NaN has NaN."""
        return (np.asarray(rows, np.float64) - self.mean) @ self.components.T


class StreamedPca:
    """Gathers what principal components need, some rows at a time, in memory for D x D numbers.

    Each part's mean and scatter are taken around its own mean and merged (Chan, Golub and LeVeque 1983), so a large
    mean does not cancel.

    Attributes:
        count: rows so far.
        skipped: rows with NaN, which do not count.
    """

    def __init__(self) -> None:
        self.count, self.skipped = 0, 0
        self._mean: NDArray[np.float64] = np.zeros(0)
        self._scatter: NDArray[np.float64] = np.zeros((0, 0))

    def update(self, rows: Floats) -> None:
        """Add rows [n,D]."""
        rows = np.asarray(rows, np.float64)
        kept = np.isfinite(rows).all(axis=1)
        self.skipped += int((~kept).sum())
        rows = rows[kept]
        if not self._mean.size:
            self._mean, self._scatter = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
        if not len(rows):
            return
        mean = rows.mean(axis=0)
        centred = rows - mean
        total, shift = self.count + len(rows), mean - self._mean
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.count * len(rows) / total)
        self._mean = self._mean + shift * (len(rows) / total)
        self.count = total

    def result(self, components: int | None = None) -> Pca:
        """Return the leading components, at most min(N - 1, D) of them.

        Raises:
            DataError: fewer than two rows, or all of them alike.
        """
        if self.count < 2:
            raise DataError(
                f"principal components need at least two embeddings, there are {self.count}"
                + (f" ({self.skipped} hold NaN)" if self.skipped else ""),
                fix="embed more images",
            )
        variance, vectors = np.linalg.eigh(self._scatter)
        variance, vectors = variance[::-1].clip(min=0), vectors[:, ::-1].T
        most = min(self.count - 1, len(variance))
        kept = most if components is None else min(components, most)
        resolution = np.finfo(np.float64).eps * self.count * float(np.square(self._mean).sum() + 1e-300)
        if variance.sum() <= resolution:
            raise DataError(
                "all embeddings are alike: they have no principal components",
                fix="the encoder has collapsed; look at effective_rank in the run's report",
            )
        chosen = vectors[:kept]
        sign = np.sign(np.take_along_axis(chosen, np.abs(chosen).argmax(axis=1)[:, None], axis=1))
        return Pca(self._mean.copy(), chosen * sign, variance[:kept] / variance.sum())


def umap_positions(rows: Floats, seed: int) -> NDArray[np.float32]:
    """Return a map of the rows [N,D] in two dimensions, float32 [N,2] (UMAP: McInnes, Healy and Melville 2018).

    By the cosine of the rows. The same rows and seed give the same map. A row with NaN has NaN; three rows and fewer
    have no map and lie on a line.

    Raises:
        SpectrainError: umap-learn is not installed.
    """
    with needs("umap", "for a map by UMAP"):
        from umap import UMAP
    rows = np.asarray(rows, np.float32)
    kept = np.isfinite(rows).all(axis=1)
    found = np.full((len(rows), 2), np.nan, np.float32)
    count = int(kept.sum())
    if count <= 3:
        found[kept] = np.column_stack([np.arange(count), np.zeros(count)])
        return found
    # few rows have no spectral layout
    start = "spectral" if count > 15 else "random"
    fitted = UMAP(n_neighbors=min(15, count - 1), metric="cosine", init=start, random_state=seed % 2**32, n_jobs=1)
    found[kept] = fitted.fit_transform(rows[kept])
    return found
