"""Some of the patches of a set."""

from __future__ import annotations

import numpy as np
import pytest
from memory_patches import MemoryPatches

from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.data.subset import Subset


@pytest.fixture
def whole():
    image = np.arange(10 * 4).reshape(10, 1, 2, 2)
    return MemoryPatches(image, mask=image > 9, labels=np.arange(10))


def test_reads_through_its_rows(whole):
    part = Subset(whole, "part", np.array([7, 2, 5]))
    assert part.shape == (3, 1, 2, 2) and part.split == "part"
    rows = part.read(np.array([2, 0, 2]))
    assert rows.labels.tolist() == [5, 7, 5]
    assert np.array_equal(rows.image, whole.image[[5, 7, 5]]) and np.array_equal(rows.mask, whole.mask[[5, 7, 5]])
    assert part.metadata()["patch_id"].tolist() == part.ids() == ["p7", "p2", "p5"]


@pytest.mark.parametrize("index", [[3], [-1]])
def test_an_index_beyond_the_part_is_refused(whole, index):
    with pytest.raises(IndexError, match="there are 3"):
        Subset(whole, "part", np.array([7, 2, 5])).read(np.array(index))


def test_checks_the_whole(whole):
    Subset(whole, "part", np.array([1])).check()
    assert whole.checks == 1


def test_by_ids_in_the_order_of_the_whole(whole):
    part = Subset.of_ids(whole, "part", ["p8", "p1"], "splits.json")
    assert part.rows.tolist() == [1, 8]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "the split 'part' has no patches"),
        (["p1", "x", "y"], r"2 of 3 patches of the split 'part' are not in the data, as 'x'"),
        (["p1", "p1"], "names a patch twice"),
    ],
)
def test_ids_that_cannot_be_are_refused(whole, ids, message):
    with pytest.raises(DataError, match=message):
        Subset.of_ids(whole, "part", ids, "splits.json")


def test_rows_outside_the_whole_are_refused(whole):
    with pytest.raises(IndexError, match="no patch 10"):
        Subset(whole, "part", np.array([10]))


def test_the_fingerprint_follows_the_rows(whole):
    one = Subset(whole, "a", np.array([1, 2])).fingerprint()
    assert one == Subset(whole, "b", np.array([1, 2])).fingerprint()
    assert one != Subset(whole, "a", np.array([1, 3])).fingerprint()


def test_patches_to_look_at_are_in_the_unit_of_their_bands_and_nan_where_missing():
    stored = np.array([100, -1, 300, 400], np.int16).reshape(2, 1, 1, 2)
    patches = MemoryPatches(stored, bands=Bands([Band("t", unit="degC", scale=0.01, offset=2.0, nodata=-1)]))
    seen = patches.physical([1, 0])
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen[:, 0, 0], [[5.0, 6.0], [3.0, np.nan]])
    whole = MemoryPatches(stored, mask=np.array([1, 1, 0, 1], bool).reshape(2, 1, 1, 2)).physical([1])
    np.testing.assert_array_equal(whole[0, 0, 0], [np.nan, 400.0])
