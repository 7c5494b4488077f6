from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spectrain.augment.warp as warp_module
import spectrain.augment.warp_augmentation as module
from spectrain.augment.none import NoAugmentation
from spectrain.augment.warp_augmentation import WarpAugmentation
from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import ConfigError, DataError
from spectrain.core.random import Key
from spectrain.core.registry import lookup
from spectrain.core.targets import ClassLabel, ClassMap, DenseValues, NoTarget, SparseValues

NAN = float("nan")
KEY = Key(0, "augment")
Config = WarpAugmentation.Config
EVERYTHING = Config(
    crop=10, jitter=2, shift=[1.0, 2.0], scale=0.2, noise=[0.1, 0.2, 0.0], demean="image", corners="zero"
)


def made(config: Config, bands: int = 3) -> WarpAugmentation:
    return WarpAugmentation.from_config(config, bands=Bands.unnamed(bands))


def batch_of(index: list[int], size=(16, 20), bands: int = 3, missing: float = 0.3) -> Batch:
    """Samples whose image and holes (NaN) are a function of their index."""
    rows = []
    for number in index:
        generator = torch.Generator().manual_seed(number + 2)
        values = torch.randn((bands, *size), generator=generator) + 5
        valid = torch.rand((bands, *size), generator=generator) >= missing
        rows.append((torch.where(valid, values, NAN), valid))
    image, valid = (torch.stack(parts) for parts in zip(*rows, strict=True))
    whole = everywhere(image.shape, image.device)
    return Batch(image, valid if missing else whole, NoTarget(), torch.tensor(index), all_valid=not missing)


@given(
    st.lists(st.integers(-1, 30), min_size=1, max_size=8),
    st.sampled_from([1, 700, 1 << 17]),
    st.sampled_from(
        [EVERYTHING, replace(EVERYTHING, corners="reflect", demean="band"), Config(dihedral=True, noise=0.5)]
    ),
    st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=40, deadline=None)
def test_a_view_belongs_to_its_sample(index, at_once, config, missing):
    """Whatever batch it is in, in whatever order and pieces, a sample becomes the same, to the bit."""
    view = made(config)(batch_of(index, missing=missing), KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warp_module, "_AT_ONCE", at_once)
        patch.setattr(module, "_AT_ONCE", at_once)
        for row, number in enumerate(index):
            alone = made(config)(batch_of([number], missing=missing), KEY)
            assert torch.equal(alone.image[0], view.image[row])
            assert torch.equal(alone.valid[0], view.valid[row])
            assert alone.all_valid is view.all_valid


def test_the_number_of_threads_changes_no_bit():
    batch, augmentation = batch_of([4], (200, 200), missing=0.1), made(EVERYTHING)
    one = augmentation(batch, KEY).image
    torch.set_num_threads(2)
    try:
        assert torch.equal(augmentation(batch, KEY).image, one)
    finally:
        torch.set_num_threads(1)


def test_views_epochs_and_samples_differ():
    batch = batch_of([1, 2])
    batch = batch.replace(image=batch.image[:1].expand(2, -1, -1, -1), valid=batch.valid[:1].expand(2, -1, -1, -1))
    augmentation = made(EVERYTHING)
    first, second = augmentation(batch, KEY).image
    assert not torch.equal(first, second)
    for other in (KEY.at(view=1), KEY.at(epoch=1), KEY.at(seed=1), KEY.at(purpose="valid")):
        assert not torch.equal(augmentation(batch, other).image[0], first)


def digest() -> str:
    view = made(EVERYTHING)(batch_of([3, 1]), KEY)
    return hashlib.sha256(view.image.numpy().tobytes() + view.valid.numpy().tobytes()).hexdigest()


def test_another_process_makes_the_same_views():
    here = str(Path(__file__).parent)
    code = "import sys, torch; torch.set_num_threads(1); sys.path.insert(0, sys.argv[1])\n"
    code += "import test_warp_augmentation; print(test_warp_augmentation.digest())"
    found = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digest()


def test_noise_does_not_move_the_geometry():
    batch = batch_of([0, 1, 2], missing=0)
    quiet = made(Config(crop=10))(batch, KEY).image
    noise = made(Config(crop=10, noise=1e-3))(batch, KEY).image - quiet
    assert 0 < noise.abs().max() < 0.01


def test_the_batch_is_left_alone():
    for config in (
        EVERYTHING,
        Config(dihedral=True, noise=1.0, demean="image"),
        Config(flip=False, rotate=False, noise=1.0),
    ):
        batch = batch_of([0, 1])
        image, valid = batch.image.clone(), batch.valid.clone()
        made(config)(batch, KEY)
        assert torch.equal(batch.image.nan_to_num(), image.nan_to_num())
        assert torch.equal(batch.valid, valid)


@pytest.mark.parametrize(
    ("config", "stays"),
    [
        (Config(), True),
        (Config(crop=10, jitter=3, corners="zero", rotate=False), True),  # windows are cut at the border
        (Config(crop=8, corners="zero"), True),  # a turned window fits into the image
        (Config(crop=14, corners="zero"), False),
        (Config(crop=14, corners="zero", published=True), True),
        (Config(shift=1.0, rotate=False, corners="zero"), False),
        (Config(dihedral=True, corners="zero"), True),
    ],
)
def test_all_valid_is_known_and_true(config, stays):
    """A promise that all is valid is kept in every view; where it is withdrawn, some view did lose pixels."""
    view = made(config)(batch_of(list(range(40)), (16, 16), missing=0), KEY)
    assert view.all_valid is stays
    assert bool(view.valid.all()) is stays
    assert not made(config)(batch_of([0, 1]), KEY).all_valid


def test_holes_stay_holes_of_finite_value():
    view = made(EVERYTHING)(batch_of(list(range(20))), KEY)
    assert view.image.isfinite().all()
    assert (view.image[~view.valid] == 0).all()
    assert 0.1 < view.valid.float().mean() < 0.9


@pytest.mark.parametrize(
    "config", [EVERYTHING, Config(dihedral=True, demean="band"), Config(noise=0.1, demean="image")]
)
def test_values_in_holes_reach_nothing(config):
    batch = batch_of(list(range(6)))
    clean = batch.replace(image=torch.where(batch.valid, batch.image, 0))
    for poison in (NAN, float("inf"), 1e30):
        dirty = batch.replace(image=torch.where(batch.valid, batch.image, poison))
        assert torch.equal(made(config)(dirty, KEY).image, made(config)(clean, KEY).image)


def test_the_mean_of_the_valid_pixels_is_removed():
    batch = batch_of(list(range(5)))
    image = made(replace(EVERYTHING, demean="image"))(batch, KEY).filled()
    view = made(replace(EVERYTHING, demean="band"))(batch, KEY)
    assert image.sum((1, 2, 3)).abs().max() < 1e-3
    assert image.sum((2, 3)).abs().max() > 1
    assert view.filled().sum((2, 3)).abs().max() < 1e-3
    raw = made(replace(EVERYTHING, demean="none"))(batch, KEY)
    mean = raw.filled().sum((2, 3), keepdim=True) / raw.valid.sum((2, 3), keepdim=True)
    torch.testing.assert_close(view.image, torch.where(view.valid, raw.image - mean, 0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("demean", ["image", "band"])
def test_an_image_with_nothing_valid_is_survived(demean):
    batch = batch_of([0, 1], missing=1.1)
    view = made(replace(EVERYTHING, demean=demean))(batch, KEY)
    assert not view.valid.any()
    assert (view.image == 0).all()


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_noise_has_its_deviation_in_each_band_and_spares_holes(missing):
    batch = batch_of(list(range(30)), (32, 32), missing=missing)
    batch = batch.replace(image=torch.zeros_like(batch.image))
    view = made(Config(flip=False, rotate=False, noise=[0.5, 0.0, 2.0]))(batch, KEY)
    deviations = [view.image[:, band][view.valid[:, band]].std().item() for band in range(3)]
    assert deviations == pytest.approx([0.5, 0, 2], rel=0.03)
    assert torch.equal(view.valid, batch.valid)
    assert (view.image[~view.valid] == 0).all()
    flat = view.image[:, 0].flatten(1)
    assert torch.corrcoef(flat).fill_diagonal_(0).abs().max() < 0.2


def labelled(target, size=(16, 16)) -> Batch:
    image = torch.zeros(len(LABELS), 1, *size) + LABELS[:, None]
    return Batch(image, everywhere(image.shape, image.device), target, torch.arange(len(LABELS)), all_valid=True)


LABELS = torch.randint(0, 9, (12, 16, 16), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("config", [Config(dihedral=True), Config(rotate=False)])
def test_labels_of_every_kind_follow_a_dihedral_view(config):
    sparse_labels = torch.where(LABELS == 4, LABELS, NAN)
    augmentation = made(config, 1)
    view = augmentation(labelled(ClassMap(LABELS.to(torch.int16))), KEY)
    assert torch.equal(view.target.y.float(), view.image[:, 0])
    assert torch.equal(augmentation(labelled(DenseValues.from_nan(LABELS[:, None])), KEY).target.value, view.image)
    sparse = augmentation(labelled(SparseValues.from_dense(sparse_labels)), KEY).target
    assert torch.equal(sparse.at(view.image)[:, 0], sparse.value)
    assert torch.equal(augmentation(labelled(ClassLabel(torch.arange(12))), KEY).target.y, torch.arange(12))
    assert not torch.equal(view.image, labelled(NoTarget()).image)


def test_labels_follow_a_free_view_and_are_not_invented_in_corners():
    config = Config(corners="zero", published=True)
    view = made(config, 1)(labelled(ClassMap(LABELS.to(torch.int16) // 9)), KEY)
    assert 0.02 < (view.target.y == 255).float().mean() < 0.3
    assert set(view.target.y.unique().tolist()) == {0, 255}
    # an image whose corners do not count is warped as dense labels are
    image = made(replace(config, published=False), 1)(labelled(NoTarget()), KEY)
    dense = made(replace(config, published=False), 1)(labelled(DenseValues.from_nan(LABELS[:, None])), KEY).target
    assert torch.equal(dense.valid, image.valid)
    assert torch.equal(dense.value, image.image)
    counted = made(config, 1)(labelled(DenseValues.from_nan(LABELS[:, None])), KEY)
    assert counted.valid.all()
    assert not counted.target.valid.all()
    with pytest.raises(DataError, match="dihedral=true"):
        made(config, 1)(labelled(SparseValues.from_dense(LABELS)), KEY)


@pytest.mark.parametrize(
    "config", [EVERYTHING, replace(EVERYTHING, corners="reflect"), Config(dihedral=True, noise=1.0)]
)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_nothing_waits_for_the_device(config, missing):
    """The meta device holds no values: whatever asks for one, or for a shape that depends on one, fails there."""
    batch = batch_of([0, 1, 2], (16, 16), missing=missing)
    classes = ClassMap(torch.zeros((3, 16, 16), dtype=torch.int16, device="meta"))
    meta = Batch(batch.image.to("meta"), batch.valid.to("meta"), classes, batch.index.to("meta"), batch.all_valid)
    view = made(config)(meta, KEY)
    assert view.image.shape == batch.image.shape
    assert view.all_valid is made(config)(batch, KEY).all_valid


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "config", [EVERYTHING, Config(dihedral=True, noise=1.0), Config(corners="zero", published=True)]
)
def test_a_gpu_makes_the_same_views_without_waiting(config):
    batch, augmentation = batch_of(list(range(20))), made(config)
    there = Batch(*(x.cuda() for x in (batch.image, batch.valid)), NoTarget(), batch.index.cuda(), all_valid=False)
    augmentation(there, KEY)
    torch.cuda.set_sync_debug_mode("error")
    try:
        view = augmentation(there, KEY)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    here = augmentation(batch, KEY)
    same = view.valid.cpu() == here.valid
    assert same.float().mean() > 0.999
    torch.testing.assert_close(view.image.cpu()[same], here.image[same], atol=2e-3, rtol=0)


def test_no_gradient_is_recorded():
    batch = batch_of([0], missing=0)
    batch.image.requires_grad_()
    assert not made(EVERYTHING)(batch, KEY).image.requires_grad


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"crop": 1}, "crop", "at least 2"),
        ({"jitter": -1, "crop": 8}, "jitter", "at least 0"),
        ({"jitter": 2}, "jitter", "augmentation.shift"),
        ({"shift": -1.0}, "shift", "at least 0"),
        ({"shift": [1.0, 2.0, 3.0]}, "shift", "write [y, x]"),
        ({"scale": 1.0}, "scale", "less than 1"),
        ({"scale": -0.1}, "scale", "at least 0"),
        ({"noise": [1.0, 2.0]}, "noise", "2 numbers for 3 bands"),
        ({"noise": -1.0}, "noise", "at least 0"),
        ({"rotate": -5.0}, "rotate", "at least 0"),
        ({"demean": "bands"}, "demean", "did you mean band?"),
        ({"corners": "reflct"}, "corners", "did you mean reflect?"),
        ({"published": True}, "published", "corners=zero"),
        ({"dihedral": True, "crop": 8}, "crop", "dihedral=true excludes"),
        ({"dihedral": True, "shift": [0.0, 1.0]}, "shift", "dihedral=true excludes"),
        ({"dihedral": True, "rotate": 30.0}, "rotate", "quarter turns"),
    ],
)
def test_options_that_make_no_sense_are_named(changes, key, words):
    with pytest.raises(ConfigError) as caught:
        made(Config(**changes))
    (problem,) = caught.value.problems
    assert problem.key == f"augmentation.{key}"
    assert words in str(problem)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError, match="3 mistakes"):
        made(Config(crop=1, scale=2.0, noise=-1.0))


def test_a_crop_larger_than_the_image_is_an_error():
    with pytest.raises(DataError, match="17 px does not fit into images of 16 x 20 px"):
        made(Config(crop=17))(batch_of([0]), KEY)


@pytest.mark.parametrize(
    ("crop", "side", "warned"), [(5, 64, True), (15, 64, True), (16, 64, False), (None, 64, False)]
)
def test_a_window_under_a_quarter_of_the_side_is_warned_of_once(caplog, crop, side, warned):
    augmentation = made(Config(crop=crop, jitter=5 if crop else 0))
    for _ in range(2):
        augmentation(batch_of([1, 2], size=(side, side + 8)), KEY)
    assert len(caplog.records) == warned
    if crop == 5:  # as the older of the documents prints it
        assert "windows of 4 px out of images of 64 x 72 px" in caplog.text
        assert (
            "set augmentation.crop (the first number of random_cropjitter or random_jitter) to about 40" in caplog.text
        )


def test_parts_are_found_by_name_and_none_does_nothing():
    assert lookup("augmentation", "warp") is WarpAugmentation
    assert lookup("augmentation", "none") is NoAugmentation
    batch = batch_of([0])
    nothing = NoAugmentation.from_config(NoAugmentation.Config(), bands=Bands.unnamed(3))
    assert nothing(batch, KEY) is batch


def test_any_number_of_bands():
    for bands in (1, 2, 13, 200):
        batch = batch_of([0, 1], (8, 8), bands)
        view = made(replace(EVERYTHING, crop=6, noise=0.1), bands)(batch, KEY)
        first = made(replace(EVERYTHING, crop=6, noise=0.0, demean="none"), bands)(batch, KEY)
        assert view.image.shape == batch.image.shape
        alone = batch.replace(image=batch.image[:, -1:], valid=batch.valid[:, -1:])
        last = made(replace(EVERYTHING, crop=6, noise=0.0, demean="none"), 1)(alone, KEY)
        assert torch.equal(first.image[:, -1:], last.image)
        assert torch.equal(first.valid[:, -1:], last.valid)


def test_an_empty_batch_stays_empty():
    batch = batch_of([0])
    empty = Batch(batch.image[:0], batch.valid[:0], NoTarget(), batch.index[:0], all_valid=False)
    assert made(EVERYTHING)(empty, KEY).image.shape == (0, 3, 16, 20)


STILL = {
    "crop=10": Config(crop=10, jitter=2, shift=1.0, noise=0.3, demean="band"),
    "whole": Config(noise=0.3, demean="band"),
}


@pytest.mark.parametrize("config", STILL.values(), ids=list(STILL))
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_view_without_chance_is_the_centre_at_the_zoom_of_training(config, missing):
    """It is what a view becomes whose every range of chance is shrunk to nothing."""
    batch = batch_of([0, 1, 2], size=(16, 16), missing=missing)
    found = made(config).centred(batch)
    calm = replace(config, flip=False, rotate=False, jitter=0, shift=0.0, noise=0.0)
    wanted = made(calm)(batch, KEY)
    assert torch.equal(found.valid, wanted.valid)
    torch.testing.assert_close(found.filled(), wanted.filled())
    torch.testing.assert_close(found.filled().sum((2, 3)), torch.zeros(3, 3), atol=1e-3, rtol=0)
    assert batch.image.isnan().any() == bool(missing)  # the batch itself is untouched


def test_nothing_without_chance_is_the_image_itself():
    batch = batch_of([0, 1], missing=0.0)
    assert torch.equal(made(Config(noise=1.0)).centred(batch).image, batch.image)
    assert NoAugmentation().centred(batch) is batch
