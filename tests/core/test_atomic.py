from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import subprocess
import sys
import textwrap
import threading

import pytest

from spectrain.core.atomic import append, atomic_link, atomic_write, remove_leftovers
from spectrain.core.errors import RunError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("content", [b"new", "new", memoryview(b"new"), lambda file: file.write(b"new")])
def test_writes_bytes_text_or_what_a_function_writes(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(b"something longer that was there before")
    atomic_write(path, content)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_the_file_has_the_rights_that_the_user_asked_for(tmp_path):
    old = os.umask(0o027)
    try:
        atomic_write(tmp_path / "file", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_function_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def half(file):
        file.write(b"half")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        atomic_write(path, half)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_clear_error_and_nothing_is_half_written(tmp_path, monkeypatch, call):
    path = tmp_path / "last.pt"
    path.write_text("old")
    monkeypatch.setattr(os, call, no_space)
    with pytest.raises(RunError) as caught:
        atomic_write(path, b"new")
    assert "disk is full" in str(caught.value)
    assert str(path) in str(caught.value)
    assert "--resume" in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["last.pt"]


def test_a_full_disk_is_recognised_behind_a_librarys_own_error(tmp_path, monkeypatch):
    def library(file):
        try:
            file.write(b"x")
            file.flush()
        except OSError:
            raise RuntimeError("unexpected position 64 vs 0") from None

    class FullDisk(io.FileIO):
        def write(self, data, /):
            no_space()

    monkeypatch.setattr("spectrain.core.atomic.io.FileIO", FullDisk)
    with pytest.raises(RunError, match="disk is full"):
        atomic_write(tmp_path / "file", library)
    assert names(tmp_path) == []


def test_other_failures_say_what_to_do(tmp_path):
    with pytest.raises(RunError, match="cannot be written: No such file or directory"):
        atomic_write(tmp_path / "missing" / "file", b"x")


def test_append_adds_lines(tmp_path):
    append(tmp_path / "log", "one\n")
    append(tmp_path / "log", "two\n", sync=True)
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_append_to_a_full_disk_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch\n1\n")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(RunError, match="disk is full"):
        append(path, "2\n", sync=True)
    assert path.read_text() == "epoch\n1\n"


def test_leftovers_of_a_killed_process_go_and_other_files_stay(tmp_path):
    (tmp_path / ".last.pt.12-ab.tmp").write_text("half")
    (tmp_path / "last.pt").write_text("whole")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["last.pt"]


def test_readers_see_whole_files_while_two_threads_write(tmp_path):
    path = tmp_path / "file"
    atomic_write(path, b"a" * 1000)
    threads = [
        threading.Thread(target=lambda c=c: [atomic_write(path, c * 1000) for _ in range(20)]) for c in (b"a", b"b")
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert path.read_bytes() in (b"a" * 1000, b"b" * 1000)
    assert names(tmp_path) == ["file"]


def test_a_really_full_disk(tmp_path):
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("needs Linux and unshare to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = textwrap.dedent(f"""
        from spectrain.core.errors import RunError
        from spectrain.core.atomic import append, atomic_write
        import os
        atomic_write({str(disk / "last.pt")!r}, b"old")
        append({str(disk / "metrics.csv")!r}, "1\\n")
        for write in (lambda: atomic_write({str(disk / "last.pt")!r}, b"x" * 200_000),
                      lambda: append({str(disk / "metrics.csv")!r}, "2" * 200_000)):
            try:
                write()
            except RunError as error:
                print(error.what)
        print(sorted(os.listdir({str(disk)!r})), open({str(disk / "last.pt")!r}).read(),
              open({str(disk / "metrics.csv")!r}).read().strip())
    """)
    mount = f"mount -t tmpfs -o size=64k none {disk} && exec {sys.executable} -"
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "not permitted" in done.stderr or "denied" in done.stderr:
        pytest.skip(f"mounting a small disk is not allowed here: {done.stderr.strip()}")
    assert done.stdout.splitlines() == ["the disk is full", "the disk is full", "['last.pt', 'metrics.csv'] old 1"]


def test_a_second_name_costs_nothing_and_outlives_a_new_first(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    atomic_write(one, "whole")
    atomic_write(two, "older")
    for _ in range(2):  # the second time both are one file already
        assert atomic_link(two, one)
        assert two.samefile(one)
        assert names(tmp_path) == ["one", "two"]
    atomic_write(one, "newer")
    assert two.read_text() == "whole"


def test_without_links_nothing_changes_and_it_is_said(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    atomic_write(tmp_path / "one", "whole")
    atomic_write(tmp_path / "two", "older")
    monkeypatch.setattr(os, "link", no_links)
    assert not atomic_link(tmp_path / "two", tmp_path / "one")
    assert (tmp_path / "two").read_text() == "older"
    assert names(tmp_path) == ["one", "two"]
