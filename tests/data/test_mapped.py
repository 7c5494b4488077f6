"""Gathering bytes from many files: mapped or by position, whole or cut, with few descriptors to spend."""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_contract import in_child

from spectrain.core.errors import DataError
from spectrain.data.stored import mapped
from spectrain.data.stored.mapped import MappedFiles, expect_within
from spectrain.data.stored.rows import MappedArray


@pytest.fixture(params=[True, False], ids=["mapped", "by position"])
def by_map(request):
    return request.param


@pytest.fixture
def files(tmp_path, by_map):
    """Three files of 5000, 70 and 9000 random bytes."""
    random = np.random.default_rng(0)
    paths = [tmp_path / name for name in "abc"]
    for path, size in zip(paths, (5000, 70, 9000), strict=True):
        path.write_bytes(random.bytes(size))
    return MappedFiles(paths, [5000, 70, 9000], mapped=by_map)


def gather(files, places, length):
    file, offset = (np.array(one, dtype=np.int64) for one in zip(*places, strict=True))
    return [row.tobytes() for row in files.gather(file, offset, length)]


def test_any_places_of_any_length(files):
    content = [path.read_bytes() for path in files.paths]

    @settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def check(data):
        length = data.draw(st.integers(1, 70))
        place = st.integers(0, 2).flatmap(
            lambda file: st.tuples(st.just(file), st.integers(0, len(content[file]) - length))
        )
        places = data.draw(st.lists(place, min_size=1, max_size=20))
        assert gather(files, places, length) == [content[file][at : at + length] for file, at in places]

    check()


FAR = 2**63 - 1


@pytest.mark.parametrize(
    ("offset", "size", "end"),
    [(90, 11, 101), (FAR, 41, FAR + 41), (FAR, FAR, 2 * FAR), (0, FAR, FAR), (101, 0, 101), (5, -1, 4)],
)
def test_a_place_beyond_its_file_is_told_though_its_end_overflows(tmp_path, offset, size, end):
    files = MappedFiles([tmp_path / "a", tmp_path / "b"], [2**40, 100])
    file, sound = np.array([0, 1, 1, 2]), np.array([[2**40 - 1, 1], [0, 100], [100, 0], [-1, FAR]])
    expect_within(files, file, *sound.T)
    with pytest.raises(DataError, match=f"up to byte {end}, it has 100(.|\n)*{tmp_path / 'b'}"):
        expect_within(files, np.append(file, 1), *np.vstack([sound, [offset, size]]).T)


@pytest.mark.parametrize("offset", [FAR, FAR - 4000, 0])
@pytest.mark.parametrize(("rows", "run"), [(2, 2), (2, 2**61), (2**61, 2**61)])
def test_an_array_beyond_its_file_is_refused_before_it_is_read(tmp_path, offset, rows, run):
    (tmp_path / "a").write_bytes(bytes(799))
    files, place = MappedFiles([tmp_path / "a"], [799]), np.array([0])
    with pytest.raises(DataError, match="the file is damaged: its index places data up to byte"):
        MappedArray(files, np.dtype("f8"), (rows, 50), run=run, file=place, offset=np.array([offset]))


def test_one_file_for_all_places(files):
    rows = files.gather(np.array([2]), np.array([10, 8000, 10]), 100)
    content = files.paths[2].read_bytes()
    assert [row.tobytes() for row in rows] == [content[at : at + 100] for at in (10, 8000, 10)]
    assert len(files.gather(np.array([2]), np.empty(0, np.int64), 100)) == 0


def test_bytes_at_one_place(files):
    assert bytes(files.bytes_at(1, 60, 10)) == files.paths[1].read_bytes()[60:]


def test_a_copy_in_another_process_opens_for_itself(files):
    gather(files, [(0, 0)], 10)
    copy = pickle.loads(pickle.dumps(files))
    assert copy._opened is None
    assert gather(copy, [(2, 5)], 10) == gather(files, [(2, 5)], 10)


def test_only_a_cut_of_a_file_that_is_touched_stops_a_read(files):
    def cut():
        gather(files, [(0, 0), (2, 0)], 10)
        os.truncate(files.paths[2], 4000)
        gather(files, [(0, 0)], 10)
        for read in (lambda: gather(files, [(0, 0), (2, 0)], 10), lambda: files.bytes_at(2, 0, 10), files.check):
            with pytest.raises(DataError, match="cut short: it has 4000 bytes and must have 9000") as caught:
                read()
            assert str(files.paths[2]) in str(caught.value)

    assert in_child(cut) == "fine"


def test_a_file_may_grow(files):
    with files.paths[0].open("ab") as file:
        file.write(b"more")
    files.check()
    assert len(gather(files, [(0, 4990)], 10)[0]) == 10


def test_a_file_that_ends_within_a_read_by_position(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(bytes(50))
    files = MappedFiles([path], [50], mapped=False)
    monkeypatch.setattr(MappedFiles, "_expect_whole", lambda self, touched, opened: os.truncate(path, 20))
    with pytest.raises(DataError, match="cut short: it has 20 bytes and must have 40"):
        files.gather(np.array([0]), np.array([0]), 40)


def test_a_read_that_the_system_refuses_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"0123456789")
    files = MappedFiles([tmp_path / "a"], [10], mapped=False)

    def refuse(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", refuse)
    for read in (lambda: gather(files, [(0, 0)], 4), lambda: files.bytes_at(0, 0, 4)):
        with pytest.raises(DataError, match="cannot read the data: Input/output error") as caught:
            read()
        assert str(tmp_path / "a") in str(caught.value)


def test_a_file_system_without_maps_is_read_by_position(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"0123456789")

    def refuse(*arguments, **keywords):
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(mmap, "mmap", refuse)
    files = MappedFiles([tmp_path / "a"], [10], mapped=True)
    assert gather(files, [(0, 3)], 4) == [b"3456"]


def test_a_network_file_system_is_read_by_position(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"0123456789")
    monkeypatch.setattr(mapped, "is_network", lambda path: True)
    monkeypatch.setattr(mmap, "mmap", None)
    assert gather(MappedFiles([tmp_path / "a"], [10]), [(0, 3)], 4) == [b"3456"]


def test_maps_too_far_apart_for_one_view_are_read_one_by_one(files, monkeypatch):
    content = [path.read_bytes() for path in files.paths]
    gather(files, [(0, 0)], 1)
    if hasattr(files._opened, "_span"):
        files._opened._span = 2**62
    places = [(2, 7), (0, 1), (1, 0)]
    assert gather(files, places, 64) == [content[file][at : at + 64] for file, at in places]


def test_more_files_than_descriptors_allowed_raises_the_limit(tmp_path, by_map):
    def many():
        paths = [tmp_path / str(number) for number in range(80)]
        for path in paths:
            path.write_bytes(path.name.encode().ljust(4))
        used = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, used + 200))
        files = MappedFiles(paths, [4] * 80, mapped=by_map)
        assert gather(files, [(79, 0), (0, 0)], 4) == [b"79  ", b"0   "]
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 90, used + 90))
        with pytest.raises(DataError, match=r"allow more open files \(ulimit -n\)"):
            gather(MappedFiles(paths, [4] * 80, mapped=by_map), [(0, 0)], 4)

    assert in_child(many) == "fine"


class TestAnnouncing:
    """Where a read had to wait for the disk, the next ones say beforehand what they will touch."""

    @pytest.fixture
    def announced(self, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(bytes(range(200)) * 100)
        seen = []
        monkeypatch.setattr(mapped._Maps, "announce", lambda self, *place: seen.append(place))
        self.files = MappedFiles([tmp_path / "a"], [20_000], mapped=True)
        gather(self.files, [(0, 0)], 10)
        self.faults = iter([5, 5, 5, 7, *[9] * 10_000])
        monkeypatch.setattr(mapped, "_waiting_faults", lambda: next(self.faults))
        return seen

    def test_only_after_a_wait_and_only_for_a_while(self, announced):
        gather(self.files, [(0, 20)], 10)
        gather(self.files, [(0, 30)], 10)
        assert announced == []
        for number in range(mapped._ANNOUNCED + 5):
            assert gather(self.files, [(0, 400), (0, 7)], 10)[1] == bytes(range(7, 17))
            assert len(announced) == 2 * min(number + 1, mapped._ANNOUNCED)
        assert announced[:2] == [(0, 400, 10), (0, 7, 10)]


def test_announcing_takes_any_place(files):
    gather(files, [(0, 0)], 1)
    for file, size in enumerate(files.sizes):
        for offset, length in ((0, 1), (size - 1, 1), (0, size), (min(4097, size - 3), 3)):
            files._opened.announce(file, offset, length)


def test_what_a_file_still_has_to_be_fetched_for_is_counted(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(2**20))
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    files = MappedFiles([path], [2**20], mapped=True)
    before = mapped._waiting_faults()
    gather(files, [(0, 2**19)], 2**18)
    if mapped._waiting_faults() == before:
        pytest.skip("this file system keeps everything in memory")
    assert files._opened._announced == mapped._ANNOUNCED
