"""The labelled pixels of an evaluation themselves, for files of predictions and for recalibration."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.batch import Batch
from ..core.quantiles import central_interval, own_shares
from ..core.regressed import ErrorModel, Regressed
from .calibration import Recalibration, fit_recalibration, fit_widenings
from .distributions import half_width
from .regression import LEVELS

KEPT = 1 << 22
"""Labelled pixels of a quantity that are held at most; of more every second, every fourth, ... is."""
FILES = ("predictions", "targets", "variances")
_HEADER = 128
"""Bytes of a .npy header with room for any count."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Labelled:
    """Labelled pixels of one quantity, in the order of the evaluation.

    Attributes:
        index: int64 [n], each one's image in its split.
        mean: float32 [n], predicted.
        variance: float32 [n], predicted; None where the model gives values alone.
        y: float32 [n], measured.
        error: how errors are taken to be distributed.
        quantiles: float32 [n,L], sorted, as the model gives them; None where it gives none.
        levels: of them.
    """

    index: NDArray[np.int64]
    mean: Floats
    variance: Floats | None
    y: Floats
    error: ErrorModel = "none"
    quantiles: Floats | None = None
    levels: tuple[float, ...] = ()

    def __getitem__(self, which: slice) -> Labelled:
        kept: dict[str, Any] = {name: None if (own := getattr(self, name)) is None else own[which] for name in _ARRAYS}
        return replace(self, **kept)


class LabelledPixels:
    """Collects labelled pixels batch by batch, in memory that does not grow with the data.

    Each batch waits for the device, once a quantity: it is not for the training.

    Args:
        folder: where all of them are written besides, see `finish`; None writes nothing.
        fitted: recalibration that the variances that come are scaled by already.
        most: pixels of a quantity to hold.
    """

    def __init__(self, folder: Path | None = None, fitted: Recalibration | None = None, most: int = KEPT) -> None:
        self._folder, self._fitted, self._most = folder, fitted, most
        self._held: dict[str, _Thinned] = {}
        self._files: dict[tuple[str, str], _NpyFile] = {}
        self._stems: dict[str, str] = {}

    @torch.no_grad()
    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch of `Regressed`; what does not count there is left out."""
        assert isinstance(output, Regressed)
        index = batch.index.to(output.mean.device)[output.images].expand_as(output.mean)
        variance = None if output.log_variance is None else output.variance
        quantiles, levels = output.own or (output.quantiles, output.levels)
        for number, name in enumerate(output.names):
            kept = output.valid[:, number]
            index_, mean, y = (x[:, number][kept].cpu().numpy() for x in (index, output.mean, output.y))
            v = None if variance is None else variance[:, number][kept].cpu().numpy()
            q = None if quantiles is None else quantiles[:, :, number].movedim(1, -1)[kept].sort(dim=1).values
            found = Labelled(index_, mean, v, y, output.error, None if q is None else q.cpu().numpy(), levels)
            self._held.setdefault(name, _Thinned(self._most)).add(found)
            self._write(name if len(output.names) > 1 else "", found)

    def _write(self, quantity: str, found: Labelled) -> None:
        if self._folder is None:
            return
        for kind, values in zip(FILES, (found.mean, found.y, found.variance), strict=True):
            if values is None:
                continue
            if (file := self._files.get((kind, quantity))) is None:
                name = "_".join(part for part in (kind, self._stem(quantity)) if part)
                file = self._files[kind, quantity] = _NpyFile(self._folder / f"{name}.npy")
            file.add(values)

    def _stem(self, quantity: str) -> str:
        """Return a quantity's name as a part of a file's, with a number where another's is the same."""
        if quantity not in self._stems:
            plain = re.sub(r"[^\w.-]+", "_", quantity)
            taken = {one.casefold() for one in self._stems.values()}  # on some disks "A" and "a" are one file
            numbered = (plain if number == 1 else f"{plain}_{number}" for number in count(1))
            self._stems[quantity] = next(one for one in numbered if one.casefold() not in taken)
        return self._stems[quantity]

    def finish(self) -> list[Path]:
        """End the files and return them: ``predictions.npy``, ``targets.npy``, of an error model ``variances.npy``.

        Each is flat, float32, of the labelled pixels in the order of the split; of several quantities each has its own,
        such as ``predictions_height.npy``; ``predictions_height_2.npy`` where two names come to the same.
        """
        return [file.close() for file in self._files.values()]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the quantities that were seen."""
        return tuple(self._held)

    def of(self, name: str) -> Labelled:
        """Return the pixels of a quantity that are held: all, or evenly taken from them."""
        return self._held[name].joined()

    def recalibration(self, levels: tuple[float, ...] = LEVELS) -> Recalibration | None:
        """Return what is fitted on these pixels; None where a quantity has none.

        A model that gives values alone is taken to be as sure everywhere: its deviation is 1 before recalibration. Of
        one that gives quantiles its own intervals are fitted too.
        """
        found = {name: self.of(name) for name in self._held}
        if not found or not all(len(one.y) for one in found.values()):
            return None
        one = next(iter(found.values()))
        levels = tuple(sorted({*levels, *own_shares(one.levels)}))
        fitted = fit_recalibration(
            {name: one.mean for name, one in found.items()},
            {name: np.ones_like(one.mean) if one.variance is None else one.variance for name, one in found.items()},
            {name: one.y for name, one in found.items()},
            levels,
            one.error,
        )
        if one.quantiles is None:
            return fitted
        rows = [
            fit_widenings(own.quantiles, own.levels, own.y, levels)
            for own in found.values()
            if own.quantiles is not None
        ]
        return replace(fitted, widenings=tuple(rows))

    def calibration(self) -> dict[str, list[Any]]:
        """Return how far intervals hold what they promise, as columns, a row a quantity and ``interval``.

        That is the model's own ("model"), and with a recalibration that of scaled variances ("scaled") and the
        conformal one ("conformal"). Of a model of quantiles they are between these, conformal where they are widened.
        Columns ``coverage_90`` and so on are the share of labels in it, ``width_90`` its mean width in the unit of the
        labels; ``z_rms`` and ``gaussian_nll`` are as in `RegressionMetric`, NaN for conformal intervals, which have no
        variance. Empty without an error model and without a recalibration.
        """
        rows: list[dict[str, Any]] = []
        for name in self._held:
            found = self.of(name)
            off = np.abs(found.mean.astype(np.float64) - found.y)
            factor = 1.0 if self._fitted is None else self._fitted.factors[self._fitted.names.index(name)]
            variance = np.ones_like(off) if found.variance is None else found.variance.astype(np.float64) / factor
            modelled = found.variance is not None
            kinds = {"model": variance} if modelled else {}
            if self._fitted is not None and modelled:
                kinds["scaled"] = variance * factor
            for kind, spread in kinds.items():
                halves = [half_width(level, found.error) * np.sqrt(spread) for level in LEVELS]
                held = _held_by(off, halves)
                if kind == "model" and found.quantiles is not None:
                    held = _held_between(found, found.quantiles - found.mean[:, None], found.levels)
                rows.append({"quantity": name, "interval": kind, **held, **_scores(off, spread)})
            if self._fitted is not None:
                held = self._conformal(name, found, off, variance)
                rows.append({"quantity": name, "interval": "conformal", **held, **_scores(off, None)})
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}

    def _conformal(
        self, name: str, found: Labelled, off: NDArray[np.float64], variance: NDArray[np.float64]
    ) -> dict[str, float]:
        """Return what conformal intervals of a quantity hold, and how wide they are."""
        assert self._fitted is not None
        at = self._fitted.names.index(name)
        if found.quantiles is None or not self._fitted.widenings:
            widths = [self._fitted.widths[at][self._fitted.levels.index(level)] for level in LEVELS]
            return _held_by(off, [width * np.sqrt(variance) for width in widths])
        own = torch.from_numpy(found.quantiles - found.mean[:, None])[:, :, None]
        offsets, levels = self._fitted.only(at).quantiles(own, found.levels)
        return _held_between(found, offsets[:, :, 0].numpy(), levels)


def _held_by(off: NDArray[np.float64], halves: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    """Return the share of errors within half widths, and the mean of whole ones, for each level."""
    found: dict[str, float] = {}
    for level, half in zip(LEVELS, halves, strict=True):
        found[f"coverage_{100 * level:.0f}"] = float((off <= half).mean()) if len(off) else math.nan
        found[f"width_{100 * level:.0f}"] = float(2 * half.mean()) if len(off) else math.nan
    return found


def _held_between(found: Labelled, offsets: Floats, levels: Sequence[float]) -> dict[str, float]:
    """Return the same of the intervals of quantiles [n,L], less the median."""
    off = found.y.astype(np.float64) - found.mean
    held: dict[str, float] = {}
    for level in LEVELS:
        low, high = (x.numpy() for x in central_interval(torch.from_numpy(offsets).double(), levels, level))
        held[f"coverage_{100 * level:.0f}"] = float(((low <= off) & (off <= high)).mean()) if len(off) else math.nan
        held[f"width_{100 * level:.0f}"] = float((high - low).mean()) if len(off) else math.nan
    return held


def _scores(off: NDArray[np.float64], variance: NDArray[np.float64] | None) -> dict[str, float]:
    if variance is None or not len(off):
        return {"z_rms": math.nan, "gaussian_nll": math.nan}
    squares = off**2 / variance
    return {"z_rms": float(np.sqrt(squares.mean())), "gaussian_nll": float((squares + np.log(variance)).mean() / 2)}


class _Thinned:
    """Every first, second, fourth, ... of the pixels that come, so that they are no more than ``most``."""

    def __init__(self, most: int) -> None:
        self.most, self.every, self.seen, self.count = most, 1, 0, 0
        self.parts: list[Labelled] = []

    def add(self, found: Labelled) -> None:
        """Add pixels."""
        new = found[-self.seen % self.every :: self.every]
        self.seen += len(found.y)
        self.parts.append(new)
        self.count += len(new.y)
        while self.count > self.most:
            self.parts = [self.joined()[::2]]
            self.every, self.count = 2 * self.every, len(self.parts[0].y)

    def joined(self) -> Labelled:
        """Return them in one."""
        if len(self.parts) > 1:
            held = {name: [getattr(one, name) for one in self.parts] for name in _ARRAYS}
            whole: dict[str, Any] = {name: None if of[0] is None else np.concatenate(of) for name, of in held.items()}
            self.parts = [replace(self.parts[0], **whole)]
        return self.parts[0]


_ARRAYS = ("index", "mean", "variance", "y", "quantiles")


class _NpyFile:
    """A flat float32 .npy file whose length is known at its end."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self.file: BinaryIO = path.open("wb")
        self.file.write(bytes(_HEADER))

    def add(self, values: Floats) -> None:
        """Append values."""
        self.file.write(np.ascontiguousarray(values, dtype="<f4").tobytes())
        self.count += len(values)

    def close(self) -> Path:
        """Write the header."""
        said = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({self.count},), }}"
        self.file.seek(0)
        # magic string, version 1.0, length of the rest; blanks up to a line feed (numpy.lib.format)
        self.file.write(b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little"))
        self.file.write(said.ljust(_HEADER - 11).encode("latin1") + b"\n")
        self.file.close()
        return self.path
