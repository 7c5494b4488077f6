"""Grids of windows cover what they should, and the parts of an image share no pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.window_grid import column_parts, cut_images, default_window, grid, starts


@given(st.integers(0, 30), st.integers(1, 60), st.integers(1, 30), st.integers(1, 40))
@settings(deadline=None, database=None)
def test_windows_lie_within_and_reach_both_ends(low, length, size, stride):
    found = starts(low, low + length, size, stride)
    assert len(found) == (0 if length < size else 1 + -(-(length - size) // stride))
    if len(found):
        assert found[0] == low and found[-1] == low + length - size
        assert (np.diff(found) > 0).all() and (np.diff(found)[:-1] == stride).all()


def test_the_last_window_is_moved_in():
    assert starts(0, 10, 4, 4).tolist() == [0, 4, 6]
    assert starts(3, 11, 4, 4).tolist() == [3, 7]
    assert starts(0, 4, 4, 1).tolist() == [0]
    assert starts(0, 3, 4, 1).tolist() == []


def covered(places, size, shape):
    times = np.zeros(shape, int)
    for _, row, column in places.tolist():
        times[row : row + size[0], column : column + size[1]] += 1
    return times


@given(
    st.tuples(st.integers(8, 60), st.integers(8, 90)),
    st.integers(1, 20),
    st.integers(1, 25),
    st.floats(0, 0.9),
    st.floats(0, 0.9),
)
@settings(deadline=None, database=None, max_examples=200)
def test_parts_of_an_image_share_no_pixel(shape, window, stride, valid, test):
    options = DatasetOptions(valid_fraction=valid, test_fraction=test)
    parts = column_parts(shape[1], window, options)
    if parts is None:
        least = [max(window, round(share * shape[1])) for share in (valid, test) if share > 0]
        assert shape[1] - sum(least) < window
        return
    assert list(parts) == ["train", *(["valid"] if valid else []), *(["test"] if test else [])]
    if shape[0] < window:
        return
    times = {
        name: covered(grid(0, (0, shape[0]), columns, (window, window), stride), (window, window), shape) > 0
        for name, columns in parts.items()
    }
    assert np.sum(list(times.values()), axis=0).max() == 1
    for name, columns in parts.items():
        assert times[name].any(), name
        if stride <= window:  # and nothing is left out but what fractions of a pixel leave
            assert times[name][:, columns[0] : columns[1]].all()
    if valid:
        left, right = parts["valid"]
        assert times["valid"][:, -1].any() and right == shape[1]
        assert right - left == max(window, round(valid * shape[1]))


def test_windows_of_several_images():
    sides = np.array([[8, 8], [9, 12]])
    cut = cut_images(sides, ["a", "b"], DatasetOptions(window=4, stride=4), np.array([1, 0]))
    assert cut.size == (4, 4) and len(cut.places) == 3 * 3 + 4
    assert (covered(cut.places[cut.places[:, 0] == 1], (4, 4), (9, 12)) >= 1).all()
    assert cut.places[0].tolist() == [1, 0, 0] and cut.places[-1].tolist() == [0, 4, 4]
    assert cut_images(sides[:1], ["a"], DatasetOptions(), np.array([0])).size == (8, 8)
    assert cut_images(sides, ["a", "b"], DatasetOptions(window=4), np.empty(0, np.int64)).places.shape == (0, 3)


def test_sizes_that_do_not_fit_are_named():
    sides = np.array([[8, 8], [9, 12]])
    with pytest.raises(DataError, match=r"several sizes: this one is 9 × 12(.|\n)*where: b(.|\n)*dataset\.window"):
        cut_images(sides, ["a", "b"], DatasetOptions(), np.arange(2))
    with pytest.raises(DataError, match=r"8 × 8 is smaller than the window of 9 × 9(.|\n)*where: a(.|\n)*to 8 or less"):
        cut_images(sides, ["a", "b"], DatasetOptions(window=9), np.arange(2))


@pytest.mark.parametrize(
    ("shape", "side"), [((400, 256), 64), ((255, 400), 32), ((95, 95), 16), ((63, 70), 8), ((8, 9), 8), ((7, 90), None)]
)
def test_a_cube_gets_windows_of_a_side_that_fits(shape, side):
    assert default_window(*shape) == side
