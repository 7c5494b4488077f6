"""The log-variance of a prediction, from the number that a network gives without bounds."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

LogVariance = Literal["bounded", "published"]
LOWEST, HIGHEST = -10.0, 10.0


def log_variance(raw: Tensor, form: LogVariance = "bounded") -> Tensor:
    """Return the log-variance of what a network's second head gives; of any shape, float32.

    - "bounded" is the number itself between -10 and 10, and bends smoothly into these bounds, so that neither the
      variance nor its inverse overflows and the gradient never becomes 0 (Chua et al. 2018).
    - "published" is softplus(raw), as the published trainer has it (its head is called a deviation, and is used as a
      log-variance). It is above 0, so the variance is above 1 in the squared unit of the target; for weights of that
      trainer only.

    Args:
        raw: any numbers; NaN stays NaN.
        form: "bounded" or "published".
    """
    raw = raw.float()
    if form == "published":
        return F.softplus(raw)
    above = LOWEST + F.softplus(raw - LOWEST)
    return HIGHEST - F.softplus(HIGHEST - above)
