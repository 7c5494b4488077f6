"""Several data sets with different bands or sizes in one training: a batch is of one of them."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.random import Key, permuted
from .order import EvalOrder, TrainOrder
from .patches import Patches, Rows
from .sparse_labels import Labels
from .stored.rows import checked_index

if TYPE_CHECKING:
    import pandas as pd


class Mixture(Patches):
    """The same split of several data sets, one behind the other. Samples are numbered through.

    Bands, shape and type are those of the first; `datasets` know their own. How they were made from scenes is known
    where it is the same of all.

    Args:
        datasets: two or more.
    """

    def __init__(self, datasets: Sequence[Patches]) -> None:
        first = datasets[0]
        self.datasets = list(datasets)
        self.starts = [0, *accumulate(len(dataset) for dataset in datasets)]
        self.path, self.split, self.bands, self.dtype = first.path, first.split, first.bands, first.dtype
        self.shape = (self.starts[-1], *first.shape[1:])
        self.has_mask = any(dataset.has_mask for dataset in datasets)
        self.has_labels = all(dataset.has_labels for dataset in datasets)
        alike = all(dataset.preparation == first.preparation for dataset in datasets)
        self.preparation = first.preparation if alike else None

    def dataset_of(self, index: NDArray[np.int64]) -> int:
        """Return which data set the samples at ``index`` [B] are of, -1 left out; 0 where there are none.

        Raises:
            DataError: they are of more than one.
        """
        real = index[index >= 0]
        if not len(real):
            return 0
        lowest, highest = (bisect_right(self.starts, int(number)) - 1 for number in (real.min(), real.max()))
        if lowest != highest:
            paths = f"{self.datasets[lowest].path} and {self.datasets[highest].path}"
            raise DataError(
                f"the samples are of {paths}, and a batch is of one data set",
                where=f"samples {real.min()} to {real.max()}",
                fix=f"read those of each by themselves; they begin at {', '.join(map(str, self.starts[:-1]))}",
            )
        return lowest

    def read(self, index: NDArray[np.int64]) -> Rows:
        """Return the patches at ``index`` [B], all of one data set, in the order asked for; doubles are allowed.

        Raises:
            IndexError: an index outside [0, N).
            DataError: they are of several data sets, or the file was damaged or cut since it was opened.
        """
        dataset, own = self._placed(index)
        return dataset.read(own)

    def physical(self, index: NDArray[np.int64] | Sequence[int]) -> NDArray[np.float32]:
        """Return the patches at ``index`` [B], all of one data set, in the units of its bands; see `read`."""
        dataset, own = self._placed(np.asarray(index))
        return dataset.physical(own)

    def labels(self, index: NDArray[np.int64]) -> Labels | None:
        """Return the labels of the patches at ``index`` alone, all of one data set; see `read`."""
        dataset, own = self._placed(index)
        return dataset.labels(own)

    def _placed(self, index: NDArray[np.int64]) -> tuple[Patches, NDArray[np.int64]]:
        """Return the data set that samples are of, and their numbers in it."""
        index = checked_index(index, len(self))
        dataset = self.dataset_of(index)
        return self.datasets[dataset], index - self.starts[dataset]

    def metadata(self) -> pd.DataFrame:
        """Return one row a patch, with a column ``dataset``; ids have its number before them."""
        import pandas as pd

        tables = []
        for number, dataset in enumerate(self.datasets):
            table = dataset.metadata().assign(dataset=number)
            tables.append(table.assign(patch_id=f"{number}/" + table["patch_id"].astype(str)))
        return pd.concat(tables, ignore_index=True)

    def fingerprint(self) -> str:
        """Return a hash of the data sets' fingerprints."""
        text = "\n".join(dataset.fingerprint() for dataset in self.datasets)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def stamp(self) -> str | None:
        """Return a hash of the data sets' stamps; None where one of them has none."""
        stamps = [dataset.stamp() for dataset in self.datasets]
        if None in stamps:
            return None
        return hashlib.blake2b("\n".join(map(str, stamps)).encode(), digest_size=16).hexdigest()

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Return an RGB picture of the place of a patch; None where there is none."""
        dataset = bisect_right(self.starts, index) - 1
        return self.datasets[dataset].picture(index - self.starts[dataset])

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than when it was opened."""
        for dataset in self.datasets:
            dataset.check()


def datasets_of(patches: Patches) -> list[Patches]:
    """Return the data sets of a mixture; any other patches alone."""
    return patches.datasets if isinstance(patches, Mixture) else [patches]


def mixture_of(datasets: Sequence[Patches]) -> Patches:
    """Return one data set as it is, several as a mixture."""
    return datasets[0] if len(datasets) == 1 else Mixture(datasets)


class ByDataset:
    """A function of a batch for each data set of a mixture; the batch says which is meant.

    Args:
        parts: one a data set.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = list(parts)

    def __call__(self, batch: Any, *more: Any) -> Any:
        """Return what the batch's own part makes of it."""
        return self.parts[batch.dataset](batch, *more)

    def centred(self, batch: Any) -> Any:
        """Return the view without chance, where the part has one."""
        centred = getattr(self.parts[batch.dataset], "centred", None)
        return batch if centred is None else centred(batch)


def by_dataset(parts: Sequence[Any]) -> Any:
    """Return one part as it is, several by the batch's data set."""
    return parts[0] if len(parts) == 1 else ByDataset(parts)


class MixedTrainOrder:
    """The steps of several training orders in a random order, each step of one data set; see `TrainOrder`.

    An epoch is an epoch of each. Which step comes when is a pure function of (seed, epoch, step).

    Args:
        orders: one a data set, of one seed, batch size and world.
        places: where each data set lies, for messages.

    Raises:
        DataError: a data set holds less than one sample for each micro-batch and process.
    """

    def __init__(self, orders: Sequence[TrainOrder], places: Sequence[str]) -> None:
        self.orders = list(orders)
        self._starts = [0, *accumulate(order.size for order in orders)]
        self._ends = list(accumulate(order.steps_per_epoch for order in orders))
        self.seed = orders[0].seed
        self.micro_batches = max(order.micro_batches for order in orders)
        for order, place in zip(orders, places, strict=True):
            if order.micro_batches != self.micro_batches:
                raise DataError(
                    f"{order.size} samples are too few for the {self.micro_batches} micro-batches of a step",
                    where=place,
                    fix="lower hparams.accumulate_grad_batches, or leave this data set out of the mixture",
                )

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps an epoch."""
        return self._ends[-1]

    @property
    def samples_per_step(self) -> int:
        """Samples a step holds, on average."""
        samples = sum(order.samples_per_step * order.steps_per_epoch for order in self.orders)
        return max(1, round(samples / self.steps_per_epoch))

    def steps(self, epoch: int, start: int = 0) -> Iterator[list[NDArray[np.int64]]]:
        """Yield, for each optimiser step from ``start`` on, this rank's micro-batches of indices."""
        key = Key(self.seed, "mixture", epoch)
        for step in range(start, self.steps_per_epoch):
            place = step
            if self.orders[0].shuffle:
                place = int(permuted(key, self.steps_per_epoch, torch.tensor([step])).item())
            dataset = bisect_right(self._ends, place)
            within = place - (self._ends[dataset - 1] if dataset else 0)
            micro = next(self.orders[dataset].steps(epoch, within))
            yield [piece + self._starts[dataset] for piece in micro]


class MixedEvalOrder:
    """The batches of several evaluations, one data set after the other; see `EvalOrder`.

    Args:
        orders: one a data set.
        starts: number of the first sample of each.
    """

    def __init__(self, orders: Sequence[EvalOrder], starts: Sequence[int]) -> None:
        self.orders, self.starts = list(orders), list(starts)

    def groups(self) -> Iterator[list[NDArray[np.int64]]]:
        """Yield, for each group, this rank's batches of indices; -1 where there is no sample left."""
        for order, start in zip(self.orders, self.starts, strict=True):
            for group in order.groups():
                yield [np.where(index < 0, index, index + start) for index in group]

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's batches of indices, group after group."""
        for group in self.groups():
            yield from group


def train_order(patches: Patches, **options: Any) -> TrainOrder | MixedTrainOrder:
    """Return the order in which patches are trained on; ``options`` are those of `TrainOrder` but the size."""
    datasets = datasets_of(patches)
    orders = [TrainOrder(size=len(dataset), **options) for dataset in datasets]
    return orders[0] if len(orders) == 1 else MixedTrainOrder(orders, [f"{one.path}, {one.split}" for one in datasets])


def eval_order(
    patches: Patches, batch_size: int, world: int = 1, rank: int = 0, group: int | None = None, first: int | None = None
) -> EvalOrder | MixedEvalOrder:
    """Return the order in which patches are evaluated; of at most the ``first`` so many of each data set."""
    datasets = datasets_of(patches)
    sizes = [len(dataset) if first is None else min(first, len(dataset)) for dataset in datasets]
    orders = [EvalOrder(size, batch_size, world, rank, group) for size in sizes]
    if len(orders) == 1:
        return orders[0]
    return MixedEvalOrder(orders, [0, *accumulate(len(dataset) for dataset in datasets)][:-1])
