"""Which mount a folder lies on, from the kernel's table."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectrain.data.stored import filesystems
from spectrain.data.stored.filesystems import is_network, longest_mount

TABLE = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:40 / /home rw - nfs4 server:/home rw,vers=4.2
24 23 0:41 / /home/me/local rw shared:7 - xfs /dev/sdb rw
25 22 0:42 / /data\040sets rw - fuse.sshfs host: rw
26 22 0:43 / /scratch rw - lustre mds:/scratch rw
27 22 0:44 / /disk rw - fuseblk /dev/sdc rw
28 22 0:45 / /scratch rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/homestead", "ext4"),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/home/me/local/x", "xfs"),
        ("/data sets/a", "fuse.sshfs"),
        ("/scratch/a", "tmpfs"),  # mounted over the one before
        ("/disk/a", "fuseblk"),
    ],
)
def test_the_deepest_mount_above_counts(folder, kind):
    assert longest_mount(TABLE, folder) == kind


def test_an_empty_table_says_nothing():
    assert longest_mount("", "/home") == ""


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("nfs", True),
        ("cifs", True),
        ("lustre", True),
        ("fuse.rclone", True),
        ("fuseblk", False),
        ("ext4", False),
        ("", False),
    ],
)
def test_what_counts_as_network(monkeypatch, kind, network):
    monkeypatch.setattr(filesystems, "_type_of", lambda folder: kind)
    assert is_network(Path("/somewhere/a.h5")) is network


def test_a_system_without_the_table_is_taken_for_local(monkeypatch, tmp_path):
    monkeypatch.setattr(filesystems, "_MOUNTS", tmp_path / "absent")
    filesystems._type_of.cache_clear()
    assert is_network(tmp_path / "a.h5") is False
    filesystems._type_of.cache_clear()


def test_links_are_followed(monkeypatch, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    asked = []
    monkeypatch.setattr(filesystems, "_type_of", lambda folder: asked.append(folder) or "ext4")
    is_network(tmp_path / "link" / "a.h5")
    assert asked == [str((tmp_path / "real").resolve())]
