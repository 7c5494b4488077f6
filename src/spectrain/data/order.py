"""Which sample comes when: a pure function of (seed, epoch, step), so skipping ahead is a number.

Nothing is shuffled in memory: :func:`~spectrain.core.random.permuted` tells where a position lands, so an order over a
billion patches takes no more memory than a few steps of it, and every process computes only its own slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.random import Key, permuted

_AT_ONCE = 4096
"""Positions to place at once, or those of one step: a permutation takes two hundred small operators, however many."""


@dataclass(frozen=True, slots=True)
class TrainOrder:
    """The random order of an epoch of training, cut into optimiser steps and micro-batches.

    A step takes ``batch_size * accumulate * world`` consecutive positions of the epoch's permutation; micro-batch m of
    rank r is the contiguous slice number ``m * world + r`` of them. So more processes or more micro-batches cut the
    same step into other pieces, and never change which samples it holds. What is left over at the end of an epoch
    is dropped; another permutation drops others. A set smaller than one step is one step, cut as evenly as possible; of
    micro-batches of one sample each process has as many, so some may be dropped there too.

    Attributes:
        size: samples in the set, at least one a process.
        batch_size: samples a micro-batch and process.
        accumulate: micro-batches a step.
        world: number of processes.
        rank: this process, 0 to ``world - 1``.
        seed: of the permutations; each epoch has its own.
        shuffle: False goes through the set in its own order, the same each epoch.

    Raises:
        DataError: there are fewer samples than processes.
    """

    size: int
    batch_size: int
    accumulate: int = 1
    world: int = 1
    rank: int = 0
    seed: int = 0
    shuffle: bool = True

    def __post_init__(self) -> None:
        _check_place(self.batch_size, self.world, self.rank)
        if self.accumulate < 1:
            raise ValueError(f"a step needs at least one micro-batch, got {self.accumulate}")
        if self.size < self.world:
            raise DataError(
                f"{self.size} training patches cannot be shared out among {self.world} processes",
                fix="give more patches, or start fewer processes",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps an epoch, at least 1."""
        return max(1, self.size // self._step)

    @property
    def micro_batches(self) -> int:
        """Micro-batches that a step really has: fewer than ``accumulate`` only where the set is that small."""
        return len(self._bounds())

    @property
    def samples_per_step(self) -> int:
        """Samples a step holds, over micro-batches and processes."""
        return min(self.size, self._step, self._pieces * self.batch_size)

    @property
    def _pieces(self) -> int:
        """Micro-batches of a step over all processes, of at least one sample each."""
        return min(self.accumulate, self.size // self.world) * self.world

    @property
    def _step(self) -> int:
        return self.batch_size * self.accumulate * self.world

    def steps(self, epoch: int, start: int = 0) -> Iterator[list[NDArray[np.int64]]]:
        """Yield, for each optimiser step from ``start`` on, this rank's micro-batches of indices.

        The indices of a micro-batch ascend, so that a file is read forwards: order within a batch means nothing, as
        all randomness belongs to the sample.

        Args:
            epoch: counted from 0 or 1, as the caller likes; it only names the permutation.
            start: steps to leave out, in no time, as a resumed run does.
        """
        key = Key(self.seed, "order", epoch)
        bounds = self._bounds()
        within = np.concatenate([np.arange(low, high) for low, high in bounds])
        cuts = np.cumsum([high - low for low, high in bounds])[:-1]
        count = 1  # of the first step alone: who takes no more waits for no more
        while start < self.steps_per_epoch:
            steps = np.arange(start, min(start + count, self.steps_per_epoch))
            placed = (steps[:, None] * self._step + within).ravel()
            if self.shuffle:
                placed = permuted(key, self.size, torch.from_numpy(placed)).numpy()
            for step in placed.reshape(len(steps), -1):
                yield [np.sort(piece) for piece in np.split(step, cuts)]
            start += len(steps)
            count = max(1, _AT_ONCE // len(within))

    def _bounds(self) -> list[tuple[int, int]]:
        """Return where this rank's micro-batches begin and end within a step."""
        total, pieces = self.samples_per_step, self._pieces
        short, longer = divmod(total, pieces)
        edges = [piece * short + min(piece, longer) for piece in range(pieces + 1)]
        return [(edges[piece], edges[piece + 1]) for piece in range(self.rank, pieces, self.world)]


@dataclass(frozen=True, slots=True)
class EvalOrder:
    """Every sample once, in ascending order, in batches of one length, equally many on every rank.

    Equal lengths keep compiled graphs and processes in step; -1 fills the last places and means "no sample". The
    common length is the least that needs no further batch, at most ``batch_size``: 65 samples in batches of up to 64
    are 33 and 32 and one filler, not 64 and 1 and 63 fillers.

    Where a loss compares samples with each other, ``group`` says how many: which samples are compared then depends on
    nothing but ``size`` and ``group``, not on the batch size or the number of processes.

    Attributes:
        size: samples in the set, at least 1.
        batch_size: the most samples a batch and process.
        world: number of processes.
        rank: this process, 0 to ``world - 1``.
        group: the most samples that are compared, over all processes; None is one batch of each process.

    Raises:
        DataError: there are no samples.
    """

    size: int
    batch_size: int
    world: int = 1
    rank: int = 0
    group: int | None = None

    def __post_init__(self) -> None:
        _check_place(self.batch_size, self.world, self.rank)
        if self.group is not None and self.group < 1:
            raise ValueError(f"a group needs at least one sample, got {self.group}")
        if self.size < 1:
            raise DataError("there are no patches to evaluate on", fix="give a split that holds patches")

    def groups(self) -> Iterator[list[NDArray[np.int64]]]:
        """Yield, for each group, this rank's batches of indices; -1 where there is no sample left."""
        count = -(-self.size // (self.group or self.batch_size * self.world))
        share = -(-self.size // (count * self.world))
        size = share * self.world
        if self.group is not None:  # cut alike by any number of processes, the last of which may have less to do
            size = -(-self.size // count)
            share = -(-size // self.world)
        pieces = -(-share // self.batch_size)
        length = -(-share // pieces)
        for number in range(count):
            index = np.arange(pieces * length) + self.rank * share
            here = (np.arange(pieces * length) < share) & (index < size) & (index + number * size < self.size)
            yield np.split(np.where(here, index + number * size, -1), pieces)

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's batches of indices, group after group."""
        for group in self.groups():
            yield from group


def _check_place(batch_size: int, world: int, rank: int) -> None:
    """Raise where a batch would be empty, or where the process is none of those there are."""
    if batch_size < 1:
        raise ValueError(f"a batch needs at least one sample, got {batch_size}")
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} is not one of {world} processes")
