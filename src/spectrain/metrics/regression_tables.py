"""What a test says of a regression: of each image, each scene and region and each bin of the target, and how surely."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ..core.bands import Bands
from ..core.batch import Batch
from ..core.regressed import Regressed
from .base import Breakdown, Tables
from .regression import named, of_sums, quantity_of, sums_of

DRAWS = 1000
"""Bootstrap samples."""
LEVEL = 0.95
FINE = "fine_"
"""Begins the names of sums by fine bins of the log-variance."""

Sums = dict[str, Tensor]


class RegressionTables(Tables):
    """Sums of each image, and of each bin of the target in it, from which those of a group are added up.

    Args:
        bins: rising inner edges of bins of the target; none has no table of bins. A bin holds its lower edge.
    """

    def __init__(self, bins: Sequence[float] = ()) -> None:
        self.edges = tuple(bins)
        self.names: tuple[str, ...] = ()
        self._index: list[int] = []
        self._parts: list[tuple[int, Sums]] = []

    @torch.no_grad()
    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch; rows of padding are left out."""
        assert isinstance(output, Regressed)
        self.names = output.names
        real = batch.real.cpu()
        self._index += batch.index.cpu()[real].tolist()
        bins = len(self.edges) + 1
        images, quantities = len(real), len(self.names)
        cell = ((output.images * quantities) + quantity_of(output)) * bins + self._bin(output)
        sums = sums_of(output, cell, images * quantities * bins)
        shape = (images, quantities, bins)
        self._parts.append(
            _trimmed({name: x.cpu().double().view(*shape, *x.shape[1:])[real] for name, x in sums.items()})
        )

    def _bin(self, output: Regressed) -> Tensor:
        """Return the bin of each label."""
        edges = torch.tensor(self.edges, dtype=torch.float64, device=output.y.device)
        return torch.bucketize(torch.where(output.valid, output.y, 0).double(), edges, right=True)

    def _sums(self) -> Sums:
        """Return the sums [images,quantities,bins,...]."""
        if len(self._parts) > 1:
            self._parts = [_joined(self._parts)]
        return self._parts[0][1]

    def images(self) -> dict[str, list[Any]]:
        """Return ``index``, how many labels count, and the metrics of each image; NaN where it has none."""
        if not self._index:
            return {"index": []}
        sums = {name: x.sum(2) for name, x in self._sums().items()}
        return {"index": list(self._index), **self._columns(sums)}

    def bands(self, bands: Sequence[Bands]) -> dict[str, list[Any]]:
        """There is nothing to say of bands."""
        return {}

    def metrics(self) -> dict[str, float]:
        """Return nothing: all metrics are of `RegressionSums`."""
        return {}

    def breakdown(self, groups: Mapping[str, Sequence[str]]) -> Breakdown:
        """Return the metrics of each group and of each bin of the target (kind "target"), and of all with intervals.

        Intervals hold 95 % of 1,000 bootstrap samples of the groups of the last kind, drawn with replacement; a metric
        of one group has none.

        Args:
            groups: kind of group ("region", "scene") -> the group of each image, the last kind the finest.
        """
        by_bin = self._sums()
        sums = {name: x.sum(2) for name, x in by_bin.items()}
        tables: dict[str, dict[str, list[Any]]] = {}
        finest: Sums = {}
        for kind, members in groups.items():
            rows: dict[str, list[int]] = defaultdict(list)
            for row, name in enumerate(members):
                rows[name].append(row)
            finest = {name: torch.stack([x[at].sum(0) for at in rows.values()]) for name, x in sums.items()}
            sizes = [len(at) for at in rows.values()]
            tables[kind] = {kind: list(rows), "images": sizes, **self._columns(finest)}
        if self.edges:
            tables["target"] = self._targets(by_bin)
        everything = self._rows({name: x.sum(0, keepdim=True) for name, x in sums.items()})[0]
        return Breakdown(tables, everything, self._intervals(finest), list(groups)[-1] if groups else "")

    def _targets(self, by_bin: Sums) -> dict[str, list[Any]]:
        """Return a row a bin of the target; of several quantities a row for each of them."""
        between = [f"{low:g} to {high:g}" for low, high in pairwise(self.edges)]
        between = [f"below {self.edges[0]:g}", *between, f"{self.edges[-1]:g} and more"]
        found: dict[str, list[Any]] = defaultdict(list)
        for number, quantity in enumerate(self.names):
            of_bin = {name: x[:, number].sum(0)[:, None] for name, x in by_bin.items()}
            found["target"] += [f"{quantity} {bin}" if len(self.names) > 1 else bin for bin in between]
            found["images"] += (by_bin["count"][:, number] > 0).sum(0).tolist()
            for name, column in _of_one(of_bin).items():
                found[name] += column
        return dict(found)

    def _columns(self, sums: Sums) -> dict[str, list[Any]]:
        rows = self._rows(sums)
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}

    def _rows(self, sums: Sums) -> list[dict[str, float]]:
        """Return the metrics of each row of sums [rows,quantities,...]."""
        values = {name: x.tolist() for name, x in of_sums(sums).items()}
        counts = sums["count"].sum(1).tolist()
        return [
            {"labelled_pixels": count, **named({name: of[row] for name, of in values.items()}, self.names)}
            for row, count in enumerate(counts)
        ]

    def _intervals(self, groups: Sums) -> dict[str, tuple[float, float]]:
        """Return the bootstrap interval of each metric over groups [groups,quantities,...]; none of only one."""
        count = len(next(iter(groups.values()), ()))
        if count < 2:
            return {}
        draws = np.random.default_rng(0).integers(0, count, (DRAWS, count))
        times = torch.from_numpy(np.stack([np.bincount(draw, minlength=count) for draw in draws])).double()
        drawn = self._rows({name: torch.tensordot(times, x, 1) for name, x in groups.items()})
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        found = {}
        for name in (name for name in drawn[0] if name != "labelled_pixels"):
            kept = np.array([row[name] for row in drawn])
            kept = kept[np.isfinite(kept)]
            low, high = np.quantile(kept, tails) if len(kept) else (np.nan, np.nan)
            found[name] = (float(low), float(high))
        return found


def _of_one(sums: Sums) -> dict[str, list[float]]:
    """Return how many labels count and the metrics of rows of one quantity, [rows,1,...]."""
    values = {name: x[:, 0].tolist() for name, x in of_sums(sums).items()}
    return {"labelled_pixels": sums["count"][:, 0].tolist(), **values}


def _trimmed(sums: Sums) -> tuple[int, Sums]:
    """Return sums without the fine bins before the first and after the last with labels, and which the first is.

    Variances of one model lie in a small part of all that there could be, so what is kept of each image stays small
    though the bins are those of the whole test: joined from coarser ones the ENCE would be another.
    """
    if FINE + "count" not in sums:
        return 0, sums
    filled = sums[FINE + "count"].flatten(0, -2).sum(0).nonzero().flatten().tolist() or [0, -1]
    first, end = filled[0], filled[-1] + 1
    return first, {name: x[..., first:end].clone() if name.startswith(FINE) else x for name, x in sums.items()}


def _joined(parts: Sequence[tuple[int, Sums]]) -> tuple[int, Sums]:
    """Return the sums of several `_trimmed` batches, images one after the other."""
    some = [(at, at + sums[FINE + "count"].shape[-1]) for at, sums in parts if FINE + "count" in sums]
    some = [(low, high) for low, high in some if high > low]
    first, end = min((low for low, _ in some), default=0), max((high for _, high in some), default=0)

    def widened(name: str, at: int, x: Tensor) -> Tensor:
        if not name.startswith(FINE) or not x.shape[-1]:
            return x.new_zeros(*x.shape[:-1], end - first) if name.startswith(FINE) else x
        return pad(x, (at - first, end - at - x.shape[-1]))

    return first, {name: torch.cat([widened(name, at, sums[name]) for at, sums in parts]) for name in parts[0][1]}
