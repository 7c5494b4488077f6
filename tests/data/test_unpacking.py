"""The memory of unpacked chunks and the threads that unpack."""

from __future__ import annotations

import os
import threading

import h5py
import numpy as np
import pytest
from reader_contract import in_child

from spectrain.data.hdf5 import chunks as hdf5_chunks
from spectrain.data.opening import open_patches
from spectrain.data.stored import unpacking
from spectrain.data.stored.unpacking import ChunkCache, cache, in_threads, threads


def chunk(size):
    return np.zeros(size, dtype=np.uint8)


def test_the_cache_forgets_what_was_not_used_for_longest():
    held = ChunkCache(100)
    for number in range(3):
        held.put((0, number), chunk(40))
    assert held.get((0, 0)) is None and held.held == 80
    assert held.get((0, 1)) is not None
    held.put((0, 3), chunk(40))
    assert held.get((0, 2)) is None and held.get((0, 1)) is not None


def test_the_cache_never_holds_more_than_its_limit():
    held = ChunkCache(100)
    for number in range(50):
        held.put((0, number % 7), chunk(1 + number % 101))
        assert held.held == sum(one.nbytes for one in held._chunks.values()) <= 100
    held.put((1, 0), chunk(101))
    assert held.get((1, 0)) is None


def test_all_tasks_are_done_on_several_threads(monkeypatch):
    monkeypatch.setattr(unpacking, "threads", lambda: 3)
    unpacking._pool.cache_clear()
    try:
        done, used = [], set()
        barrier = threading.Barrier(3, timeout=20)  # passes only if three work at once

        def work(task):
            if task < 3:
                barrier.wait()
            done.append(task)
            used.add(threading.get_ident())

        in_threads(work, list(range(20)))
        assert sorted(done) == list(range(20)) and len(used) == 3

        def fail(task):
            if task == 5:
                raise ValueError("task 5")

        with pytest.raises(ValueError, match="task 5"):
            in_threads(fail, list(range(20)))
        in_threads(work, [])
    finally:
        unpacking._pool.cache_clear()


def test_processes_that_train_together_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(12)))
    assert threads() == 12
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert threads() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "50")
    assert threads() == 1


def test_a_worker_has_one_thread_and_a_memory_of_its_own():
    cache.put((10**9, 0), chunk(5))

    def look():
        assert threads() == 1
        assert cache.get((10**9, 0)) is None and cache.held == 0

    assert in_child(look) == "fine"


@pytest.fixture
def packed(tmp_path):
    """40 patches, 10 a chunk."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = np.random.default_rng(0).random((40, 8, 8), dtype=np.float32)
        file.create_dataset("train", data=data, chunks=(10, 8, 8), compression="gzip", shuffle=True)
    cache.forget()
    return open_patches(tmp_path / "a.h5")


@pytest.fixture
def unpacked(monkeypatch):
    """The chunks that were unpacked, in the order in which they were."""
    seen = []
    real = hdf5_chunks.ChunkedArray._inflated

    def inflated(self, number, *place):
        seen.append(number)
        return real(self, number, *place)

    monkeypatch.setattr(hdf5_chunks.ChunkedArray, "_inflated", inflated)
    return seen


def test_each_chunk_is_unpacked_once_a_batch(packed, unpacked, monkeypatch):
    monkeypatch.setattr(cache, "limit", 0)
    packed.read(np.random.default_rng(0).permutation(40))
    assert sorted(unpacked) == [0, 1, 2, 3]


def test_in_a_random_order_a_chunk_is_not_unpacked_for_each_patch(packed, unpacked):
    for index in np.random.default_rng(0).permutation(40):
        packed.read(np.array([index]))
    assert sorted(unpacked) == [0, 1, 2, 3]


def test_what_was_unpacked_of_one_file_is_never_taken_for_another(packed, tmp_path):
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("train", data=np.ones((40, 8, 8), "f4"), chunks=(10, 8, 8), compression="gzip")
    first = packed.read(np.array([0])).image
    other = open_patches(tmp_path / "b.h5")
    assert (other.read(np.array([0])).image == 1).all()
    assert np.array_equal(packed.read(np.array([0])).image, first)
