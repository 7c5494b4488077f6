from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

import spectrain.augment.warp as module
from spectrain.augment.geometry import Geometry, Parameters, Ranges, compose
from spectrain.augment.warp import AffineWarp
from spectrain.core.batch import everywhere
from spectrain.core.errors import DataError
from spectrain.core.random import Key
from spectrain.core.targets import ClassMap, DenseValues, SparseValues

NAN = float("nan")
MODES = {"reflect": "mirror", "zero": "grid-constant", "inside": "nearest"}
WILD = Ranges(crop=8, jitter=3, shift=(4.0, 6.0), scale=0.3)


def drawn(count: int, size: tuple[int, int], ranges: Ranges = WILD, seed: int = 0) -> Geometry:
    return compose(Parameters.draw(ranges, Key(seed, "augment"), torch.arange(count)), ranges.crop, size)


def images(count: int, bands: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.randn((count, bands, *size), generator=torch.Generator().manual_seed(bands))


def holes(shape: tuple[int, ...], share: float = 0.3) -> torch.Tensor:
    """Validity with a share of holes."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(5)) >= share


def slow(values: torch.Tensor, geometry: Geometry, corners: str, order: int = 1, cval: float = 0.0) -> torch.Tensor:
    """The warp pixel by pixel, in double precision, by another library."""
    height, width = geometry.size
    y, x = np.mgrid[:height, :width].astype(float)
    out = np.empty(values.shape)
    for image, matrix, warped in zip(values.double().numpy(), geometry.matrix.double().numpy(), out, strict=True):
        centred = np.stack((x - (width - 1) / 2, y - (height - 1) / 2, np.ones_like(x)))
        from_x, from_y = np.tensordot(matrix, centred, 1)
        place = (from_y + (height - 1) / 2, from_x + (width - 1) / 2)
        for band, result in zip(image, warped, strict=True):
            map_coordinates(band, place, result, order=order, mode=MODES[corners], cval=cval, prefilter=False)
    return torch.from_numpy(out).float()


@pytest.mark.parametrize("corners", ["reflect", "zero", "inside"])
@pytest.mark.parametrize(("size", "bands"), [((16, 16), 1), ((13, 24), 3), ((24, 13), 2)])
def test_interpolates_as_scipy_does(corners, size, bands):
    values, geometry = images(20, bands, size), drawn(20, size)
    torch.testing.assert_close(
        AffineWarp(geometry, corners).image(values), slow(values, geometry, corners), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("corners", ["reflect", "zero"])
@pytest.mark.parametrize("shared", [True, False])
def test_holes_are_left_out_of_the_weights(corners, shared):
    size = (12, 17)
    values, geometry = images(12, 3, size), drawn(12, size)
    valid = holes((12, 1 if shared else 3, *size)).expand_as(values)
    warped, kept = AffineWarp(geometry, corners).bilinear(torch.where(valid, values, NAN), valid)
    weight = slow(valid.float(), geometry, corners)
    mean = slow(torch.where(valid, values, 0), geometry, corners) / weight
    sure = (weight - 0.5).abs() > 1e-4
    assert torch.equal(kept[sure], (weight >= 0.5)[sure])
    assert 0.3 < kept.float().mean() < 0.9
    torch.testing.assert_close(warped[kept & sure], mean[kept & sure], atol=2e-4, rtol=0)
    assert (warped[~kept] == 0).all()


def test_a_shared_mask_gives_the_same_bits_as_one_for_each_band():
    geometry, values = drawn(6, (16, 16)), images(6, 4, (16, 16))
    mask = holes((6, 1, 16, 16)).expand(6, 4, 16, 16)
    shared, separate = (AffineWarp(geometry, "reflect").image_with_holes(values, m) for m in (mask, mask.clone()))
    assert shared[1].shape == (6, 1, 16, 16)
    assert torch.equal(shared[0], separate[0])
    assert torch.equal(shared[1].expand_as(separate[1]), separate[1])


def test_nothing_from_a_hole_comes_through():
    """NaN, infinity and huge numbers in the holes change no bit of the result."""
    geometry, values, valid = drawn(9, (16, 16)), images(9, 2, (16, 16)), holes((9, 2, 16, 16))
    warp = AffineWarp(geometry, "reflect")
    expected = warp.image_with_holes(torch.where(valid, values, 0), valid)
    for poison in (NAN, float("inf"), -float("inf"), 3e38):
        warped = warp.image_with_holes(torch.where(valid, values, poison), valid)
        assert torch.equal(warped[0], expected[0])
        assert torch.equal(warped[1], expected[1])


def test_an_image_without_a_valid_pixel_has_none_afterwards():
    values = torch.full((2, 1, 8, 8), NAN)
    warped, kept = AffineWarp(drawn(2, (8, 8)), "reflect").bilinear(values, torch.zeros(2, 1, 8, 8, dtype=torch.bool))
    assert not kept.any()
    assert (warped == 0).all()


def test_zero_corners_are_holes_unless_they_count():
    geometry, ones = drawn(30, (16, 16)), torch.ones(30, 1, 16, 16)
    valid = everywhere(ones.shape, ones.device)
    strict, published = AffineWarp(geometry, "zero"), AffineWarp(geometry, "zero", corners_count=True)
    warped, kept = strict.image_with_holes(ones, valid)
    assert strict.makes_holes
    assert not published.makes_holes
    assert 0.1 < 1 - kept.mean() < 0.9
    torch.testing.assert_close(warped[kept.bool()], torch.ones(int(kept.sum())))
    filled, counted = published.image_with_holes(ones, valid)
    assert counted.all()
    torch.testing.assert_close(filled, published.image(ones), atol=1e-6, rtol=0)
    assert not published.bilinear(ones, valid)[1].all()  # labels are never invented


def test_counted_corners_do_not_close_a_hole():
    geometry, values, valid = drawn(8, (16, 16)), images(8, 1, (16, 16)), holes((8, 1, 16, 16))
    warped, kept = AffineWarp(geometry, "zero", corners_count=True).image_with_holes(values, valid)
    weight = 1 - slow((~valid).float(), geometry, "zero")
    sure = (weight - 0.5).abs() > 1e-4
    assert torch.equal(kept.bool()[sure], (weight >= 0.5)[sure])
    expected = slow(torch.where(valid, values, 0), geometry, "zero") / weight
    torch.testing.assert_close(warped[kept.bool() & sure], expected[kept.bool() & sure], atol=2e-4, rtol=0)


@pytest.mark.parametrize("corners", ["reflect", "zero"])
def test_class_maps_follow_the_nearest_pixel(corners):
    geometry = drawn(12, (16, 21))
    classes = torch.randint(-3, 300, (12, 16, 21), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    warped = AffineWarp(geometry, corners).nearest(classes, 255)
    expected = slow(classes[:, None].float(), geometry, corners, order=0, cval=255)[:, 0]
    assert warped.dtype == torch.int16
    assert (warped == expected).float().mean() > 0.999  # a pixel exactly between two may go either way
    assert torch.equal(ClassMap(classes).warp(AffineWarp(geometry, corners)).y, warped)


def test_dense_labels_are_interpolated_and_measured_pixels_refuse():
    warp, values = AffineWarp(drawn(3, (8, 8)), "reflect"), images(3, 1, (8, 8))
    assert DenseValues.from_nan(values).warp(warp).valid.all()
    with pytest.raises(DataError, match=r"augmentation\.dihedral=true"):
        SparseValues.from_dense(values[:, 0]).warp(warp)


@pytest.mark.parametrize("at_once", [1, 300, 1000])
def test_pieces_and_groups_of_bands_change_no_bit(monkeypatch, at_once):
    geometry, values, valid = drawn(7, (16, 12)), images(7, 5, (16, 12)), holes((7, 5, 16, 12))
    warp = AffineWarp(geometry, "reflect")
    whole = (warp.image(values), *warp.bilinear(values, valid), warp.nearest(valid[:, 0].to(torch.int16), 255))
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    parts = (warp.image(values), *warp.bilinear(values, valid), warp.nearest(valid[:, 0].to(torch.int16), 255))
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_memory_format_and_strides_do_not_matter():
    geometry, values, valid = drawn(4, (8, 8)), images(4, 3, (8, 8)), holes((4, 3, 8, 8))
    warp = AffineWarp(geometry, "reflect")
    last = values.contiguous(memory_format=torch.channels_last)
    wide = torch.stack((values, values), -1)[..., 0]
    for other in (last, wide):
        assert torch.equal(warp.image(other), warp.image(values))
        assert torch.equal(warp.image_with_holes(other, valid)[0], warp.image_with_holes(values, valid)[0])
        assert warp.image(other).is_contiguous()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("corners", ["reflect", "zero", "inside"])
def test_axes_of_a_single_pixel(size, corners):
    values, geometry = images(5, 2, size), drawn(5, size, Ranges(shift=(0.3, 0.3)))
    torch.testing.assert_close(
        AffineWarp(geometry, corners).image(values), slow(values, geometry, corners), atol=1e-5, rtol=0
    )


def test_an_empty_batch_stays_empty():
    warp, values = AffineWarp(drawn(0, (8, 8)), "reflect"), torch.empty(0, 3, 8, 8)
    assert warp.image(values).shape == values.shape
    assert warp.bilinear(values, values.bool())[1].shape == values.shape
    assert warp.nearest(torch.empty(0, 8, 8, dtype=torch.int16), 255).shape == (0, 8, 8)


def test_beyond_one_reflection_the_last_pixel_goes_on():
    far = Geometry(torch.tensor([[[1.0, 0.0, 20.0], [0.0, 1.0, 0.0]]]), (4, 4))
    row = torch.arange(4.0).expand(1, 1, 4, 4)
    assert AffineWarp(far, "reflect").image(row)[0, 0, 0].tolist() == [0, 0, 0, 0]
