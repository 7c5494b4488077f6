"""What the fingerprint of patches depends on."""

from __future__ import annotations

import numpy as np
import pytest
from memory_patches import MemoryPatches

from spectrain.core.bands import Band, Bands
from spectrain.data.fingerprint import content_fingerprint


def patches(**changes):
    parts = {"image": np.arange(200 * 2 * 3 * 3, dtype="u2").reshape(200, 2, 3, 3), "labels": np.arange(200)} | changes
    return MemoryPatches(**parts)


def test_equal_content_is_equal_whatever_the_split_is_called():
    assert content_fingerprint(patches()) == content_fingerprint(patches(split="other"))
    assert len(content_fingerprint(patches())) == 32


@pytest.mark.parametrize(
    "changes",
    [
        {"image": patches().image[:199], "labels": np.arange(199)},
        {"image": patches().image.astype("i2")},
        {"image": patches().image.reshape(200, 2, 9, 1)},
        {"labels": None},
        {"labels": np.arange(200) + 1},
        {"mask": np.ones((200, 1, 3, 3), bool)},
        {"bands": Bands([Band("a"), Band("b")])},
        {"bands": Bands([Band("band_1", scale=2.0), Band("band_2")])},
    ],
)
def test_what_makes_a_difference(changes):
    assert content_fingerprint(patches(**changes)) != content_fingerprint(patches())


@pytest.mark.parametrize("place", [0, 199])
def test_the_first_and_the_last_patch_are_among_those_looked_at(place):
    image = patches().image.copy()
    image[place, 1, 2, 2] += 1
    assert content_fingerprint(patches(image=image)) != content_fingerprint(patches())


def test_no_more_than_64_patches_are_read():
    class Watched(MemoryPatches):
        seen = 0

        def read(self, index):
            self.seen += len(index)
            return super().read(index)

    many = Watched(np.zeros((1000, 1, 2, 2)))
    content_fingerprint(many)
    assert many.seen == 64
    few = Watched(np.zeros((5, 1, 2, 2)))
    content_fingerprint(few)
    assert few.seen == 5


def test_something_else_may_count():
    assert content_fingerprint(patches(), also="x") != content_fingerprint(patches(), also="y")
