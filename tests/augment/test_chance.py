"""Bands that are taken away, and samples that are left as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spectrain.augment.band_dropout import kept_bands
from spectrain.augment.warp_augmentation import WarpAugmentation
from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import ConfigError
from spectrain.core.random import Key
from spectrain.core.targets import ClassMap, DenseValues, NoTarget, SparseValues

NAN = float("nan")
KEY = Key(1, "augment")
Config = WarpAugmentation.Config
STILL = Config(flip=False, rotate=False)


def made(config: Config, bands: int = 4) -> WarpAugmentation:
    return WarpAugmentation.from_config(config, bands=Bands.unnamed(bands))


def batch_of(count: int, bands: int = 4, size=(8, 11), missing: float = 0.0, target=None) -> Batch:
    generator = torch.Generator().manual_seed(3)
    image = torch.randn((count, bands, *size), generator=generator) + 5
    valid = (
        torch.rand(image.shape, generator=generator) >= missing if missing else everywhere(image.shape, image.device)
    )
    image = torch.where(valid, image, NAN)
    return Batch(image, valid, target or NoTarget(), torch.arange(count), all_valid=not missing)


def test_each_band_is_taken_away_as_often_as_said_and_independently():
    kept = kept_bands(0.3, torch.ones(20_000, 6, dtype=torch.bool), KEY, torch.arange(20_000))
    share = 1 - kept.float().mean(0)
    assert share.tolist() == pytest.approx([0.3] * 6, abs=0.012)
    assert (torch.corrcoef(kept.float().T) - torch.eye(6)).abs().max() < 0.03


def test_one_band_always_stays_each_as_often_as_the_other():
    kept = kept_bands(0.999, torch.ones(20_000, 5, dtype=torch.bool), KEY, torch.arange(20_000))
    assert kept.any(1).all()
    assert kept.float().mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.015)
    assert kept_bands(0.9, torch.ones(50, 1, dtype=torch.bool), KEY, torch.arange(50)).all()


def test_a_band_without_a_valid_pixel_is_not_the_one_that_stays():
    seen = torch.tensor([[True, False, False]]).expand(5000, 3)
    assert kept_bands(0.9, seen, KEY, torch.arange(5000))[:, 0].all()
    batch = batch_of(200, missing=0.2)
    batch = batch.replace(valid=batch.valid & torch.tensor([True, False, False, False])[:, None, None])
    view = made(replace(STILL, band_dropout=0.95))(batch, KEY)
    assert view.valid.flatten(1).any(1).all()


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("config", [STILL, Config(corners="zero", noise=0.1), Config(dihedral=True)])
def test_a_band_taken_away_is_a_hole(config, missing):
    batch = batch_of(100, missing=missing)
    view, whole = (made(replace(config, band_dropout=by))(batch, KEY) for by in (0.4, 0.0))
    there = view.valid.flatten(2).any(2)
    assert 0.3 < 1 - there.float().mean() < 0.5
    assert torch.equal(view.valid, whole.valid & there[:, :, None, None])
    assert torch.equal(view.image, torch.where(view.valid, whole.image, 0))
    assert not view.all_valid
    assert torch.equal(made(replace(config, band_dropout=0.4)).centred(batch).image, made(config).centred(batch).image)


def test_a_band_taken_away_does_not_count_in_the_mean():
    for missing in (0.0, 0.2):
        view = made(replace(STILL, band_dropout=0.5, demean="image"))(batch_of(30, missing=missing), KEY)
        assert view.image.sum((1, 2, 3)).abs().max() < 1e-3
        assert (view.image[~view.valid] == 0).all()
        raw = made(replace(STILL, band_dropout=0.5))(batch_of(30, missing=missing), KEY)
        mean = raw.image.sum((1, 2, 3)) / raw.valid.sum((1, 2, 3))
        expected = torch.where(raw.valid, raw.image - mean[:, None, None, None], 0)
        torch.testing.assert_close(view.image, expected, atol=1e-5, rtol=0)


EVERYTHING = Config(rotate=30.0, scale=0.2, shift=0.1, noise=0.2, band_dropout=0.3, size=6, corners="zero")


@pytest.mark.parametrize("config", [EVERYTHING, Config(dihedral=True, noise=0.2, band_dropout=0.3, probability=0.4)])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_draws_do_not_depend_on_the_batch(config, missing):
    config = replace(config, probability=0.6, demean="image")
    batch = batch_of(12, missing=missing)
    view = made(config)(batch, KEY)
    for rows in ([3], [7, 0], [11, 5, 2, 8]):
        part = Batch(batch.image[rows], batch.valid[rows], NoTarget(), batch.index[rows], all_valid=not missing)
        some = made(config)(part, KEY)
        assert torch.equal(some.image, view.image[rows])
        assert torch.equal(some.valid, view.valid[rows])


def test_a_new_option_does_not_change_what_the_others_draw():
    batch = batch_of(20)
    plain = made(Config(rotate=30.0, noise=0.2))(batch, KEY)
    both = made(Config(rotate=30.0, noise=0.2, probability=0.6, band_dropout=0.3))(batch, KEY)
    changed = (both.image != batch.image).flatten(2).any(2).any(1)
    assert 0 < changed.sum() < 20
    here = both.valid & changed[:, None, None, None]
    torch.testing.assert_close(both.image[here], plain.image[here], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "config", [replace(EVERYTHING, size=None), Config(dihedral=True, noise=0.1), Config(crop=5, jitter=1, noise=0.1)]
)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_samples_that_are_not_changed_are_so_to_the_bit(config, missing):
    batch = batch_of(400, missing=missing)
    view = made(replace(config, probability=0.3))(batch, KEY)
    same = (view.image == batch.filled()).flatten(1).all(1)
    assert 1 - same.float().mean() == pytest.approx(0.3, abs=0.07)
    assert torch.equal(view.valid[same], batch.valid[same])
    assert torch.equal(made(replace(config, probability=0.0))(batch, KEY).image, batch.filled())
    other = made(replace(config, probability=0.3))(batch, KEY.at(view=1))
    assert not torch.equal((other.image == batch.filled()).flatten(1).all(1), same)


def test_samples_that_are_not_changed_are_cut_and_lose_their_mean():
    batch = batch_of(20, missing=0.2)
    view = made(replace(EVERYTHING, probability=0.0, demean="band"))(batch, KEY)
    calm = made(replace(STILL, size=6, demean="band"))(batch, KEY)
    assert torch.equal(view.image, calm.image)
    assert torch.equal(view.valid, calm.valid)


def test_labels_of_unchanged_samples_stay():
    classes = torch.randint(0, 9, (30, 8, 8), generator=torch.Generator().manual_seed(0))
    config = Config(corners="zero", probability=0.0)
    for target in (
        ClassMap(classes.to(torch.int16)),
        DenseValues.from_nan(torch.where(classes == 4, NAN, classes)[:, None]),
    ):
        view = made(config)(batch_of(30, size=(8, 8), target=target), KEY).target
        for name in target.__slots__:
            assert torch.equal(getattr(view, name), getattr(target, name))
    sparse = SparseValues.from_dense(torch.where(classes == 4, classes, NAN))
    view = made(Config(dihedral=True, probability=0.0))(batch_of(30, size=(8, 8), target=sparse), KEY)
    assert torch.equal(view.target.index, sparse.index)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"band_dropout": 1.0}, "less than 1"),
        ({"band_dropout": -0.1}, "at least 0"),
        ({"probability": 1.5}, "at most 1"),
        ({"probability": -0.5}, "at least 0"),
    ],
)
def test_probabilities_that_make_no_sense_are_named(changes, words):
    with pytest.raises(ConfigError) as caught:
        made(Config(**changes))
    (problem,) = caught.value.problems
    assert problem.key == f"augmentation.{next(iter(changes))}"
    assert words in str(problem)


def test_a_turn_of_a_large_cube_leaves_invalid_corners():
    """Zero corners are holes, also of an image that was valid everywhere and of more bands than are warped at once."""
    image = torch.ones(1, 30, 500, 500)
    batch = Batch(image, everywhere(image.shape, image.device), NoTarget(), torch.arange(1), all_valid=True)
    view = made(Config(flip=False, rotate=30.0, corners="zero"), 30)(batch, KEY)
    assert not view.valid[..., [0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert view.valid[..., 250, 250].all()
    assert not view.all_valid
    torch.testing.assert_close(view.image, view.valid.float())
