"""The order of samples: complete, the same however it is cut, and free to start anywhere."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectrain.core.errors import DataError
from spectrain.core.random import Key, permuted
from spectrain.data import order as order_module
from spectrain.data.order import EvalOrder, TrainOrder


def _step_sets(order: TrainOrder, epoch: int = 1) -> list[list[int]]:
    """Return the samples of each step over all ranks, sorted."""
    ranks = [
        list(TrainOrder(order.size, order.batch_size, order.accumulate, order.world, rank, order.seed).steps(epoch))
        for rank in range(order.world)
    ]
    return [sorted(int(i) for micro in chain.from_iterable(parts) for i in micro) for parts in zip(*ranks, strict=True)]


@given(
    size=st.integers(1, 200),
    batch_size=st.integers(1, 9),
    accumulate=st.integers(1, 4),
    world=st.integers(1, 4),
)
def test_no_sample_twice_and_none_empty(size, batch_size, accumulate, world):
    if size < world:
        with pytest.raises(DataError, match="cannot be shared out"):
            TrainOrder(size, batch_size, accumulate, world)
        return
    order = TrainOrder(size, batch_size, accumulate, world)
    steps = _step_sets(order)
    assert len(steps) == order.steps_per_epoch
    seen = list(chain.from_iterable(steps))
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(size))
    step = batch_size * accumulate * world
    if size >= step:
        assert len(seen) == size // step * step
    else:  # three samples are not two micro-batches of one for each of two processes
        assert len(seen) == (size if batch_size > 1 else size // world * world)
    for rank in range(world):
        for micros in TrainOrder(size, batch_size, accumulate, world, rank).steps(1):
            assert all(0 < len(micro) <= batch_size for micro in micros)


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "world"), [(12, 1, 1), (6, 2, 1), (6, 1, 2), (3, 2, 2), (2, 2, 3)]
)
def test_a_step_holds_the_same_samples_however_it_is_cut(batch_size, accumulate, world):
    whole = _step_sets(TrainOrder(50, 12, seed=3))
    assert _step_sets(TrainOrder(50, batch_size, accumulate, world, seed=3)) == whole


def test_micro_batch_m_of_rank_r_is_slice_m_world_plus_r():
    [whole] = next(TrainOrder(64, 24, seed=1).steps(5))
    parts = [next(TrainOrder(64, 4, 3, 2, rank, seed=1).steps(5)) for rank in range(2)]
    placed = permuted(Key(1, "order", 5), 64, torch.arange(24)).numpy()
    assert sorted(placed) == list(whole)
    for micro in range(3):
        for rank in range(2):
            number = micro * 2 + rank
            assert list(parts[rank][micro]) == sorted(placed[number * 4 : number * 4 + 4])


def test_starting_later_leaves_out_exactly_what_came_before():
    order = TrainOrder(103, 8, 2, seed=9)
    all_steps = list(order.steps(4))
    late = list(order.steps(4, start=3))
    assert len(late) == len(all_steps) - 3
    for expected, got in zip(all_steps[3:], late, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))
    assert list(order.steps(4, start=order.steps_per_epoch)) == []


def test_steps_are_placed_many_at_a_time_and_are_the_same_as_one_by_one(monkeypatch):
    calls = []
    monkeypatch.setattr(order_module, "permuted", lambda *given: calls.append(1) or permuted(*given))
    order = TrainOrder(20_000, 8, 2, seed=3)
    whole = list(order.steps(0))
    assert len(calls) <= 7  # the first step alone, then 4096 positions at once
    for step in (0, 1, 256, 257, len(whole) - 1):
        alone = next(order.steps(0, start=step))
        assert all(np.array_equal(a, b) for a, b in zip(whole[step], alone, strict=True))


def test_epochs_and_seeds_differ_and_repeat():
    def first(seed, epoch):
        return tuple(next(TrainOrder(1000, 16, seed=seed).steps(epoch))[0])

    assert first(0, 1) == first(0, 1)
    assert len({first(0, 1), first(0, 2), first(1, 1)}) == 3


def test_indices_of_a_micro_batch_ascend():
    for micros in TrainOrder(100, 10, 2).steps(0):
        assert all(np.all(np.diff(micro) > 0) for micro in micros)


def test_a_set_smaller_than_a_step_is_cut_evenly_with_fewer_micro_batches_if_needed():
    assert [len(m) for m in next(TrainOrder(10, 8, 4).steps(0))] == [3, 3, 2, 2]
    assert [len(m) for m in next(TrainOrder(3, 8, 4).steps(0))] == [1, 1, 1]
    for rank in range(2):
        assert [len(m) for m in next(TrainOrder(5, 8, 4, 2, rank).steps(0))] == ([2, 1] if rank == 0 else [1, 1])


def test_order_of_a_billion_samples_takes_no_memory():
    order = TrainOrder(10**9, 32, seed=2)
    [batch] = next(order.steps(0, start=order.steps_per_epoch - 1))
    assert len(batch) == 32
    assert batch.max() < 10**9


@given(size=st.integers(1, 300), batch_size=st.integers(1, 40), world=st.integers(1, 5))
def test_evaluation_sees_every_sample_once(size, batch_size, world):
    ranks = [list(EvalOrder(size, batch_size, world, rank).batches()) for rank in range(world)]
    assert len({len(batches) for batches in ranks}) == 1
    assert len({len(batch) for batches in ranks for batch in batches}) == 1
    assert 1 <= len(ranks[0][0]) <= batch_size
    assert len(ranks[0]) == -(-size // (batch_size * world))
    flat = np.concatenate([np.concatenate(parts) for parts in zip(*ranks, strict=True)])
    assert list(flat[flat >= 0]) == list(range(size))
    assert np.all(flat[size:] == -1)


def test_evaluation_of_one_more_than_a_batch_wastes_one_row():
    batches = list(EvalOrder(65, 64).batches())
    assert [len(batch) for batch in batches] == [33, 33]
    assert batches[1][-1] == -1


@given(
    size=st.integers(1, 300),
    group=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    world=st.integers(1, 4),
)
def test_what_is_compared_depends_on_neither_batch_size_nor_processes(size, group, batch_size, world):
    def groups(batch_size, world):
        ranks = [list(EvalOrder(size, batch_size, world, rank, group).groups()) for rank in range(world)]
        assert len({len(batches) for parts in ranks for batches in parts}) == 1
        lengths = {len(batch) for parts in ranks for batches in parts for batch in batches}
        assert len(lengths) == 1 and max(lengths) <= batch_size
        joined = [np.concatenate([np.concatenate(part) for part in parts]) for parts in zip(*ranks, strict=True)]
        return [list(one[one >= 0]) for one in joined]

    found = groups(batch_size, world)
    assert found == groups(size, 1)
    assert list(chain.from_iterable(found)) == list(range(size))
    assert max(map(len, found)) <= group
    assert len(found) == -(-size // group)


@pytest.mark.parametrize("arguments", [(10, 0), (10, 4, 1, 1, 1), (10, 4, 0)])
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match=r"got 0|rank 1"):
        TrainOrder(*arguments)


def test_no_samples_is_the_users_error():
    with pytest.raises(DataError, match="no patches"):
        EvalOrder(0, 4)
