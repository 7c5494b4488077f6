"""The figures of a regression's sums: predicted against true values, and how far the predicted deviation is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..metrics.calibration import calibration_curve, coverage_curve, retention_curve
from ..metrics.regression import GROUPS, HIGHEST, LOWEST, of_sums
from ..plots.calibration import (
    Calibration,
    Histogram,
    Joint,
    Retention,
    draw_calibration,
    draw_coverage,
    draw_joint,
    draw_retention,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH = 20
"""Labels that a point of the calibration is of at least: the error of fewer says little."""
MOST = 40
"""Bars of a histogram."""


def figures_of(
    sums: Mapping[str, Tensor], names: Sequence[str], limits: Sequence[tuple[float, float]], unit: str | None
) -> dict[str, Figure]:
    """Return figures by name, a panel or a line a quantity.

    ``confusion`` is predicted against true values; it is left out where most labels lie beyond the limits, so that
    nothing could be seen. With an error model there are ``calibration`` (predicted deviation and error), ``coverage``
    (share of labels in intervals) and ``retention`` (error of the surest). What has no label has no panel.

    Args:
        sums: of `sums_of` and `figure_sums`, a row a quantity, float64 on the host.
        names: of the quantities.
        limits: lowest and highest value of each.
        unit: of all values, or None.
    """
    values = {name: of.tolist() for name, of in of_sums(sums).items()}
    labelled = [number for number, count in enumerate(sums["count"].tolist()) if count > 0]
    joints: dict[str, Joint] = {}
    calibrations: dict[str, Calibration] = {}
    coverages: dict[str, dict[str, list[float]]] = {}
    retentions: dict[str, Retention] = {}
    for at in labelled:
        name, own = names[at], {measure: of[at] for measure, of in values.items()}
        joint = Joint(sums["joint"][at].numpy(), limits[at], own["rmse"], own["me"], own["r2"])
        if joint.beyond <= 0.5:
            joints[name] = joint
        if "fine_count" not in sums:
            continue
        count, variance, square = (sums[f"fine_{part}"][at] for part in ("count", "variance", "square"))
        curve = calibration_curve(count, variance, square, max(1, min(GROUPS, int(count.sum()) // ENOUGH)))
        calibrations[name] = Calibration(
            curve["sigma"], curve["rmse"], histogram(count), own["ence"], own["sharpness"], own["z_rms"]
        )
        coverages[name] = coverage_curve(own)
        kept, best = retention_curve(count, square), retention_curve(sums["error_count"][at], sums["error_square"][at])
        retentions[name] = Retention(kept["kept"], kept["rmse"], best["kept"], best["rmse"])
    found = {"confusion": draw_joint(joints, unit)} if joints else {}
    if calibrations:
        found["calibration"] = draw_calibration(calibrations, unit)
        found["coverage"] = draw_coverage(coverages)
        found["retention"] = draw_retention(retentions, unit)
    return found


def histogram(count: Tensor) -> Histogram:
    """Return labels by predicted deviation, from labels by fine bin of the log-variance [bins], some of them filled."""
    filled = torch.nonzero(count).flatten()
    first, last = int(filled[0]), int(filled[-1]) + 1
    width = -(-(last - first) // MOST)
    bars = -(-(last - first) // width)
    held = torch.zeros(bars * width, dtype=count.dtype)
    held[: last - first] = count[first:last]
    step = (HIGHEST - LOWEST) / len(count)
    edges = np.exp((LOWEST + step * (first + width * np.arange(bars + 1))) / 2)
    return Histogram(edges.tolist(), held.view(bars, width).sum(1).tolist())
