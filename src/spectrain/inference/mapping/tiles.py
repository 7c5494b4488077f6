"""Scenes of any size by windows of one size: where the windows lie, what each counts for, and how they are joined.

A window is one image for the model. Its outermost pixels, the *halo*, are there for context alone: the model sees them
with something missing beside them, so what it says of them has weight 0 (but at the edge of the scene, where nothing
lies beyond). What is left, the core, overlaps those of its neighbours by a *ramp*, along which the weight rises from
one to the other. Weights are the product of one for the row and one for the column, positive in the whole core, and
divided by their sum, so those of each pixel of the scene add up to 1.

Where the halo is at least as wide as the model's field of view reaches to each side, every window says in its core
just what one pass over the whole scene would say, and so does their mean, up to rounding (for a model that moves by
strides, where windows begin at multiples of them: they do, up to 1/16 of a window, but for the last ones, which are
moved in to end with the scene). Elsewhere a pixel lies between the values that the windows over it give, and along a
row or a column the joined map steps from one pixel to the next by at most the largest step within a window plus
2 D / ramp, where D is the largest difference between two windows over one pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import SpectrainError

HALO_SHARE, RAMP_SHARE = 4, 16
"""The halo is by default a quarter of the window, the ramp a sixteenth."""
WIDEST_STRIDE = 32
"""Windows begin at multiples of a power of two, at most this one."""


@dataclass(frozen=True)
class Axis:
    """How windows cover the rows, or the columns, of a scene.

    Attributes:
        size: pixels of the scene.
        window: pixels of a window.
        starts: first pixel of each window, rising; only where the scene is smaller does a window reach beyond it.
        cores: [N,2] pixels of the scene [from, to) that each window counts for.
        weights: of the pixels of each core; over all windows they sum to 1 for each pixel.
    """

    size: int
    window: int
    starts: tuple[int, ...]
    cores: tuple[tuple[int, int], ...]
    weights: tuple[NDArray[np.float32], ...]

    @classmethod
    def cover(cls, size: int, window: int, halo: int) -> Axis:
        """Return windows that cover ``size`` pixels.

        Raises:
            SpectrainError: the halo leaves nothing of a window.
        """
        if not 0 <= 2 * halo < window:
            raise SpectrainError(
                f"a halo of {halo} px on either side leaves nothing of a window of {window} px",
                where="--halo",
                fix=f"take 0 to {(window - 1) // 2} px; by default it is a quarter of the window",
            )
        ramp, stride = spacing(window, halo)
        starts = list(range(0, max(size - window, 0) + 1, stride))
        if starts[-1] + window < size:
            starts.append(size - window)
        last = len(starts) - 1
        cores, raw = [], []
        for number, start in enumerate(starts):
            low = 0 if number == 0 else start + halo
            high = size if number == last else start + window - halo
            place = np.arange(low, high)
            weight = np.ones(high - low)
            if number:
                weight = np.minimum(weight, (place - low + 0.5) / ramp)
            if number < last:
                weight = np.minimum(weight, (high - place - 0.5) / ramp)
            cores.append((low, high))
            raw.append(weight)
        total = np.zeros(size)
        for (low, high), weight in zip(cores, raw, strict=True):
            total[low:high] += weight
        weights = [weight / total[low:high] for (low, high), weight in zip(cores, raw, strict=True)]
        return cls(size, window, tuple(starts), tuple(cores), tuple(weight.astype(np.float32) for weight in weights))

    def done(self, number: int) -> int:
        """Return the first pixel that a window after this one still counts for; the size after the last."""
        return self.cores[number + 1][0] if number + 1 < len(self.cores) else self.size


def spacing(window: int, halo: int) -> tuple[int, int]:
    """Return (ramp, px from one window to the next)."""
    core = window - 2 * halo
    stride = core - min(max(window // RAMP_SHARE, 1), core // 2)
    step = WIDEST_STRIDE
    while step > max(1, min(window // RAMP_SHARE, stride)):
        step //= 2
    stride -= stride % step
    return max(1, core - stride), stride


def default_halo(window: int) -> int:
    """Return a quarter of the window."""
    return window // HALO_SHARE


@dataclass(frozen=True, slots=True)
class Strip:
    """Finished rows of a scene, whole ones.

    Attributes:
        row: the first.
        values: float32 [K,h,W]; 0 where nothing was seen.
        seen: bool [h,W], whether any band of the pixel was valid.
    """

    row: int
    values: Tensor
    seen: Tensor


Evaluate = Callable[[int, Sequence[int]], tuple[Tensor, Tensor]]
"""(row, columns) of windows in a row, in px, to what they hold: float32 [N,K,h,w] and bool [N,h,w], on one device."""


def batches(rows: Axis, columns: Axis, at_once: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield (row, columns) of the windows that are looked at together, in the order of `strips`."""
    for row in rows.starts:
        for first in range(0, len(columns.starts), at_once):
            yield row, columns.starts[first : first + at_once]


class Agreement:
    """How much neighbouring windows differ where they are joined, against how much the values vary there at all."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None

    def add(self, one: Tensor, other: Tensor, seen: Tensor) -> None:
        """Take what two windows say [K,h,w] of the same pixels, 0 where these are not seen; nothing waits."""
        parts = ((one - other).abs(), one, one.square())
        found = torch.stack([part.sum((1, 2)).double() for part in parts])
        found = torch.cat([found, seen.sum().double().expand(1, found.shape[1])])
        self._sums = found if self._sums is None else self._sums + found

    def share(self) -> float:
        """Return the mean difference over the standard deviation, of the quantity where it is largest; 0 for none."""
        if self._sums is None:
            return 0.0
        difference, sums, squares = self._sums[:3] / self._sums[3].clamp(min=1)
        deviation = (squares - sums.square()).clamp(min=0).sqrt()
        return float((difference / deviation.clamp(min=1e-6)).max())


def strips(
    rows: Axis, columns: Axis, evaluate: Evaluate, at_once: int, agreement: Agreement | None = None
) -> Iterator[Strip]:
    """Yield a scene's rows from top to bottom, each as soon as no further window counts for it.

    What is held is K maps of the width of the scene, as high as a window.

    Args:
        rows: windows from top to bottom.
        columns: windows from left to right.
        evaluate: gives the windows' values.
        at_once: most windows that ``evaluate`` is given.
        agreement: is told what windows side by side say of the pixels that both count for.
    """
    values: Tensor | None = None
    seen: Tensor | None = None
    top = 0  # row of the scene that the buffers begin with
    for down, row in enumerate(rows.starts):
        low, high = rows.cores[down]
        for first in range(0, len(columns.starts), at_once):
            chosen = range(first, min(first + at_once, len(columns.starts)))
            found, where = evaluate(row, columns.starts[chosen.start : chosen.stop])
            if values is None or seen is None:
                values = found.new_zeros((found.shape[1], rows.window, columns.size))
                seen = where.new_zeros((rows.window, columns.size))
            vertical = torch.from_numpy(rows.weights[down]).to(found.device)[:, None]
            for number, across in enumerate(chosen):
                left, right = columns.cores[across]
                start = columns.starts[across]
                weight = vertical * torch.from_numpy(columns.weights[across]).to(found.device)
                inside = (slice(low - row, high - row), slice(left - start, right - start))
                place = (slice(low - top, high - top), slice(left, right))
                values[:, *place] += found[number][:, *inside] * weight
                seen[place] |= where[number][inside]
                if agreement is not None and number:
                    before, shared = columns.starts[across - 1], slice(left, columns.cores[across - 1][1])
                    one, other = (
                        (inside[0], slice(shared.start - begun, shared.stop - begun)) for begun in (before, start)
                    )
                    agreement.add(found[number - 1][:, *one], found[number][:, *other], where[number][other])
        assert values is not None
        assert seen is not None
        end = rows.done(down)
        yield Strip(top, values[:, : end - top].clone(), seen[: end - top].clone())
        left_over = high - end
        values[:, :left_over] = values[:, end - top : high - top].clone()
        values[:, left_over:] = 0
        seen[:left_over] = seen[end - top : high - top].clone()
        seen[left_over:] = False
        top = end
