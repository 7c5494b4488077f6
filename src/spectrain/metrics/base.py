"""The contract of a metric: sums on the device, read once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.bands import Bands
from ..core.batch import Batch


class Metrics(ABC):
    """Sums on the device: added up batch by batch, over processes by the loop, read once at the end."""

    @abstractmethod
    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch; rows where ``batch.real`` is False do not count. No host synchronisation here."""

    @abstractmethod
    def sums(self) -> dict[str, Tensor]:
        """Return the sums, float64 where the device has it; every process has the same names and shapes."""

    @abstractmethod
    def compute(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return the metrics from the (summed) sums; NaN where nothing was counted."""


class Summed(Metrics):
    """Metrics of which each batch gives the same named sums; `update` hands them to `add_sums`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add_sums(self, new: Mapping[str, Tensor]) -> None:
        """Add what a batch gives."""
        self._sums = {name: self._sums[name] + value if self._sums else value for name, value in new.items()}

    def sums(self) -> dict[str, Tensor]:
        """Return the sums by name; none before the first batch."""
        return self._sums


def read_sums(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return sums as float64 on the CPU; waits for the device."""
    return {name: value.to("cpu", torch.float64) for name, value in sums.items()}


def widest(device: torch.device) -> torch.dtype:
    """Return float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


@dataclass(frozen=True)
class Breakdown:
    """The metrics of a test by group, and of all.

    Attributes:
        tables: kind of group ("region", "scene") -> a row a group, as columns, its name first.
        everything: the metrics of all images.
        intervals: lowest and highest value of each metric that another draw of groups would likely give.
        over: the kind of group that intervals are over.
    """

    tables: dict[str, dict[str, list[Any]]]
    everything: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    over: str


class Tables(ABC):
    """What a test says of each image and of each band, collected batch by batch.

    One that is a `Metrics` too is the metrics of its test as well, so that what both need is computed once.
    """

    @abstractmethod
    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch; rows where ``batch.real`` is False are left out."""

    @abstractmethod
    def images(self) -> dict[str, list[Any]]:
        """Return a row an image, as columns; ``index`` first."""

    @abstractmethod
    def bands(self, bands: Sequence[Bands]) -> dict[str, list[Any]]:
        """Return a row a band of each data set, as columns."""

    def metrics(self) -> dict[str, float]:
        """Return metrics that only the tables know; none for most."""
        return {}

    def breakdown(self, groups: Mapping[str, Sequence[str]]) -> Breakdown | None:
        """Return the metrics by group; None where the metric has no sums to group.

        Args:
            groups: kind of group -> the group of each image in the order of `images`, the last kind the finest.
        """
        return None
