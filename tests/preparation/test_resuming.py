"""Killed at any moment, or done by several processes or machines: the same bytes in the end."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from spectrain.preparation import prepare

WORDS = [
    "train_data_dir=out", "images=[a=scenes_2019/{scene}.tif,b=scenes_2020/{scene}.tif]", "labels=mask/{scene}.tif",
    "patch_size=48", "overlap=8", "test_val_split=0.2", "test_split=0.1", "bands=[a_B04,b_B08,b_ndvi]",
]  # fmt: skip


def interruptible():
    """Undo in a child what it inherits where the tests run in the background of a shell: SIGINT is ignored there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder, data, *words):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "spectrain", "prepare", "scenes", f"data_dir={data}", *WORDS, *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "99"},
        preexec_fn=interruptible,
    )


def digest(folder):
    """Return a hash of each file below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


SCENES = 40


@pytest.fixture(scope="module")
def data(shared_data, tmp_path_factory):
    """Every third or so of the sites, in a folder of links."""
    folder, own = tmp_path_factory.mktemp("sites"), shared_data / "s2_barkbeetle"
    sites = sorted(path.name for path in (own / "mask").iterdir())[::3][:SCENES]
    for name in ("scenes_2019", "scenes_2020", "mask"):
        (folder / name).mkdir()
        for site in sites:
            (folder / name / site).symlink_to(own / name / site)
    return folder


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder, data)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return digest(folder / "out")


def parts(folder):
    return len(list((folder / "out" / ".parts").glob("[!.]*")))


def test_killed_and_started_again_it_ends_with_the_same_bytes(whole, data, tmp_path):
    moments = [
        lambda: parts(tmp_path) >= 3,
        lambda: parts(tmp_path) >= 9,
        lambda: (
            any((tmp_path / "out").glob(".cross-val.zarr.partial-*")) or (tmp_path / "out" / "cross-val.zarr").exists()
        ),
    ]
    killed = 0
    for number, moment in enumerate(moments):
        process = start(tmp_path, data)
        while process.poll() is None and not moment():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL if number else signal.SIGINT)
        output = process.communicate()[0]
        killed += process.returncode == -signal.SIGKILL
        if number == 0:
            assert process.returncode == 130 and "give the same command again" in output
        if number < 2:
            assert 3 <= parts(tmp_path) < SCENES
    assert killed >= 1
    process = start(tmp_path, data)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert f"of {SCENES} scenes are there already" in output or "nothing to do" in output
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert digest(tmp_path / "out") == whole


def test_several_processes_write_the_same_bytes(whole, data, tmp_path):
    process = start(tmp_path, data, "--workers", "2")
    output = process.communicate()[0]
    assert process.returncode == 0, output
    found = digest(tmp_path / "out")
    assert found.pop("config.toml") != (expected := dict(whole)).pop("config.toml")  # it says workers = 2
    assert found == expected


def test_the_workers_of_a_scheduler_write_the_same_bytes(whole, data, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
        prepare("scenes", None, [f"data_dir={data}", *WORDS, f"scheduler={cluster.scheduler_address}"])
    found = digest(tmp_path / "out")
    assert {name: value for name, value in found.items() if name != "config.toml"} == {
        name: value for name, value in whole.items() if name != "config.toml"
    }
