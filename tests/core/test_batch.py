"""Views joined into a batch."""

from __future__ import annotations

import torch

from spectrain.core.batch import Batch, everywhere, stack_views
from spectrain.core.targets import ClassLabel


def view(valid=None, count=3):
    image = torch.arange(float(count * 4)).reshape(count, 1, 2, 2)
    whole = everywhere(image.shape, image.device)
    index = torch.arange(count) + 5
    return Batch(image, whole if valid is None else valid, ClassLabel(index % 2), index, all_valid=valid is None)


def test_views_are_joined_view_major():
    joined = stack_views([view(), view()])
    assert joined.views == 2
    assert joined.index.tolist() == [5, 6, 7, 5, 6, 7]
    assert joined.target.y.tolist() == [1, 0, 1, 1, 0, 1]
    assert joined.all_valid


def test_a_view_without_a_valid_pixel_is_padding():
    one, other = torch.ones(3, 1, 2, 2, dtype=torch.bool), torch.ones(3, 1, 2, 2, dtype=torch.bool)
    one[1] = False
    other[2, 0, 0] = False
    joined = stack_views([view(one), view(other)])
    assert joined.index.tolist() == [5, -1, 7, 5, 6, 7]
    assert joined.real.tolist() == [True, False, True, True, True, True]


def test_a_pixel_counts_where_its_row_is_real_and_any_band_of_it_is_valid():
    valid = torch.rand(3, 2, 4, 5) < 0.5
    image, index = torch.zeros(3, 2, 4, 5), torch.tensor([4, -1, 0])
    batch = Batch(image, valid, ClassLabel(index), index, all_valid=False)
    for row in range(3):
        for y in range(4):
            for x in range(5):
                assert batch.counted[row, y, x] == (row != 1 and bool(valid[row, :, y, x].any()))
    whole = Batch(image, everywhere(image.shape, image.device), ClassLabel(index), index, all_valid=True)
    assert whole.counted.shape == (3, 4, 5) and whole.counted.all((1, 2)).tolist() == [True, False, True]
