"""An ensemble's mean and variances, member by member: memory does not grow with their number."""

from __future__ import annotations

import torch
from torch import Tensor


class EnsembleMoments:
    """Mean and variances of members that are added one after another.

    The members weigh alike and make a mixture (Lakshminarayanan et al. 2017): its variance is the spread of the means
    plus the mean of the variances. Sums are compensated (Welford 1962): the spread of heights of 3,000 m that differ by
    a few centimetres is not lost in float32, as it would be in the mean of squares less the square of the mean.
    """

    def __init__(self) -> None:
        self.members = 0
        self._mean: Tensor | None = None
        self._apart: Tensor | None = None
        self._variance: Tensor | None = None

    @torch.no_grad()
    def add(self, mean: Tensor, variance: Tensor | None = None) -> None:
        """Add a member.

        Args:
            mean: float32 or wider, any shape, the same of all members; NaN at a pixel makes it NaN there.
            variance: of the member's own errors, of that shape; None of all members where they have no error model.

        Raises:
            ValueError: another shape than before, or some members with variances and some without.
        """
        if self._mean is None or self._apart is None:
            self.members = 1
            self._mean, self._apart = mean.clone(), torch.zeros_like(mean)
            self._variance = None if variance is None else variance.clone()
            return
        if mean.shape != self._mean.shape:
            raise ValueError(f"a member of shape {tuple(mean.shape)} among members of {tuple(self._mean.shape)}")
        if (variance is None) != (self._variance is None):
            raise ValueError("some members have variances and some have none")
        self.members += 1
        off = mean - self._mean
        self._mean = self._mean + off / self.members
        self._apart = self._apart + off * (mean - self._mean)
        if variance is not None and self._variance is not None:
            self._variance = self._variance + (variance - self._variance) / self.members

    @property
    def mean(self) -> Tensor:
        """Mean of the means."""
        return self._of(self._mean)

    @property
    def epistemic(self) -> Tensor:
        """Variance of the means, divided by their number (ddof 0): what the members disagree on; 0 of one member."""
        return self._of(self._apart) / self.members

    @property
    def aleatoric(self) -> Tensor | None:
        """Mean of the variances: what every member holds for noise; None where they say nothing of it."""
        return self._variance

    @property
    def predictive(self) -> Tensor:
        """Variance of the mixture: epistemic and aleatoric together."""
        return self.epistemic if self._variance is None else self.epistemic + self._variance

    def _of(self, held: Tensor | None) -> Tensor:
        if held is None:
            raise ValueError("an ensemble without members has no moments")
        return held


def combine(means: Tensor, variances: Tensor | None = None) -> EnsembleMoments:
    """Return the moments of members that lie along the first axis, [M,...]."""
    found = EnsembleMoments()
    for number, mean in enumerate(means):
        found.add(mean, None if variances is None else variances[number])
    return found
