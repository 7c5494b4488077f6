from __future__ import annotations

import numpy as np
import pytest
import torch

from spectrain.core.batch import Batch, RawBatch, everywhere, stack_views
from spectrain.core.fill import fill_invalid
from spectrain.core.targets import ClassLabel, ClassMap, DenseValues, NoTarget, SparseValues, dihedral_position

NAN = float("nan")


class Dihedral:
    """A warp by index operations on square images, as a slow reference."""

    def __init__(self, steps: list[int]) -> None:
        self.steps = torch.tensor(steps)

    def _moved(self, values: torch.Tensor) -> torch.Tensor:
        moved = [torch.rot90(value, int(step) % 4, (-2, -1)) for value, step in zip(values, self.steps, strict=True)]
        return torch.stack([v.flip(-1) if step >= 4 else v for v, step in zip(moved, self.steps, strict=True)])

    def bilinear(self, values, valid):
        return self._moved(values), self._moved(valid)

    def nearest(self, values, outside):
        return self._moved(values)

    def dihedral(self):
        return self.steps


@pytest.mark.parametrize(("step", "shape"), [*((s, (4, 4)) for s in range(8)), *((s, (3, 5)) for s in (0, 2, 4, 6))])
def test_dihedral_positions_follow_numpy(step, shape):
    height, width = shape
    image = np.arange(height * width).reshape(shape)
    moved = np.rot90(image, step % 4)
    moved = moved[:, ::-1] if step >= 4 else moved
    y, x = (torch.from_numpy(a.ravel()) for a in np.indices(shape))
    new_y, new_x = dihedral_position(torch.tensor(step), y, x, height, width)
    assert (moved[new_y.numpy(), new_x.numpy()] == image.ravel()).all()


def test_all_targets_move_alike():
    values = torch.full((8, 4, 4), NAN)
    values[torch.arange(8), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3]), 2] = torch.arange(8.0)
    warp = Dihedral(list(range(8)))
    dense = DenseValues.from_nan(values[:, None]).warp(warp)
    sparse = SparseValues.from_dense(values).warp(warp)
    classes = ClassMap(torch.where(values.isnan(), 255, values).to(torch.int16)).warp(warp)
    assert torch.equal(sparse.at(dense.value)[:, 0], sparse.value)
    assert torch.equal(classes.y[classes.valid].float(), dense.value[dense.valid])
    assert dense.valid.sum() == 8


def test_what_counts():
    assert NoTarget().valid.numel() == 0
    assert ClassLabel(torch.tensor([2, -1])).valid.tolist() == [True, False]
    assert ClassMap(torch.tensor([[[0, 255]]])).valid.tolist() == [[[True, False]]]
    dense = DenseValues.from_nan(torch.tensor([[[[1.0, NAN, float("inf")]]]]))
    assert dense.valid.tolist() == [[[[True, False, False]]]]
    assert dense.value.tolist() == [[[[1.0, 0.0, 0.0]]]]
    sparse = SparseValues.from_dense(torch.full((2, 3, 3), NAN))
    assert sparse.valid.shape == (0,)
    assert sparse.at(torch.zeros(2, 5, 3, 3)).shape == (0, 5)


def test_two_views_repeat_the_target_row_by_row():
    values = torch.full((2, 3, 3), NAN)
    values[1, 2, 1] = 4.0
    twice = SparseValues.from_dense(values).repeat(2)
    assert twice.row.tolist() == [1, 3]
    assert twice.shape == (4, 3, 3)
    assert ClassLabel(torch.tensor([5, 6])).repeat(2).y.tolist() == [5, 6, 5, 6]
    assert ClassMap(torch.zeros(2, 3, 3)).repeat(2).y.shape == (4, 3, 3)
    assert DenseValues.from_nan(torch.zeros(2, 1, 3, 3)).repeat(3).valid.shape == (6, 1, 3, 3)
    assert NoTarget().repeat(2) == NoTarget()


@pytest.mark.parametrize(
    "target",
    [
        NoTarget(),
        ClassLabel(torch.tensor([1, 2])),
        ClassMap(torch.zeros(2, 3, 3)),
        DenseValues.from_nan(torch.zeros(2, 1, 3, 3)),
        SparseValues.from_dense(torch.zeros(2, 3, 3)),
    ],
)
def test_targets_move_to_a_device(target):
    moved = target.to("meta")
    assert type(moved) is type(target)
    assert moved.valid.shape == target.valid.shape
    assert isinstance(target, NoTarget) or moved.valid.device.type == "meta"


def test_views_stack_view_major_and_share_their_index():
    shape = torch.Size((2, 1, 3, 3))
    first = Batch(torch.zeros(shape), everywhere(shape, torch.device("cpu")), NoTarget(), torch.tensor([4, -1]), True)
    both = stack_views([first, first.replace(image=torch.ones(shape))])
    assert both.views == 2
    assert both.index.tolist() == [4, -1, 4, -1]
    assert both.real.tolist() == [True, False, True, False]
    assert both.image[:2].sum() == 0
    assert both.valid.shape == both.image.shape
    assert both.valid.untyped_storage().nbytes() == 1
    assert stack_views([first]) is first


def test_a_batch_whose_parts_disagree_is_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        Batch(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 3, dtype=torch.bool), NoTarget(), torch.zeros(1), False)
    with pytest.raises(ValueError, match="2 indices for 1"):
        Batch(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.bool), NoTarget(), torch.zeros(2), False)


def test_raw_batches_move_with_their_mask():
    raw = RawBatch(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.bool), NoTarget(), torch.zeros(1))
    moved = raw.to("meta")
    assert moved.image.device.type == moved.mask.device.type == moved.index.device.type == "meta"
    assert RawBatch(torch.zeros(1), None, NoTarget(), torch.zeros(1)).to("meta").mask is None


def test_a_hole_is_filled_before_arithmetic_so_that_no_gradient_is_nan():
    values = torch.tensor([1.0, NAN, -1.0], requires_grad=True)
    valid = torch.tensor([True, False, False])
    torch.where(valid, values.log(), 0.0).sum().backward()
    assert values.grad.isnan().any()  # what the helper is there to avoid
    values.grad = None
    fill_invalid(values, valid, 1.0).log().sum().backward()
    assert values.grad.tolist() == [1.0, 0.0, 0.0]
