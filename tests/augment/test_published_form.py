"""The published contrastive augmentation, written from its description with scikit-image, against one interpolation."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from skimage.transform import resize, rotate

from spectrain.augment.geometry import Parameters, Ranges
from spectrain.augment.warp_augmentation import WarpAugmentation
from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.random import Key
from spectrain.core.targets import NoTarget

KEY = Key(0, "augment")
PUBLISHED = WarpAugmentation.Config(crop=40, jitter=5, demean="image", corners="zero", published=True)


def chain(image: np.ndarray, parameters: Parameters, row: int, crop: int | None) -> np.ndarray:
    """One view of [H,W,C]: flip, rotate, crop and jitter, resize, demean, with the given choices."""
    choice = {name: getattr(parameters, name)[row].item() for name in Parameters.__slots__}
    image = image[:, ::-1] if choice["flip_x"] else image
    image = image[::-1] if choice["flip_y"] else image
    if choice["angle"]:
        image = rotate(image, choice["angle"]).astype(np.float32)
    if crop is not None:
        height, width = image.shape[:2]
        y, x = height // 2 + int(choice["jitter_y"]), width // 2 + int(choice["jitter_x"])
        half = crop // 2
        window = image[max(y - half, 0) : min(y + half, height), max(x - half, 0) : min(x + half, width)]
        image = resize(window, image.shape).astype(np.float32)
    return image - image.mean()


def both(images: np.ndarray, config: WarpAugmentation.Config) -> tuple[np.ndarray, np.ndarray]:
    """Return our views of [B,C,H,W], and the chain's with the same choices."""
    image = torch.from_numpy(images)
    batch = Batch(image, everywhere(image.shape, image.device), NoTarget(), torch.arange(len(image)), all_valid=True)
    view = WarpAugmentation.from_config(config, bands=Bands.unnamed(image.shape[1]))(batch, KEY)
    assert view.all_valid
    ranges = Ranges(config.flip, 360.0 if config.rotate else 0.0, config.crop, config.jitter)
    parameters = Parameters.draw(ranges, KEY.at(purpose="augment/geometry"), batch.index)
    views = [chain(np.moveaxis(one, 0, -1), parameters, row, config.crop) for row, one in enumerate(images)]
    return view.image.numpy(), np.moveaxis(np.stack(views), -1, 1)


@pytest.fixture(scope="module")
def sst(shared_data) -> np.ndarray:
    """Real temperature fields, their mean removed as the published data have it."""
    with h5py.File(shared_data / "ocean_sst" / "sst_l4_025deg.h5") as file:
        images = file["train"][::6]
    return images - images.mean((1, 2, 3), keepdims=True)


@pytest.mark.parametrize(
    ("crop", "jitter"), [(None, 0), (40, 0), (40, 5), (41, 3), (22, 3), (60, 10), (64, 0), (64, 8)]
)
def test_flips_and_crops_are_the_same(sst, crop, jitter):
    ours, theirs = both(sst, replace(PUBLISHED, rotate=False, crop=crop, jitter=jitter))
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)


def test_flips_and_crops_of_rough_images_with_bands_and_odd_sizes_are_the_same():
    rough = np.random.default_rng(0).standard_normal((40, 3, 33, 33)).astype(np.float32)
    ours, theirs = both(rough, replace(PUBLISHED, rotate=False, crop=24, jitter=9))
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_rotation_alone_is_the_same_with_its_zero_corners(sst):
    ours, theirs = both(sst, replace(PUBLISHED, crop=None, jitter=0))
    np.testing.assert_allclose(ours, theirs, atol=5e-4, rtol=0)  # of fields that span up to 25 degrees


def test_the_whole_chain_differs_by_its_second_interpolation_only(sst):
    """Twice interpolated is smoother: on real temperature a hundredth of a standard deviation apart."""
    ours, theirs = both(sst, PUBLISHED)
    spread = theirs.std((1, 2, 3))
    apart = np.sqrt(((ours - theirs) ** 2).mean((1, 2, 3))) / spread
    assert np.median(apart) < 0.015
    assert apart.max() < 0.08
    assert ours.std((1, 2, 3)) / spread == pytest.approx(1, abs=0.03)
