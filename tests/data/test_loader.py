"""The loader gives what the reader reads, ahead of time, and ends cleanly however it ends."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from memory_patches import MemoryPatches

from spectrain.core.errors import DataError, RunError
from spectrain.core.targets import ClassLabel, ClassMap, SparseValues
from spectrain.data.loader import Loader
from spectrain.data.order import EvalOrder, TrainOrder

IMAGES = np.arange(20 * 2 * 3 * 3, dtype=np.uint16).reshape(20, 2, 3, 3)
MASK = np.random.default_rng(0).random((20, 1, 3, 3)) > 0.3
LABELS = np.arange(20) % 3


class Watched(MemoryPatches):
    """Tells from where it is read, and how often; sleeps before each read."""

    def __init__(self, *arguments, delay=0.0, die_at=None, **named):
        super().__init__(*arguments, **named)
        self.delay, self.die_at, self.reads, self.thread, self.pid = delay, die_at, [], None, None

    def read(self, index):
        time.sleep(self.delay)
        if self.die_at is not None and self.die_at in index:
            os.kill(os.getpid(), signal.SIGKILL)
        self.reads.append(list(index))
        self.thread, self.pid = threading.current_thread().name, os.getpid()
        return super().read(index)


def class_labels(labels):
    return ClassLabel(torch.from_numpy(labels.astype(np.int64)))


def map_labels(labels):
    return ClassMap(torch.from_numpy(labels))


def sparse_labels(labels):
    return SparseValues.from_dense(torch.from_numpy(labels))


def pid_as_label(labels):
    return ClassLabel(torch.full((len(labels),), os.getpid()))


def refuse_labels(labels):
    raise DataError("label 7 is not a class", where="row 3", fix="mend the labels")


def _patches(**named):
    return Watched(IMAGES, MASK, LABELS, **named)


def _batches(count=20, size=6):
    return list(EvalOrder(count, size).batches())


@pytest.fixture(params=[0, 2], ids=["thread", "workers"])
def num_workers(request):
    return request.param


@pytest.fixture
def loading(num_workers):
    """Return a function that makes loaders, and close them all."""
    made = []

    def make(patches, targets=class_labels, **named):
        made.append(Loader(patches, targets, num_workers, **named))
        return made[-1]

    yield make
    for loader in made:
        loader.close()


def test_batches_are_what_the_reader_reads(loading):
    order = TrainOrder(20, 4, 2, seed=1)
    indices = [micro for micros in order.steps(1) for micro in micros]
    batches = list(loading(_patches()).load(indices))
    assert len(batches) == len(indices)
    for index, batch in zip(indices, batches, strict=True):
        assert batch.image.dtype == torch.uint16
        np.testing.assert_array_equal(batch.index.numpy(), index)
        np.testing.assert_array_equal(batch.image.numpy(), IMAGES[index])
        np.testing.assert_array_equal(batch.mask.numpy(), MASK[index])
        np.testing.assert_array_equal(batch.target.y.numpy(), LABELS[index])


def test_a_filler_row_keeps_its_index_and_holds_a_sample_of_its_own_batch(loading):
    last = list(loading(_patches()).load([np.array([19, -1, -1])]))[-1]
    assert last.index.tolist() == [19, -1, -1]
    np.testing.assert_array_equal(last.image[1].numpy(), IMAGES[19])


def test_without_mask_and_labels(num_workers):
    with Loader(MemoryPatches(IMAGES), num_workers=num_workers) as loader:
        [batch] = loader.load([np.arange(3)])
    assert batch.mask is None
    assert batch.target.valid.numel() == 0


def test_the_same_workers_serve_every_epoch(loading, num_workers):
    loader = loading(_patches(), targets=pid_as_label)
    epochs = [{int(batch.target.y[0]) for batch in loader.load(_batches())} for _ in range(3)]
    assert epochs[0] == epochs[1] == epochs[2]
    assert len(epochs[0]) == max(1, num_workers)
    assert (os.getpid() in epochs[0]) is (num_workers == 0)


def test_the_file_is_checked_at_each_epoch(loading):
    patches = _patches()
    loader = loading(patches)
    for epoch in range(1, 4):
        list(loader.load(_batches()))
        assert patches.checks == epoch


def test_an_error_of_the_reader_arrives_as_it_is(loading):
    loader = loading(_patches(fail_at=13))
    got = []
    with pytest.raises(DataError, match="patch 13 is damaged") as caught:
        got.extend(loader.load(_batches(size=5)))
    assert len(got) == 2
    assert caught.value.where == "memory"
    assert "Traceback" not in str(caught.value)
    assert len(list(loader.load(_batches(count=10, size=5)))) == 2


def test_an_error_of_the_targets_arrives_as_it_is(loading):
    with pytest.raises(DataError, match="label 7") as caught:
        next(loading(_patches(), targets=refuse_labels).load(_batches()))
    assert caught.value.fix == "mend the labels"


def test_a_mistake_in_the_reader_is_not_hidden(loading):
    with pytest.raises(IndexError, match="outside 0 to 19"):
        list(loading(_patches()).load([np.array([20])]))


def test_stopping_early_neither_hangs_nor_spoils_the_next_epoch(loading):
    loader = loading(_patches(delay=0.01))
    for _ in range(3):
        batches = loader.load(_batches(size=2))
        next(batches)
        batches.close()
    whole = list(loader.load(_batches(size=2)))
    assert [int(batch.index[0]) for batch in whole] == list(range(0, 20, 2))


def test_a_new_epoch_ends_the_one_before(loading):
    loader = loading(_patches())
    first = loader.load(_batches(size=2))
    next(first)
    second = loader.load(_batches(size=2))
    assert int(next(second).index[0]) == 0
    assert list(first) == []
    assert int(next(second).index[0]) == 2


def test_nothing_is_left_running(num_workers):
    threads, children = threading.active_count(), len(multiprocessing.active_children())
    loader = Loader(_patches(delay=0.01), class_labels, num_workers)
    next(loader.load(_batches(size=2)))
    assert len(multiprocessing.active_children()) == children + num_workers
    loader.close()
    assert threading.active_count() <= threads
    assert len(multiprocessing.active_children()) == children
    assert len(list(loader.load(_batches()))) == 4
    loader.close()


def test_a_forgotten_loader_leaves_nothing_running(num_workers):
    children = len(multiprocessing.active_children())
    loader = Loader(_patches(), class_labels, num_workers)
    next(loader.load(_batches(size=2)))
    del loader
    gc.collect()
    deadline = time.monotonic() + 5  # the thread may still hold the answers on their way
    while len(multiprocessing.active_children()) > children and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(multiprocessing.active_children()) == children


def test_no_random_number_is_drawn(loading):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(loading(_patches()).load(_batches()))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_thread_reads_two_batches_ahead():
    patches = _patches()
    with Loader(patches, class_labels) as loader:
        batches = loader.load(_batches(size=2))
        next(batches)
        deadline = time.monotonic() + 5
        while len(patches.reads) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.05)
        assert len(patches.reads) == 3
        assert patches.thread.startswith("spectrain-loader")


def test_reading_ahead_hides_the_reading(num_workers):
    with Loader(_patches(delay=0.05), class_labels, num_workers) as loader:
        batches = loader.load(_batches(size=2))
        next(batches)
        cold = loader.waited_s
        assert cold > 0  # less than the reading takes, where this process had to wait between asking and looking
        for _ in batches:
            time.sleep(0.08)
        assert loader.waited_s - cold < 0.2


def test_waiting_is_measured(loading):
    loader = loading(_patches(delay=0.05))
    start = time.perf_counter()
    list(loader.load(_batches(size=5)))
    elapsed = time.perf_counter() - start
    assert 0.1 <= loader.waited_s <= elapsed


def test_a_killed_worker_is_an_error_and_not_a_hang():
    handler = signal.getsignal(signal.SIGCHLD)
    loader = Loader(_patches(die_at=9), class_labels, 2)
    start = time.monotonic()
    with pytest.raises(RunError, match="a process that reads data died") as caught:
        list(loader.load(_batches(size=2)))
    assert time.monotonic() - start < 15
    assert "general.num_workers" in caught.value.fix
    assert signal.getsignal(signal.SIGCHLD) is handler
    assert len(list(loader.load(_batches(count=8, size=2)))) == 4
    loader.close()


def test_a_worker_killed_while_nobody_waits_does_not_break_into_the_step():
    with Loader(_patches(), class_labels, 1) as loader:
        batches = loader.load(_batches(size=2))
        next(batches)
        [child] = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.2)  # torch's own handler would raise here
        with pytest.raises(RunError):
            list(batches)


def test_after_a_death_every_answer_is_the_error_and_none_belongs_to_another_epoch():
    with Loader(_patches(delay=0.01), class_labels, 2) as loader:
        batches = loader.load(_batches(size=2))
        next(batches)
        batches.close()
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        with pytest.raises(RunError, match="SIGKILL"):
            list(loader.load(_batches(size=5)))
        assert [int(batch.index[0]) for batch in loader.load(_batches(size=5))] == [0, 5, 10, 15]


def test_workers_end_with_the_main_process(tmp_path):
    code = (
        "import os, signal, numpy as np, multiprocessing\n"
        "from memory_patches import MemoryPatches\n"
        "from spectrain.data.loader import Loader\n"
        "batches = Loader(MemoryPatches(np.zeros((9, 1, 2, 2))), num_workers=2).load([np.arange(2)] * 9)\n"
        "next(batches)\n"
        "print(*[child.pid for child in multiprocessing.active_children()], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    search = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": search}, stdout=subprocess.PIPE, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_runs, pids))


def _runs(pid):
    """Return whether the process runs; one that ended and was not waited for does not."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "\nState:\tZ" not in status.read_text()


def test_a_batch_larger_than_the_first_goes_through_the_pipe():
    image = np.random.default_rng(0).integers(0, 60000, (40, 4, 128, 128)).astype(np.uint16)
    labels = np.arange(40 * 128 * 128).reshape(40, 128, 128).astype(np.int16)
    with Loader(MemoryPatches(image, labels=labels), map_labels, 1) as loader:
        assert next(loader.load([np.arange(1)])).image.shape[0] == 1
        [batch] = loader.load([np.arange(40)])
    np.testing.assert_array_equal(batch.image.numpy(), image)
    np.testing.assert_array_equal(batch.target.y.numpy(), labels)


def test_without_fork_the_workers_start_afresh(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with Loader(MemoryPatches(IMAGES, MASK, LABELS), class_labels, 1) as loader:
        [batch] = loader.load([np.array([3, 4])])
        monkeypatch.undo()
    np.testing.assert_array_equal(batch.image.numpy(), IMAGES[3:5])
    np.testing.assert_array_equal(batch.mask.numpy(), MASK[3:5])


def test_sparse_targets_travel_through_workers():
    value = np.full((6, 4, 5), np.nan, dtype=np.float32)
    value[2, 1, 3] = 7.5
    with Loader(MemoryPatches(np.zeros((6, 1, 4, 5)), labels=value), sparse_labels, 1) as loader:
        none, some = loader.load([np.array([0, 1]), np.array([2, 3])])
    assert none.target.value.numel() == 0
    assert none.target.shape == (2, 4, 5)
    assert (some.target.row.tolist(), some.target.index.tolist(), some.target.value.tolist()) == ([0], [8], [7.5])


def test_workers_leave_ctrl_c_to_the_main_process():
    with Loader(_patches(delay=0.02), class_labels, 2) as loader:
        batches = loader.load(_batches(size=2))
        next(batches)
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGINT)
        assert len(list(batches)) == 9


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<f8", "u1"])
def test_any_byte_order_reads(dtype):
    image = np.arange(8).reshape(2, 1, 2, 2).astype(dtype)
    with Loader(MemoryPatches(image)) as loader:
        [batch] = loader.load([np.arange(2)])
    np.testing.assert_array_equal(batch.image.numpy(), image)


def test_read_only_arrays_are_copied_and_others_are_not():
    class Same(MemoryPatches):
        def read(self, index):
            return type(super().read(index))(self.image, None, None)

    image = np.zeros((2, 1, 2, 2), dtype=np.float32)
    with Loader(Same(image)) as loader:
        [batch] = loader.load([np.arange(2)])
        assert batch.image.data_ptr() == image.ctypes.data
        image.flags.writeable = False
        [batch] = loader.load([np.arange(2)])
        assert batch.image.data_ptr() != image.ctypes.data


@pytest.mark.skipif(torch.accelerator.is_available(), reason="about machines without an accelerator")
def test_pinning_without_an_accelerator_is_left_out(loading, recwarn):
    [batch] = loading(_patches(), pin_memory=True).load([np.arange(3)])
    assert not batch.image.is_pinned()
    assert not [warning for warning in recwarn if "pin_memory" in str(warning.message)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pinned_batches_reach_the_device(loading):
    [batch] = loading(_patches(), pin_memory=True).load([np.arange(3)])
    assert batch.image.is_pinned()
    np.testing.assert_array_equal(batch.to("cuda").image.cpu().numpy(), IMAGES[:3])
