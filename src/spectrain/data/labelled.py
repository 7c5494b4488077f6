"""How many patches of a split carry no measurement at all."""

from __future__ import annotations

import logging

import numpy as np

from .patches import Patches

log = logging.getLogger("spectrain")

BLOCK = 64
"""Patches whose labels are looked at together."""


def count_unlabelled(patches: Patches) -> int:
    """Return how many patches have labels of decimals without one finite value, and say so in one line.

    Such a patch takes no part in the loss. All labels are read once, no image is. Whole numbers are all measured; the
    labels of classes say themselves which do not count. Without labels every patch is unlabelled.

    Args:
        patches: one split.
    """
    count = len(patches)
    if patches.has_labels:
        count = sum(
            _empty(patches.labels(np.arange(start, min(start + BLOCK, len(patches)))))
            for start in range(0, len(patches), BLOCK)
        )
    if count:
        log.warning(
            "%s, %s: %d of %d patches have no labelled pixel and teach nothing",
            patches.path,
            patches.split,
            count,
            len(patches),
        )
    return count


def _empty(labels: np.ndarray | None) -> int:
    """Return how many of these labels [B,...] hold nothing finite."""
    if labels is None or labels.dtype.kind != "f":
        return 0
    return int((~np.isfinite(labels).reshape(len(labels), -1).any(axis=1)).sum())
