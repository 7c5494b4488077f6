"""RGB pictures beside cubes: which part of them a window shows, where they are looked for, and when they are read."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
from cube_files import write_cube, write_list
from PIL import Image

from spectrain.config.schema import DatasetOptions
from spectrain.data.band_choice import BandChoice
from spectrain.data.mixture import Mixture
from spectrain.data.opening import open_patches
from spectrain.data.subset import Subset

SIDE = 32


def cube(seed):
    return np.random.default_rng(seed).integers(1, 255, (4, SIDE, SIDE)).astype("uint8")


def png(path, image, times=1):
    """Write the first three bands of a cube as a picture, each pixel ``times`` as large."""
    colours = np.moveaxis(image[:3], 0, -1).repeat(times, axis=0).repeat(times, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours).save(path)
    return colours


@pytest.fixture
def listed(tmp_path):
    """Three cubes with a picture of their own size, one of twice that (a Windows path), and none."""
    for number in range(3):
        write_cube(tmp_path / "cubes" / f"{number}.h5", cube(number))
    png(tmp_path / "rgb" / "0.png", cube(0))
    png(tmp_path / "rgb" / "1.png", cube(1), times=2)
    files = ["rgb/0.png", "rgb\\1.png", ""]
    rows = [{"hs_file": f"cubes/{number}.h5", "split": "train", "rgb_file": file} for number, file in enumerate(files)]
    return write_list(tmp_path / "list.csv", rows)


def test_whole_images_have_whole_pictures(listed):
    patches = open_patches(listed)
    np.testing.assert_array_equal(patches.picture(0), np.moveaxis(cube(0)[:3], 0, -1))
    assert patches.picture(1).shape == (64, 64, 3)
    assert patches.picture(2) is None


def test_a_window_shows_its_part_of_the_picture(listed):
    patches = open_patches(listed, "train", DatasetOptions(window=8))
    assert len(patches) == 48
    for number in (0, 5, 15, 16, 27, 31):
        window = np.moveaxis(patches.read(np.array([number])).image[0, :3], 0, -1)
        times = 1 if number < 16 else 2
        np.testing.assert_array_equal(patches.picture(number), window.repeat(times, axis=0).repeat(times, axis=1))


def test_parts_of_a_set_and_mixtures_pass_the_picture_on(listed):
    patches = open_patches(listed)
    first, second = patches.picture(0), patches.picture(1)
    part = Subset(patches, "part", np.array([1, 0]))
    np.testing.assert_array_equal(part.picture(1), first)
    np.testing.assert_array_equal(Mixture([patches, part]).picture(3), second)
    np.testing.assert_array_equal(BandChoice(patches, patches.bands[:2], [0, 1]).picture(1), second)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(patches)).picture(1), second)


def test_what_cannot_be_read_is_told_once(listed, caplog):
    (listed.parent / "rgb" / "0.png").unlink()
    (listed.parent / "rgb" / "1.png").write_bytes(b"no picture")
    patches = open_patches(listed)
    with caplog.at_level(logging.WARNING):
        assert [patches.picture(number) for number in (0, 1, 0, 2)] == [None] * 4
    assert len(caplog.records) == 1 and "0.png" in caplog.text


def test_pictures_are_not_looked_for_where_nobody_wants_them(listed):
    assert open_patches(listed, "train", DatasetOptions(load_rgb=False)).picture(0) is None


def test_reading_patches_reads_no_picture(listed, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("a picture was read"))
    patches = open_patches(listed)
    patches.read(np.arange(3))
    assert patches.metadata()["rgb_file"].tolist() == ["rgb/0.png", "rgb\\1.png", ""]
