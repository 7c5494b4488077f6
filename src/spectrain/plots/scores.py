"""Confusion matrix, ROC and precision-recall curve, as figures without global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from .sheet import LETTER, Sheet

_MOST_NUMBERS = 12  # classes of a matrix whose cells hold numbers


def draw_confusion(matrix: NDArray[np.float64], names: Sequence[str]) -> Figure:
    """Return a confusion matrix [K,K] (true, predicted): colour and number are shares of the true class."""
    side, words = max(1.6, 0.55 * len(names)), 0.4 + 8 * LETTER * max(map(len, names))
    sheet = Sheet(words + side + 1.1, 0.15 + side + words, dpi=110)
    axes = sheet.axes(words, 0.15, side, side)
    there = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, there, out=np.full_like(matrix, np.nan), where=there > 0)
    shown = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("found")
    axes.set_ylabel("is")
    if len(names) <= _MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(share):
            text = "none" if np.isnan(value) else f"{value:.1%}\n{_short(float(matrix[row, column]))}"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=7, color="white" if value > 0.6 else "black"
            )
    sheet.bar(words + side + 0.15, 0.15 + 0.1 * side, 0.12, 0.8 * side, shown, "share of what is there", ticks=5)
    return sheet.figure


def draw_roc(curves: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Return ROC curves, (false, true positive rate) by the name of the class."""
    figure, axes = _axes("false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle=":")
    _draw(axes, {name: (false, true) for name, (false, true) in curves.items()})
    return figure


def draw_precision_recall(curves: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Return precision-recall curves, (precision, recall) by the name of the class."""
    figure, axes = _axes("recall", "precision")
    _draw(axes, {name: (recall, precision) for name, (precision, recall) in curves.items()})
    return figure


def _axes(across: str, up: str) -> tuple[Figure, Any]:
    sheet = Sheet(4.2, 4, dpi=110)
    axes = sheet.axes(0.6, 0.12, 3.4, 3.4)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.grid(color="0.92")
    return sheet.figure, axes


def _draw(axes: Any, curves: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    for number, (name, (x, y)) in enumerate(curves.items()):
        axes.plot(x.numpy(), y.numpy(), label=name, color=f"C{number % 10}", linestyle="-" if number < 10 else "--")
    if len(curves) > 1:
        axes.legend(fontsize=7)


def _short(count: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.0f}"
