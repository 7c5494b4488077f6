"""The one helper that removes missing values, before any arithmetic touches them."""

from __future__ import annotations

import torch
from torch import Tensor


def fill_invalid(values: Tensor, valid: Tensor, value: float = 0.0) -> Tensor:
    """Return ``values`` with ``value`` where ``valid`` is False.

    Call this before arithmetic, not after: ``where(valid, log(x), 0)`` still carries the NaN of the hole into the
    gradient, ``log(fill_invalid(x, valid, 1.0))`` does not. ``loss * mask`` has the same fault (NaN * 0 = NaN).

    Args:
        values: any shape; may hold NaN or infinity where ``valid`` is False.
        valid: bool, broadcastable to ``values``.
        value: what a hole becomes.
    """
    # `new_full` is filled on the device; `as_tensor` would copy from the host and wait for it
    return torch.where(valid, values, values.new_full((), value))
