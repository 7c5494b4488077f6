"""Stored numbers become physical ones, and missing stays missing."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from spectrain.core.bands import Band, Bands
from spectrain.core.batch import RawBatch
from spectrain.core.errors import DataError
from spectrain.core.targets import NoTarget
from spectrain.data.values import Values

STORED = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]


def _raw(image, mask=None):
    tensor = torch.from_numpy(np.ascontiguousarray(image))
    mask = None if mask is None else torch.from_numpy(mask)
    return RawBatch(tensor, mask, NoTarget(), torch.arange(len(tensor)))


def _one(value, dtype):
    """Return an image of one band and four pixels; the last is ``value``."""
    return np.array([1, 2, 3, value], dtype=dtype).reshape(1, 1, 2, 2)


@pytest.mark.parametrize("dtype", STORED)
def test_every_stored_type_is_scaled_and_its_nodata_found(dtype):
    nodata = np.iinfo(dtype).max if np.issubdtype(dtype, np.unsignedinteger) else 100
    if dtype == "uint64":
        nodata = 2**63
    batch = Values(Bands([Band("a", scale=0.5, offset=10, nodata=float(nodata))]))(_raw(_one(nodata, dtype)))
    assert batch.image.dtype == torch.float32
    assert batch.valid.flatten().tolist() == [True, True, True, False]
    assert batch.image[batch.valid].tolist() == [10.5, 11, 11.5]
    assert torch.isfinite(batch.image).all()
    assert not batch.all_valid


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_nodata_is_compared_in_the_stored_type(dtype):
    """2**24 and 2**24 + 1 are one number in float32, and two as stored."""
    image = np.array([2**24, 2**24 + 1], dtype=dtype).reshape(1, 1, 1, 2)
    batch = Values(Bands([Band("a", nodata=2**24)]))(_raw(image))
    assert batch.valid.flatten().tolist() == [False, True]


def test_nodata_of_float_data_is_rounded_as_the_data_were():
    image = np.array([-3.4e38, 0.1, 1.0], dtype=np.float32).reshape(1, 1, 1, 3)
    assert Values(Bands([Band("a", nodata=-3.4e38)]))(_raw(image)).valid.flatten().tolist() == [False, True, True]
    assert Values(Bands([Band("a", nodata=0.1)]))(_raw(image)).valid.flatten().tolist() == [True, False, True]


@pytest.mark.parametrize("nodata", [-9999.0, 0.5, 70000.0, float("nan")])
def test_nodata_that_the_type_cannot_hold_matches_nothing(nodata):
    batch = Values(Bands([Band("a", nodata=nodata)]))(_raw(_one(4, "uint16")))
    assert batch.all_valid
    assert batch.image.flatten().tolist() == [1, 2, 3, 4]


def test_nodata_belongs_to_its_band():
    image = np.zeros((1, 3, 1, 2), dtype=np.int16)
    image[0, 1] = 7
    bands = Bands([Band("a", nodata=0), Band("b"), Band("c", nodata=7)])
    valid = Values(bands)(_raw(image)).valid
    assert valid[0, :, 0, 0].tolist() == [False, True, True]


def test_nan_infinity_and_mask_are_missing():
    image = np.array([1, np.nan, np.inf, -np.inf, 5, 6], dtype=np.float32).reshape(1, 1, 2, 3)
    mask = np.array([1, 1, 1, 1, 1, 0], dtype=bool).reshape(1, 1, 2, 3)
    batch = Values(Bands.unnamed(1))(_raw(image, mask))
    assert batch.valid.flatten().tolist() == [True, False, False, False, True, False]
    assert torch.isfinite(batch.image).all()


def test_a_number_beyond_float32_is_missing():
    batch = Values(Bands.unnamed(1))(_raw(_one(1e300, "float64")))
    assert batch.valid.flatten().tolist() == [True, True, True, False]


def test_one_mask_serves_all_bands_and_masks_may_differ():
    image = np.ones((2, 3, 4, 4), dtype=np.uint8)
    one = np.zeros((2, 1, 4, 4), dtype=bool)
    each = np.zeros((2, 3, 4, 4), dtype=bool)
    each[:, 1] = True
    assert Values(Bands.unnamed(3))(_raw(image, one)).valid.shape == (2, 3, 4, 4)
    assert Values(Bands.unnamed(3))(_raw(image, each)).valid.sum() == 2 * 16


def test_integers_without_nodata_are_valid_by_their_type():
    batch = Values(Bands.unnamed(1))(_raw(_one(9, "uint16")))
    assert batch.all_valid
    assert batch.valid.stride() == (0, 0, 0, 0)


def test_promised_validity_costs_nothing():
    image = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    raw = _raw(image)
    batch = Values(Bands.unnamed(3), all_valid=True)(raw)
    assert batch.all_valid
    assert batch.image.data_ptr() == raw.image.data_ptr()
    assert batch.valid.untyped_storage().nbytes() == 1


@pytest.mark.parametrize("transform", ["none", "log10", "reflectance", ["log10", "none", "reflectance"]])
def test_promised_validity_gives_the_same_values(transform):
    image = np.random.default_rng(0).integers(1, 10000, size=(2, 3, 4, 4)).astype(np.uint16)
    bands = Bands([Band("a", scale=0.1), Band("b", offset=4), Band("c")])
    checked = Values(bands, transform)(_raw(image))
    promised = Values(bands, transform, all_valid=True)(_raw(image))
    assert torch.equal(checked.image, promised.image)
    assert checked.valid.all()


def test_the_logarithm_makes_what_is_not_positive_missing():
    image = np.array([[100, 0, -5, 1], [0, 1, 2, 3]], dtype=np.float32).reshape(1, 2, 2, 2)
    batch = Values(Bands.unnamed(2), ["log10", "none"])(_raw(image))
    assert batch.valid[0, 0].flatten().tolist() == [True, False, False, True]
    assert batch.valid[0, 1].all()
    assert batch.image[0, 0, 0, 0] == 2
    assert batch.image[0, 1].flatten().tolist() == [0, 1, 2, 3]
    assert torch.isfinite(batch.image).all()


def test_the_logarithm_is_of_the_physical_value():
    bands = Bands([Band("a", scale=0.1, offset=0.7, nodata=0)])
    batch = Values(bands, "log10")(_raw(np.array([0, 3, 93], dtype=np.uint8).reshape(1, 1, 1, 3)))
    assert batch.valid.flatten().tolist() == [False, True, True]
    assert batch.image[batch.valid].tolist() == pytest.approx([0.0, 1.0], abs=1e-6)


def test_reflectance_leaves_a_scale_of_its_own_alone():
    bands = Bands([Band("stored as 10 000"), Band("scaled", scale=2e-5, offset=-0.2)])
    image = np.full((1, 2, 1, 1), 5000, dtype=np.uint16)
    assert Values(bands, "reflectance")(_raw(image)).image.flatten().tolist() == pytest.approx([0.5, -0.1])


def test_no_gradient_breaks_at_a_hole():
    image = torch.tensor([1.0, float("nan"), 3.0]).reshape(1, 1, 1, 3).requires_grad_()
    values, valid = Values(Bands([Band("a", scale=2.0)]), "log10").measure(image, None)
    values[valid].sum().backward()
    assert torch.isfinite(image.grad).all()


def test_the_stored_tensor_is_never_written_to():
    image = np.array([1, np.nan, 3, 4], dtype=np.float32).reshape(1, 1, 2, 2)
    raw = _raw(image.copy())
    Values(Bands([Band("a", scale=3.0, nodata=4.0)]), "log10")(raw)
    np.testing.assert_array_equal(raw.image.numpy(), image)


@pytest.mark.parametrize(
    ("transform", "message"),
    [("log", "did you mean 'log10'"), ("cube", "known are none"), (["none"], "1 transforms for 2 bands")],
)
def test_a_transform_that_there_is_not(transform, message):
    with pytest.raises(DataError, match=message):
        Values(Bands.unnamed(2), transform)


def test_bands_and_channels_must_agree():
    with pytest.raises(DataError, match="1 channels, but 2 bands"):
        Values(Bands.unnamed(2))(_raw(_one(1, "uint8")))


def test_against_numpy_on_ocean_colour(shared_data):
    with h5py.File(shared_data / "ocean_colour" / "olci_sns_64px.h5") as file:
        image = file["valid"][:]
    batch = Values(Bands.unnamed(3), "log10")(_raw(image))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.log10(image)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(batch.valid.numpy(), finite)
    assert 0 < finite.mean() < 1
    np.testing.assert_allclose(batch.image.numpy()[finite], expected[finite], rtol=1e-6, atol=1e-6)
