"""Mixtures: a batch is of one data set, an epoch is an epoch of each, and the order is a pure function."""

from __future__ import annotations

from itertools import chain

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_patches import MemoryPatches

from spectrain.config.schema import DatasetOptions
from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.data.loader import Loader
from spectrain.data.mixture import (
    ByDataset,
    MixedEvalOrder,
    MixedTrainOrder,
    Mixture,
    by_dataset,
    datasets_of,
    eval_order,
    mixture_of,
    train_order,
)
from spectrain.data.opening import open_patches
from spectrain.data.order import EvalOrder, TrainOrder


def dataset(size: int, bands: int = 2, side: int = 3, **more) -> MemoryPatches:
    """Images whose every value is their number."""
    numbers = np.arange(size, dtype=np.float32).reshape(-1, 1, 1, 1)
    return MemoryPatches(np.broadcast_to(numbers, (size, bands, side, side)).copy(), **more)


def mixture(*sizes: int) -> Mixture:
    return Mixture([dataset(size, 2 + number, 3 + number) for number, size in enumerate(sizes)])


sizes = st.lists(st.integers(12, 40), min_size=2, max_size=4)


def step_sets(patches, epoch: int, start: int = 0, **options) -> list[list[int]]:
    """The samples of each step over all ranks and micro-batches, sorted."""
    world = options.get("world", 1)
    ranks = [list(train_order(patches, rank=rank, **options).steps(epoch, start)) for rank in range(world)]
    return [sorted(int(i) for micro in chain.from_iterable(parts) for i in micro) for parts in zip(*ranks, strict=True)]


@settings(deadline=None, max_examples=40)
@given(sizes, st.integers(1, 5), st.integers(1, 2), st.integers(1, 2), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_is_an_epoch_of_each_and_a_batch_is_of_one(counts, batch, accumulate, world, seed, epoch):
    patches = mixture(*counts)
    options = {"batch_size": batch, "accumulate": accumulate, "world": world, "seed": seed}
    orders = [train_order(patches, rank=rank, **options) for rank in range(world)]
    steps = step_sets(patches, epoch, **options)
    seen = list(chain.from_iterable(steps))
    assert len(seen) == len(set(seen)) and set(seen) <= set(range(len(patches)))
    alone = [TrainOrder(count, batch, accumulate, world, 0, seed) for count in counts]
    assert len(steps) == orders[0].steps_per_epoch == sum(one.steps_per_epoch for one in alone)
    of_dataset = [patches.dataset_of(np.array(step)) for step in steps]  # raises for a step of two
    assert [of_dataset.count(number) for number in range(len(counts))] == [one.steps_per_epoch for one in alone]
    for order in orders:
        for micros in order.steps(epoch):
            assert len(micros) == order.micro_batches
            assert all(len(micro) for micro in micros)


def test_a_dataset_has_the_steps_that_it_has_alone():
    patches = mixture(30, 17)
    steps = step_sets(patches, 2, batch_size=4, seed=3)
    for number, count in enumerate((30, 17)):
        own = [step for step in steps if patches.dataset_of(np.array(step)) == number]
        alone = [(micro + patches.starts[number]).tolist() for [micro] in TrainOrder(count, 4, seed=3).steps(2)]
        assert sorted(own) == sorted(alone)


def test_datasets_come_mixed_and_each_epoch_otherwise():
    patches = mixture(40, 40)
    orders = [
        [patches.dataset_of(np.array(step)) for step in step_sets(patches, epoch, batch_size=4)] for epoch in (0, 1)
    ]
    assert orders[0] != sorted(orders[0]) and orders[0] != orders[1]
    in_order = train_order(patches, batch_size=4, shuffle=False)
    assert [int(micro[0]) for [micro] in in_order.steps(5)] == list(range(0, 80, 4))


@settings(deadline=None, max_examples=25)
@given(sizes, st.integers(1, 5), st.integers(0, 30), st.integers(0, 3))
def test_skipping_ahead_is_a_number(counts, batch, start, epoch):
    patches = mixture(*counts)
    whole, again = (step_sets(patches, epoch, batch_size=batch, seed=7) for _ in range(2))
    assert whole == again
    assert step_sets(patches, epoch, start, batch_size=batch, seed=7) == whole[start:]
    other = step_sets(patches, epoch, batch_size=batch, seed=8)
    assert len(whole) < 4 or other != whole


@pytest.mark.parametrize(("batch", "accumulate", "world"), [(6, 2, 1), (6, 1, 2), (3, 2, 2), (4, 3, 1), (2, 2, 3)])
def test_ranks_and_micro_batches_cut_the_same_steps(batch, accumulate, world):
    patches = mixture(50, 31, 24)
    whole = step_sets(patches, 4, batch_size=12, seed=3)
    assert step_sets(patches, 4, batch_size=batch, accumulate=accumulate, world=world, seed=3) == whole


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=4),
    st.integers(1, 6),
    st.integers(1, 3),
    st.none() | st.integers(1, 8),
    st.none() | st.integers(1, 5),
)
def test_evaluation_has_every_sample_once(counts, batch, world, group, first):
    patches = mixture(*counts)
    ranks = [list(eval_order(patches, batch, world, rank, group, first).batches()) for rank in range(world)]
    assert len({len(batches) for batches in ranks}) == 1
    for batches in zip(*ranks, strict=True):
        held = np.concatenate(batches)
        patches.dataset_of(held)  # raises for batches of two data sets, on whatever rank
        assert len({len(one) for one in batches}) == 1
    seen = np.concatenate([one for batches in ranks for one in batches])
    wanted = [
        start + number
        for start, count in zip(patches.starts, counts, strict=False)
        for number in range(count if first is None else min(first, count))
    ]
    assert sorted(seen[seen >= 0].tolist()) == wanted


def test_one_data_set_is_no_mixture():
    one = dataset(5)
    assert mixture_of([one]) is one and datasets_of(one) == [one]
    assert isinstance(train_order(one, batch_size=2), TrainOrder)
    assert isinstance(eval_order(one, 2), EvalOrder)
    patches = mixture_of([one, dataset(3, 4)])
    assert isinstance(patches, Mixture) and len(datasets_of(patches)) == 2
    assert isinstance(train_order(patches, batch_size=2), MixedTrainOrder)
    assert isinstance(eval_order(patches, 2), MixedEvalOrder)


def test_reading_is_numbered_through():
    patches = mixture(5, 4)
    assert len(patches) == 9 and patches.shape == (9, 2, 3, 3)
    rows = patches.read(np.array([8, 5, 5]))
    assert rows.image.shape == (3, 3, 4, 4)
    assert rows.image[:, 0, 0, 0].tolist() == [3, 0, 0]
    for use in (patches.read, patches.labels, patches.physical):
        with pytest.raises(DataError, match=r"of one data set(.|\n)*begin at 0, 5"):
            use(np.array([4, 5]))
    for wrong in (-1, 9):
        with pytest.raises(IndexError, match=f"no patch {wrong}: there are 9"):
            patches.read(np.array([wrong]))
    assert [patches.dataset_of(np.array(index)) for index in ([0, 4], [5], [-1, 8], [-1])] == [0, 1, 1, 0]


def test_metadata_fingerprint_and_check():
    one, other = dataset(3), dataset(2, 4)
    patches = Mixture([one, other])
    table = patches.metadata()
    assert table["patch_id"].tolist() == ["0/p0", "0/p1", "0/p2", "1/p0", "1/p1"]
    assert table["dataset"].tolist() == [0, 0, 0, 1, 1]
    marks = {
        mixed.fingerprint()
        for mixed in (patches, Mixture([other, one]), Mixture([one, one]), Mixture([one, other, other]))
    }
    assert len(marks) == 4 and patches.fingerprint() == Mixture([dataset(3), dataset(2, 4)]).fingerprint()
    patches.check()
    assert one.checks == other.checks == 1


def test_labels_only_where_all_have_them_and_masks_where_any_has():
    mask, labels = np.ones((3, 1, 3, 3), bool), np.arange(3)
    patches = Mixture([dataset(3), dataset(3, 3, mask=mask, labels=labels)])
    assert patches.has_mask and not patches.has_labels
    assert Mixture([dataset(3, labels=labels)] * 2).has_labels
    assert patches.read(np.array([0])).mask is None and patches.read(np.array([4])).mask is not None


def test_labels_are_had_without_images_and_values_in_the_units_of_their_own_data_set(monkeypatch):
    one, other = dataset(3), dataset(2, 3)
    other.bands = Bands([Band("a", scale=0.5), Band("b"), Band("c")])
    patches = Mixture([one, other])
    assert patches.physical([4])[0, :, 0, 0].tolist() == [0.5, 1, 1]
    other.labels = lambda index: index * 10
    monkeypatch.setattr(MemoryPatches, "read", lambda *_: pytest.fail("an image was read"))
    assert patches.labels(np.array([4, 3])).tolist() == [10, 0]


def test_a_stamp_is_of_all_and_missing_where_one_has_none():
    one, other = dataset(3), dataset(2, 3)
    patches = Mixture([one, other])
    assert patches.stamp() is None
    one.stamp, other.stamp = (lambda: "a"), (lambda: None)
    assert patches.stamp() is None
    other.stamp = lambda: "b"
    assert patches.stamp() != Mixture([other, one]).stamp() is not None


def test_a_dataset_too_small_for_the_micro_batches_is_named():
    patches = mixture(40, 3)
    patches.datasets[1].path = patches.path / "small.h5"
    with pytest.raises(DataError, match="3 samples are too few for the 4 micro-batches") as raised:
        train_order(patches, batch_size=2, accumulate=4)
    assert raised.value.where == "memory/small.h5, train"
    assert "hparams.accumulate_grad_batches" in raised.value.fix
    with pytest.raises(DataError, match="cannot be shared out among 4 processes"):
        train_order(patches, batch_size=2, world=4)
    assert len(step_sets(patches, 0, batch_size=8)) == 6  # smaller than a batch is one step


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_says_which_data_set_a_batch_is_of(workers):
    patches = mixture(11, 6, 3)
    order = train_order(patches, batch_size=3, seed=1)
    batches = list(chain.from_iterable(order.steps(0)))
    with Loader(patches, num_workers=workers) as loader:
        for index, raw in zip(batches, loader.load(batches), strict=True):
            number = patches.dataset_of(index)
            assert raw.dataset == number and raw.image.shape[1:] == patches.datasets[number].shape[1:]
            assert raw.image[:, 0, 0, 0].tolist() == (index - patches.starts[number]).tolist()
            assert raw.index.tolist() == index.tolist()
        padded = list(eval_order(patches, 4, world=2, rank=1).batches())
        assert any((index < 0).any() for index in padded)
        for index, raw in zip(padded, loader.load(padded), strict=True):
            assert raw.index.tolist() == index.tolist()
            real = raw.index >= 0
            if real.any():  # what fills up is of the same data set
                number = patches.dataset_of(index)
                assert raw.dataset == number
                assert raw.image[real, 0, 0, 0].tolist() == (index[index >= 0] - patches.starts[number]).tolist()


def test_a_part_for_each_data_set():
    patches = mixture(4, 4)
    with Loader(patches) as loader:
        raws = list(loader.load([np.array([1]), np.array([6])]))
    double, negative = (lambda batch: batch.image * 2), (lambda batch: -batch.image)
    part = by_dataset([double, negative])
    assert isinstance(part, ByDataset)
    assert [float(part(raw)[0, 0, 0, 0]) for raw in raws] == [2.0, -2.0]
    assert by_dataset([double]) is double


def test_a_batch_of_nothing_but_padding_is_read_all_the_same():
    """A rank may have nothing left of the last data set: what it reads in its place has no real row."""
    patches = mixture(8, 1)
    batches = [list(eval_order(patches, 4, world=2, rank=rank).batches()) for rank in range(2)]
    assert batches[0][-1].tolist() == [8] and batches[1][-1].tolist() == [-1]
    with Loader(patches) as loader:
        *_, raw = loader.load(batches[1])
    assert raw.image.shape == (1, 2, 3, 3) and raw.dataset == 0 and raw.index.tolist() == [-1]


def test_real_files_of_different_bands(tmp_path):
    rng = np.random.default_rng(0)
    for name, bands in (("a", 6), ("b", 3)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            for split, count in (("train", 7), ("valid", 2)):
                file[split] = rng.normal(size=(count, bands, 8, 8)).astype(np.float32)
    places = [tmp_path / "a.h5", tmp_path / "b.h5"]
    patches = open_patches(places, "train", DatasetOptions())
    assert [len(one.bands) for one in datasets_of(patches)] == [6, 3]
    assert patches.bands == Bands.unnamed(6) and len(patches) == 14
    with h5py.File(places[1]) as file:
        assert np.array_equal(patches.read(np.arange(7, 14)).image, file["train"][()])
    marks = [open_patches(places, split, DatasetOptions()).fingerprint() for split in ("train", "valid", "train")]
    assert marks[0] == marks[2] != marks[1]
    with pytest.raises(DataError, match="lists no data"):
        open_patches([], "train", DatasetOptions())
    with pytest.raises(DataError, match="no such file or folder"):
        open_patches([places[0], tmp_path / "c.h5"], "train", DatasetOptions())
