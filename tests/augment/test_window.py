"""A view that is a window: the same pixels as of the whole view, of images, holes and labels alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spectrain.augment.warp as warp_module
from spectrain.augment.geometry import Geometry, Parameters, Ranges, compose
from spectrain.augment.warp import AffineWarp
from spectrain.augment.warp_augmentation import WarpAugmentation
from spectrain.augment.window import drawn_window, middle_window
from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import ConfigError, DataError
from spectrain.core.random import Key
from spectrain.core.targets import ClassLabel, ClassMap, DenseValues, NoTarget, SparseValues

NAN = float("nan")
KEY = Key(4, "augment")
Config = WarpAugmentation.Config
FREE = Config(rotate=40.0, shift=[2.0, 0.2], scale=0.2)


def made(config: Config, bands: int = 3) -> WarpAugmentation:
    return WarpAugmentation.from_config(config, bands=Bands.unnamed(bands))


def batch_of(count: int, size=(24, 31), missing: float = 0.0, shared: bool = False, target=None) -> Batch:
    generator = torch.Generator().manual_seed(7)
    image = torch.randn((count, 3, *size), generator=generator) + 3
    if not missing:
        valid = everywhere(image.shape, image.device)
        return Batch(image, valid, target or NoTarget(), torch.arange(count), all_valid=True)
    valid = torch.rand((count, 1 if shared else 3, *size), generator=generator) >= missing
    valid = valid.expand(image.shape)
    return Batch(torch.where(valid, image, NAN), valid, target or NoTarget(), torch.arange(count), all_valid=False)


def cut(values: torch.Tensor, size: tuple[int, int], key: Key = KEY) -> torch.Tensor:
    """Rows and columns of [B,...,H,W] that the window of each sample has."""
    index = torch.arange(len(values))
    window = drawn_window(size, tuple(values.shape[-2:]), key.at(purpose=f"{key.purpose}/window"), index)
    places = zip(values, window.top.tolist(), window.left.tolist(), strict=True)
    return torch.stack([value[..., y : y + size[0], x : x + size[1]] for value, y, x in places])


@pytest.mark.parametrize("missing", [(0.0, False), (0.3, True), (0.3, False)])
@pytest.mark.parametrize(
    "config",
    [
        FREE,
        replace(FREE, corners="zero"),
        replace(FREE, corners="zero", published=True),
        Config(rotate=False, shift=3.0),
        Config(rotate=False),
        Config(dihedral=True),
        Config(dihedral=True, probability=0.5),
        replace(FREE, probability=0.5),
        replace(FREE, band_dropout=0.4),
    ],
)
@pytest.mark.parametrize("size", [(9, 9), (24, 5), (1, 31)])
def test_a_window_is_the_same_pixels_of_the_whole_view(config, missing, size):
    """To the bit, though nothing else of the image is interpolated."""
    batch = batch_of(12, missing=missing[0], shared=missing[1])
    whole = made(config)(batch, KEY)
    view = made(replace(config, size=list(size)))(batch, KEY)
    assert view.image.shape == (12, 3, *size)
    assert torch.equal(view.image, cut(whole.image, size))
    assert torch.equal(view.valid, cut(whole.valid, size))
    assert view.all_valid is whole.all_valid


@given(st.integers(0, 400), st.sampled_from(["reflect", "zero"]), st.booleans(), st.sampled_from([1, 500, 1 << 17]))
@settings(max_examples=40, deadline=None)
def test_of_an_image_only_what_the_window_asks_for_is_copied(first, corners, holes, at_once):
    """Memory beyond it is filled with NaN here, and none comes through; not even where the image is far away."""
    size, index = (40, 52), torch.arange(first, first + 3)
    ranges = Ranges(rotate=360.0, shift=(30.0, 90.0), scale=0.5)
    geometry = compose(Parameters.draw(ranges, KEY, index), None, size)
    window = drawn_window((6, 9), size, KEY, index)
    values = torch.randn((3, 6, *size), generator=torch.Generator().manual_seed(first))
    valid = torch.rand((3, 6, *size), generator=torch.Generator().manual_seed(first)) > 0.3
    whole, part = (AffineWarp(geometry, corners, window=seen) for seen in (None, window))
    expected = whole.bilinear(values, valid) if holes else (whole.image(values), valid)
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(warp_module, "_AT_ONCE", at_once)
            found = part.bilinear(values, valid) if holes else (part.image(values), valid)
    finally:
        torch.use_deterministic_algorithms(False)
    places = list(zip(window.top.tolist(), window.left.tolist(), strict=True))
    for kind in (0, 1) if holes else (0,):
        cuts = [row[:, y : y + 6, x : x + 9] for row, (y, x) in zip(expected[kind], places, strict=True)]
        assert torch.equal(found[kind], torch.stack(cuts))


def test_only_the_window_is_interpolated(monkeypatch):
    asked = []
    sample = torch.nn.functional.grid_sample
    monkeypatch.setattr(
        warp_module.F, "grid_sample", lambda v, grid, *rest: asked.append(grid.shape[1:3]) or sample(v, grid, *rest)
    )
    made(replace(FREE, size=8))(batch_of(4, (200, 300), missing=0.1), KEY)
    assert set(asked) == {(8, 8)}


def test_windows_lie_everywhere_alike_and_belong_to_the_sample():
    index = torch.arange(20_000)
    window = drawn_window((6, 30), (10, 31), KEY, index)
    for place, room in ((window.top, 5), (window.left, 2)):
        found, counts = place.unique(return_counts=True)
        assert found.tolist() == list(range(room))
        assert counts.float().std() / counts.float().mean() < 0.05
    some = torch.tensor([7, -1, 400])
    alone = drawn_window((6, 30), (10, 31), KEY, some)
    assert alone.top[[0, 2]].tolist() == window.top[[7, 400]].tolist()
    assert not torch.equal(drawn_window((6, 30), (10, 31), KEY.at(view=1), index).top, window.top)


def test_the_whole_image_is_no_window():
    batch = batch_of(4)
    assert drawn_window((24, 31), (24, 31), KEY, batch.index) is None
    assert torch.equal(made(replace(FREE, size=[24, 31]))(batch, KEY).image, made(FREE)(batch, KEY).image)


@pytest.mark.parametrize(
    ("config", "stays"),
    [
        (Config(rotate=False, corners="zero", size=9), True),  # a window inside the image
        (Config(dihedral=True, corners="zero", size=9), True),
        (Config(corners="zero", size=9), False),  # it may lie in a turned corner
        (Config(rotate=False, shift=1.0, corners="zero", size=9), False),
        (Config(corners="reflect", size=9), True),
        (Config(corners="zero", published=True, size=9), True),
    ],
)
def test_what_is_said_of_corners_is_true_of_windows(config, stays):
    view = made(config)(batch_of(60, (16, 16)), KEY)
    assert view.all_valid is stays
    assert bool(view.valid.all()) is stays
    assert view.valid.shape == view.image.shape == (60, 3, 9, 9)


LABELS = torch.randint(0, 9, (12, 16, 16), generator=torch.Generator().manual_seed(0)).float()


def labelled(target) -> Batch:
    image = LABELS[:, None].clone()
    return Batch(image, everywhere(image.shape, image.device), target, torch.arange(12), all_valid=True)


@pytest.mark.parametrize("config", [Config(dihedral=True, size=7), Config(rotate=False, size=[5, 12])])
def test_labels_of_every_kind_are_cut_with_a_dihedral_view(config):
    augmentation, size = made(config, 1), (5, 12) if isinstance(config.size, list) else (7, 7)
    view = augmentation(labelled(ClassMap(LABELS.to(torch.int16))), KEY)
    assert view.target.y.shape == (12, *size)
    assert torch.equal(view.target.y.float(), view.image[:, 0])
    dense = augmentation(labelled(DenseValues.from_nan(torch.where(LABELS == 4, NAN, LABELS)[:, None])), KEY).target
    assert torch.equal(dense.valid, view.image != 4)
    assert torch.equal(dense.value[dense.valid], view.image[dense.valid])
    before = SparseValues.from_dense(torch.where(LABELS == 4, LABELS, NAN))
    sparse = augmentation(labelled(before), KEY).target
    assert sparse.shape == (12, *size)
    assert torch.equal(sparse.row, before.row)
    assert torch.equal(sparse.at(view.image)[sparse.valid][:, 0], sparse.value[sparse.valid])
    assert int(sparse.valid.sum()) == int((view.image == 4).sum()) < len(before.value)
    assert not sparse.index[~sparse.valid].any()  # the others are NaN at a pixel that exists
    assert torch.equal(augmentation(labelled(ClassLabel(torch.arange(12))), KEY).target.y, torch.arange(12))


@pytest.mark.parametrize("probability", [1.0, 0.5])
def test_labels_are_cut_with_a_free_view(probability):
    config = Config(corners="zero", scale=0.3, probability=probability)
    for target in (
        ClassMap(LABELS.to(torch.int16)),
        DenseValues.from_nan(torch.where(LABELS == 4, NAN, LABELS)[:, None]),
    ):
        whole = made(config, 1)(labelled(target), KEY).target
        view = made(replace(config, size=7), 1)(labelled(target), KEY).target
        assert torch.equal(view.valid, cut(whole.valid, (7, 7)))
        for name in target.__slots__:
            assert torch.equal(getattr(view, name), cut(getattr(whole, name), (7, 7)))


def test_holes_do_not_pass_into_a_window():
    config = replace(FREE, corners="zero", size=8, noise=0.1, band_dropout=0.3, demean="band", probability=0.7)
    for free in (config, Config(dihedral=True, size=8, noise=0.1, demean="image")):
        batch = batch_of(20, missing=0.3)
        view, clean = made(free)(batch, KEY), batch.replace(image=batch.image.nan_to_num(0.0))
        assert view.image.isfinite().all()
        assert (view.image[~view.valid] == 0).all()
        assert torch.equal(view.image, made(free)(clean, KEY).image)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_without_chance_it_is_the_middle(missing):
    target = ClassMap(torch.arange(16 * 21).view(1, 16, 21).expand(2, 16, 21).to(torch.int16))
    batch = batch_of(2, (16, 21), missing, target=target)
    config = replace(FREE, size=[10, 6], noise=1.0, band_dropout=0.5, probability=0.5)
    view = made(config).centred(batch)
    assert torch.equal(view.image, batch.filled()[:, :, 3:13, 7:13])
    assert torch.equal(view.valid, batch.valid[:, :, 3:13, 7:13])
    assert torch.equal(view.target.y, target.y[:, 3:13, 7:13])
    assert view.all_valid is batch.all_valid
    flat = made(replace(config, demean="band")).centred(batch)
    assert flat.image.sum((2, 3)).abs().max() < 1e-3
    assert torch.equal(made(replace(config, size=[16, 21])).centred(batch).image, batch.filled())
    assert middle_window((3, 3), (8, 4), batch.index).top.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 8, "crop": 8}, r"augmentation.crop=null"),
        ({"size": 0}, "at least 1"),
        ({"size": [8, 8, 8]}, r"write [height, width]"),
    ],
)
def test_sizes_that_make_no_sense_are_named(changes, words):
    with pytest.raises(ConfigError) as caught:
        made(Config(**changes))
    (problem,) = caught.value.problems
    assert problem.key == "augmentation.size"
    assert words in str(problem)


@pytest.mark.parametrize(("size", "fix"), [(25, "set it to 24 or less"), ([24, 32], r"set it to \[24, 31\] or less")])
def test_a_window_larger_than_the_image_is_an_error(size, fix):
    for view in (made(Config(size=size)).centred, lambda batch: made(Config(size=size))(batch, KEY)):
        with pytest.raises(DataError, match=rf"does not fit into images of 24 x 31 px\n.*augmentation\.size\n.*{fix}"):
            view(batch_of(2))


def test_an_empty_batch_stays_empty():
    batch = batch_of(1, missing=0.3)
    empty = Batch(batch.image[:0], batch.valid[:0], NoTarget(), batch.index[:0], all_valid=False)
    config = replace(FREE, size=5, probability=0.5, band_dropout=0.5)
    assert made(config)(empty, KEY).image.shape == (0, 3, 5, 5)


@pytest.mark.parametrize(
    "config", [replace(FREE, corners="zero"), FREE, replace(FREE, probability=0.5), Config(dihedral=True)]
)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_nothing_waits_for_the_device(config, missing):
    """The meta device holds no values: whatever asks for one, or for a shape that depends on one, fails there."""
    batch = batch_of(3, missing=missing)
    config = replace(config, size=[5, 7], band_dropout=0.5, noise=0.1, demean="band")
    target = ClassMap(torch.zeros((3, 24, 31), dtype=torch.int16, device="meta"))
    if config.dihedral:
        target = SparseValues.from_dense(torch.zeros(3, 24, 31)).to("meta")
    meta = Batch(batch.image.to("meta"), batch.valid.to("meta"), target, batch.index.to("meta"), batch.all_valid)
    view = made(config)(meta, KEY)
    assert view.image.shape == (3, 3, 5, 7)
    assert not view.all_valid
    assert made(config).centred(meta).image.shape == (3, 3, 5, 7)


def test_a_shift_below_one_is_a_share_of_each_side():
    ranges = Ranges(shift=(0.25, 0.25))
    assert ranges.in_px(40, 80).shift == (10.0, 20.0)
    assert Ranges(shift=(0.5, 1.0)).in_px(40, 80).shift == (20.0, 1.0)
    batch = batch_of(5, (20, 40))
    share, px = (made(Config(rotate=False, shift=shift))(batch, KEY) for shift in (0.25, [5.0, 10.0]))
    assert torch.equal(share.image, px.image)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "config", [replace(FREE, corners="zero"), replace(FREE, probability=0.5), Config(dihedral=True)]
)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_a_gpu_makes_the_same_windows_without_waiting(config, missing):
    batch, augmentation = batch_of(20, missing=missing), made(replace(config, size=9, band_dropout=0.3))
    valid = batch.valid.cuda() if missing else everywhere(batch.image.shape, torch.device("cuda"))
    target = NoTarget()
    if config.dihedral:
        target = SparseValues.from_dense(torch.zeros(20, 24, 31)).to("cuda")
    there = Batch(batch.image.cuda(), valid, target, batch.index.cuda(), all_valid=batch.all_valid)
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


def test_far_beyond_the_image_there_is_nothing_to_copy():
    far = Geometry(torch.tensor([[[1.0, 0.0, 500.0], [0.0, 1.0, -500.0]]]), (30, 30))
    window = middle_window((4, 4), (30, 30), torch.tensor([0]))
    values = torch.arange(900.0).view(1, 1, 30, 30)
    assert not AffineWarp(far, "zero", window=window).image(values).any()
    assert (
        AffineWarp(far, "reflect", window=window).image(values) == AffineWarp(far, "reflect").image(values)[0, 0, 0, 0]
    ).all()
