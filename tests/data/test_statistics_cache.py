"""Statistics are kept between trainings as long as nothing they depend on changed, and never in the way."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from memory_patches import MemoryPatches

from spectrain.config.schema import DatasetOptions
from spectrain.data import statistics_cache
from spectrain.data.opening import open_patches
from spectrain.data.statistics_cache import cache_folder, kept_statistics

OPTIONS = DatasetOptions()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SPECTRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def passes(monkeypatch) -> list:
    """The split of each pass over data."""
    done = []
    original = statistics_cache.patches_statistics

    def counted(patches, values):
        done.append(patches.split)
        return original(patches, values)

    monkeypatch.setattr(statistics_cache, "patches_statistics", counted)
    return done


@pytest.fixture
def data(tmp_path) -> Path:
    """More patches than a fingerprint looks at."""
    path = tmp_path / "images.h5"
    image = np.random.default_rng(0).random((200, 2, 4, 4), dtype=np.float32) + 1
    image[0, :, 0, 0] = 1.5
    with h5py.File(path, "w") as file:
        file["train"], file["valid"] = image, image + 1
    return path


def statistics(path, options=OPTIONS, split="train"):
    return kept_statistics(open_patches(path, split, options), options)


def test_the_second_start_reads_what_the_first_kept(cache, passes, data):
    first = statistics(data)
    assert passes == ["train"]
    assert statistics(data) == first
    assert passes == ["train"]
    assert [file.suffix for file in cache.rglob("*") if file.is_file()] == [".json"]
    assert sorted(file.name for file in data.parent.iterdir()) == ["cache", "images.h5"]


def test_an_edit_that_the_fingerprint_does_not_see_is_seen(cache, passes, data):
    before, fingerprint = statistics(data), open_patches(data).fingerprint()
    with h5py.File(data, "r+") as file:
        file["train"][1] = np.nan
    os.utime(data, ns=(10**18, 10**18))
    assert open_patches(data).fingerprint() == fingerprint
    found = statistics(data)
    assert len(passes) == 2
    assert before.all_valid and found.missing == (16, 16)


@pytest.mark.parametrize(
    "changed",
    [{"transform": "log10"}, {"nodata": 1.5}, {"scale": 2.0}, {"wavelengths": [450.0, 900.0]}],
    ids=lambda changed: next(iter(changed)),
)
def test_options_that_change_values_take_them_anew(cache, passes, data, changed):
    before = statistics(data)
    options = replace(OPTIONS, **changed)
    found = statistics(data, options)
    assert len(passes) == 2
    assert "wavelengths" in changed or found != before
    assert statistics(data, options) == found
    assert len(passes) == 2


def test_splits_and_threads_are_kept_apart(cache, passes, data, monkeypatch):
    assert statistics(data).mean[0] + 1 == pytest.approx(statistics(data, split="valid").mean[0])
    monkeypatch.setattr(statistics_cache.torch, "get_num_threads", lambda: 7)
    statistics(data)
    assert passes == ["train", "valid", "train"]


def test_as_many_rows_of_other_places_are_kept_apart(cache, passes, data, tmp_path):
    ids = open_patches(data).metadata()["patch_id"].astype(str)
    for part in (range(100), range(100, 200)):
        (tmp_path / "splits.json").write_text(
            json.dumps(
                {"splits": {"train": [ids[row] for row in part]}, "format": {"name": "spectrain.splits", "version": 1}}
            )
        )
        statistics(data, replace(OPTIONS, splits=str(tmp_path / "splits.json")))
    assert len(passes) == 2


def half(text):
    return text[: len(text) // 2]


def another_number(text):
    record = json.loads(text)
    record["statistics"]["mean"][0] += 1
    return json.dumps(record)


def older(text):
    return text.replace('"version": 1', '"version": 0')


@pytest.mark.parametrize(
    "damage", [half, another_number, older, lambda text: "[1]", lambda text: "", lambda text: "\0"]
)
def test_a_damaged_file_is_as_none_and_is_mended(cache, passes, data, damage):
    first = statistics(data)
    (file,) = (file for file in cache.rglob("*.json"))
    whole = file.read_text()
    file.write_text(damage(whole))
    assert statistics(data) == first
    assert len(passes) == 2
    assert file.read_text() == whole


def test_a_folder_that_cannot_be_written_is_no_fault(cache, passes, data, caplog):
    cache.write_text("a file where the folder should be")
    with caplog.at_level(logging.DEBUG, logger="spectrain"):
        assert statistics(data) == statistics(data)
    assert len(passes) == 2
    assert {record.levelno for record in caplog.records if "not kept" in record.message} == {logging.DEBUG}


def test_what_is_written_during_the_pass_is_not_kept(cache, data, monkeypatch):
    original = statistics_cache.patches_statistics

    def disturbed(patches, values):
        found = original(patches, values)
        os.utime(data, ns=(10**18, 10**18))
        return found

    monkeypatch.setattr(statistics_cache, "patches_statistics", disturbed)
    statistics(data)
    assert not list(cache.rglob("*.json"))


def test_patches_without_files_are_never_kept(cache, passes):
    patches = MemoryPatches(np.ones((3, 1, 2, 2), np.float32))
    kept_statistics(patches, OPTIONS)
    kept_statistics(patches, OPTIONS)
    assert len(passes) == 2 and not cache.exists()


def test_the_folder_is_the_users(monkeypatch, tmp_path, passes, data):
    monkeypatch.delenv("SPECTRAIN_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "spectrain"
    for nothing in ("", "relative/place"):
        monkeypatch.setenv("XDG_CACHE_HOME", nothing)
        assert cache_folder() == tmp_path / "home" / ".cache" / "spectrain"
    monkeypatch.setenv("SPECTRAIN_CACHE", "")
    assert cache_folder() is None
    assert statistics(data) == statistics(data)
    assert len(passes) == 2
    assert not (tmp_path / "home").exists()
