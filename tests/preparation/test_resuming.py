"""Killed at any moment, or done by several processes or machines: the same bytes in the end."""

from __future__ import annotations

import hashlib
import os
import signal
import time

import numpy as np
import pandas as pd
import pytest
import rasterio.warp
from warm_processes import Command

from spectrain.preparation import prepare

WORDS = [
    "train_data_dir=out", "images=[a=scenes_2019/{scene}.tif,b=scenes_2020/{scene}.tif]", "labels=mask/{scene}.tif",
    "patch_size=48", "overlap=8", "test_val_split=0.2", "test_split=0.1", "bands=[a_B04,b_B08,b_ndvi]",
]  # fmt: skip


def start(folder, data, *words, base=WORDS):
    folder.mkdir(exist_ok=True)
    words = ["prepare", "scenes", f"data_dir={data}", *base, *words]
    return Command(words, cwd=folder, env={**os.environ, "COLUMNS": "99"})


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
    output = "".join(process.communicate())
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
        output = "".join(process.communicate())
        killed += process.returncode == -signal.SIGKILL
        if number == 0:
            assert process.returncode == 130 and "give the same command again" in output
        if number < 2:
            assert 3 <= parts(tmp_path) < SCENES
    assert killed >= 1
    process = start(tmp_path, data)
    output = "".join(process.communicate())
    assert process.returncode == 0, output
    assert f"of {SCENES} scenes are there already" in output or "nothing to do" in output
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert digest(tmp_path / "out") == whole


def test_several_processes_write_the_same_bytes(whole, data, tmp_path):
    process = start(tmp_path, data, "--workers", "2")
    output = "".join(process.communicate())
    assert process.returncode == 0, output
    found = digest(tmp_path / "out")
    assert found.pop("config.toml") != (expected := dict(whole)).pop("config.toml")  # it says workers = 2
    assert found == expected


@pytest.mark.slow
def test_the_workers_of_a_scheduler_write_the_same_bytes(whole, data, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
        prepare("scenes", None, [f"data_dir={data}", *WORDS, f"scheduler={cluster.scheduler_address}"])
    found = digest(tmp_path / "out")
    assert {name: value for name, value in found.items() if name != "config.toml"} == {
        name: value for name, value in whole.items() if name != "config.toml"
    }


POINTS = [
    "train_data_dir=out", "images=[a=scenes_2019/{scene}.tif]", "labels=points", "points=shots.csv", "points_value=v",
    "points_filter=good == 1", "points_diameter=15", "points_merge=median", "patch_size=48", "overlap=8",
    "test_val_split=0.2", "bands=[a_B04,a_B08]",
]  # fmt: skip


@pytest.fixture(scope="module")
def pointed(shared_data, tmp_path_factory):
    """A few sites with made points on them."""
    folder, own = tmp_path_factory.mktemp("pointed"), shared_data / "s2_barkbeetle" / "scenes_2019"
    (folder / "scenes_2019").mkdir()
    draw, tables = np.random.default_rng(0), []
    for site in sorted(own.iterdir())[::12][:12]:
        (folder / "scenes_2019" / site.name).symlink_to(site)
        with rasterio.open(site) as file:
            place = rasterio.warp.transform_bounds(file.crs, 4326, *file.bounds)
        tables.append(pd.DataFrame({"lon": draw.uniform(*place[::2], 4000), "lat": draw.uniform(*place[1::2], 4000)}))
    table = pd.concat(tables, ignore_index=True)
    table["v"], table["good"] = draw.normal(size=len(table)), draw.integers(0, 40, len(table))
    table.sample(frac=1, random_state=0).to_csv(folder / "shots.csv", index=False)
    return folder


@pytest.mark.slow  # as scenes above
def test_points_killed_and_started_again_end_with_the_same_bytes(pointed, tmp_path):
    whole = start(tmp_path / "whole", pointed, base=POINTS)
    assert whole.wait() == 0, whole.communicate()
    assert (tmp_path / "whole" / "out" / "cross-val.zarr" / "y_index").is_dir()
    place = tmp_path / "again"
    moments = [
        lambda: any((place / "out" / ".parts").glob(".points-*.partial-points")),
        lambda: any((place / "out" / ".parts").glob(".points-*")),
        lambda: parts(place) >= 3,
        lambda: any((place / "out").glob(".cross-val.zarr.partial-*")),
    ]
    killed = 0
    for moment in moments:
        process = start(place, pointed, base=POINTS)
        while process.poll() is None and not moment():
            time.sleep(0.001)
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    assert killed >= 2
    process = start(place, pointed, base=POINTS)
    assert process.wait() == 0, process.communicate()
    assert not [path for path in (place / "out").iterdir() if path.name.startswith(".")]
    assert digest(place / "out") == digest(tmp_path / "whole" / "out")
