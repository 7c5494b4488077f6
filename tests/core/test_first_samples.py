"""What is kept of a batch for a picture."""

from __future__ import annotations

import pytest
import torch

from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.first_samples import first_samples
from spectrain.core.reconstruction import Reconstruction
from spectrain.core.targets import ClassLabel, DenseValues, NoTarget


def batch_of(samples=5, views=1, whole=False, target=None):
    image = torch.rand(views * samples, 3, 4, 6)
    valid = everywhere(image.shape, image.device) if whole else image > 0.2
    index = torch.arange(samples).repeat(views)
    return Batch(image, valid, target or NoTarget(), index, all_valid=whole, views=views, dataset=1)


def bytes_of(*tensors):
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
def test_the_first_samples_with_all_their_views(count, views, whole):
    batch = batch_of(views=views, whole=whole, target=ClassLabel(torch.arange(5 * views)))
    output, few = first_samples(torch.rand(5 * views, 7), batch, count)
    rows = [sample + 5 * view for view in range(views) for sample in range(min(count, 5))]
    for name in ("image", "valid", "index"):
        assert torch.equal(getattr(few, name), getattr(batch, name)[rows])
    assert few.target.y.tolist() == rows
    assert len(output) == len(rows)
    assert (few.views, few.dataset, few.all_valid) == (views, 1, whole)
    if count < 5:
        assert bytes_of(few.image) == len(rows) * 3 * 4 * 6 * 4  # nothing of the rest
    if whole:
        assert bytes_of(few.valid) == 1


def test_reconstructions_lose_the_same_rows():
    batch = batch_of()
    masked = torch.rand(batch.image.shape) < 0.5
    made = Reconstruction(2 * batch.image, batch.image, batch.valid, masked, 3.0, Bands.unnamed(3))
    output, few = first_samples(made, batch, 2)
    for name in ("prediction", "target", "valid", "masked"):
        assert torch.equal(getattr(output, name), getattr(made, name)[:2])
        assert getattr(output, name).untyped_storage().nbytes() < getattr(made, name).untyped_storage().nbytes()
    assert torch.equal(few.image, output.target) and output.data_range == 3.0
    bare = first_samples(Reconstruction(batch.image, batch.image, None, None, 1.0, Bands.unnamed(3)), batch, 1)[0]
    assert bare.valid is None and bare.masked is None


@pytest.mark.parametrize("output", [None, torch.tensor(1.0), torch.rand(3, 2), {"a": 1}])
def test_what_has_no_rows_to_tell_stays_whole(output):
    batch = batch_of()
    same, whole = first_samples(output, batch, 2)
    assert same is output and whole is batch
    image = torch.rand(5, 1, 2, 2)
    of_pixels = batch_of(target=DenseValues(image, image > 0))
    assert first_samples(torch.rand(5, 2), of_pixels, 2)[1] is of_pixels
