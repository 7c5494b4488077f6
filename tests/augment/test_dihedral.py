from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spectrain.augment.dihedral import DihedralWarp
from spectrain.augment.geometry import Parameters, Ranges, compose
from spectrain.augment.warp import AffineWarp
from spectrain.core.batch import everywhere
from spectrain.core.random import Key
from spectrain.core.targets import ClassMap, DenseValues, SparseValues

NAN = float("nan")


def turned(image: np.ndarray, step: int) -> np.ndarray:
    image = np.rot90(image, step % 4, (-2, -1))
    return image[..., ::-1] if step >= 4 else image


@pytest.mark.parametrize(("size", "steps"), [((6, 6), range(8)), ((5, 7), (0, 2, 4, 6))])
def test_moves_every_bit_as_numpy_does(size, steps):
    steps = list(steps)
    image = torch.randn((len(steps), 3, *size), generator=torch.Generator().manual_seed(0))
    moved = DihedralWarp(torch.tensor(steps), size).image(image)
    expected = [turned(one, step) for one, step in zip(image.numpy(), steps, strict=True)]
    assert np.array_equal(moved.numpy(), np.stack(expected))


@pytest.mark.parametrize(("size", "steps"), [((6, 6), range(8)), ((5, 7), (0, 2, 4, 6))])
def test_image_and_all_kinds_of_label_move_alike(size, steps):
    steps = torch.tensor(list(steps))
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 20, (len(steps), *size), generator=generator).float()
    labels[torch.rand(labels.shape, generator=generator) < 0.5] = NAN
    warp = DihedralWarp(steps, size)
    image, kept = warp.image_with_holes(labels[:, None], ~labels[:, None].isnan())
    dense = DenseValues.from_nan(labels[:, None]).warp(warp)
    classes = ClassMap(torch.where(labels.isnan(), 255, labels).to(torch.int16)).warp(warp)
    sparse = SparseValues.from_dense(labels).warp(warp)
    assert torch.equal(image, dense.value)
    assert torch.equal(kept.bool(), dense.valid)
    assert torch.equal(classes.valid, dense.valid[:, 0])
    assert torch.equal(classes.y[classes.valid].float(), dense.value[dense.valid])
    assert torch.equal(sparse.at(dense.value)[:, 0], sparse.value)
    assert len(sparse.value) == int(dense.valid.sum())


def test_nan_in_a_hole_becomes_zero():
    image = torch.tensor([[[[NAN, 1.0], [2.0, 3.0]]]])
    moved, kept = DihedralWarp(torch.tensor([4]), (2, 2)).image_with_holes(image, ~image.isnan())
    assert moved.tolist() == [[[[1, 0], [3, 2]]]]
    assert kept.tolist() == [[[[1, 0], [1, 1]]]]


def test_a_mask_that_bands_share_stays_shared():
    warp = DihedralWarp(torch.tensor([1, 6]), (4, 4))
    mask = torch.rand((2, 1, 4, 4), generator=torch.Generator().manual_seed(0)) < 0.5
    moved, valid = warp.bilinear(torch.ones(2, 9, 4, 4), mask.expand(2, 9, 4, 4))
    assert warp.image_with_holes(torch.ones(2, 9, 4, 4), mask.expand(2, 9, 4, 4))[1].shape == (2, 1, 4, 4)
    assert torch.equal(moved.bool(), valid)


def test_it_is_the_affine_warp_by_the_same_draw():
    """Flips and quarter turns as one map (and interpolated) against the steps drawn from the same numbers."""
    index = torch.arange(64)
    parameters = Parameters.draw(Ranges(), Key(0, "augment"), index)
    step = parameters.dihedral_step(9, 9)
    quarter = replace(parameters, angle=(parameters.angle / 90).floor() * 90)
    image = torch.randn((64, 2, 9, 9), generator=torch.Generator().manual_seed(0))
    affine = AffineWarp(compose(quarter, None, (9, 9)), "reflect").image(image)
    assert step.unique().tolist() == list(range(8))
    torch.testing.assert_close(affine, DihedralWarp(step, (9, 9)).image(image), atol=2e-5, rtol=0)


def test_says_which_step_it_made_and_that_it_makes_no_hole():
    warp = DihedralWarp(torch.tensor([5, 0]), (3, 3))
    ones = torch.ones(2, 1, 3, 3)
    assert warp.dihedral().tolist() == [5, 0]
    assert not warp.makes_holes
    assert warp.bilinear(ones, everywhere(ones.shape, ones.device))[1].all()
