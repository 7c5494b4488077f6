from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrain.augment.geometry import Parameters, Ranges, compose
from spectrain.core.errors import DataError
from spectrain.core.random import Key

KEY = Key(3, "augment/geometry")
MANY = torch.arange(20_000)


def still(**changes: float) -> Parameters:
    """One sample that nothing happens to, but for ``changes``."""
    names = ("flip_y", "flip_x", "angle", "jitter_y", "jitter_x", "shift_y", "shift_x", "scale")
    values = dict.fromkeys(names, 0.0) | {"scale": 1.0} | changes
    return Parameters(**{name: torch.tensor([float(value)]) for name, value in values.items()})


def source(parameters: Parameters, x: float, y: float, crop: int | None = None, size=(64, 64)) -> list[float]:
    """Where output pixel (x, y), from the centre, comes from."""
    flips = {name: getattr(parameters, name).bool() for name in ("flip_y", "flip_x")}
    matrix = compose(replace(parameters, **flips), crop, size).matrix[0]
    return (matrix @ torch.tensor([x, y, 1.0])).tolist()


@pytest.mark.parametrize(
    ("changes", "crop", "expected"),
    [
        ({}, None, [3, 5]),
        ({"flip_x": 1}, None, [-3, 5]),
        ({"flip_y": 1}, None, [3, -5]),
        ({"angle": 90}, None, [-5, 3]),  # numpy.rot90: row 0 of the view is the last column of the image
        ({"shift_y": 2, "shift_x": -1}, None, [4, 3]),
        ({"scale": 2}, None, [1.5, 2.5]),
        ({}, 32, [1.5, 2.5]),
        ({"jitter_x": 4, "jitter_y": -4}, 32, [5.5, -1.5]),
        ({"flip_x": 1, "angle": 90, "jitter_x": 4}, 32, [2.5, 5.5]),  # the crop is drawn in the turned, flipped image
    ],
)
def test_each_step_moves_a_pixel_where_it_should(changes, crop, expected):
    assert source(still(**changes), 3, 5, crop) == pytest.approx(expected, abs=1e-5)


def test_a_crop_zooms_images_that_are_not_square_alike_along_both_axes():
    assert source(still(), 8, 8, 32, (64, 128)) == pytest.approx([4, 4])
    assert source(still(), 8, 8, 32, (128, 64)) == pytest.approx([4, 4])


def test_a_window_is_cut_at_the_border_and_then_stretched():
    geometry = compose(
        replace(still(jitter_x=20), flip_y=torch.tensor([False]), flip_x=torch.tensor([False])), 40, (64, 64)
    )
    # 40 px around column 52 are cut to columns 32 to 63
    left, right = (geometry.matrix[0] @ torch.tensor([x, 0.0, 1.0]) for x in (-32.0, 32.0))
    assert left[0] == pytest.approx(0, abs=1e-5)
    assert right[0] == pytest.approx(32, abs=1e-5)


def test_draws_fill_their_ranges_evenly():
    drawn = Parameters.draw(Ranges(crop=40, jitter=5, shift=(2.0, 3.0), scale=0.25), KEY, MANY)
    assert [round(drawn.flip_y.float().mean().item(), 1), round(drawn.flip_x.float().mean().item(), 1)] == [0.5, 0.5]
    assert 0 <= drawn.angle.min() < 0.1
    assert 359.9 < drawn.angle.max() < 360
    steps, counts = drawn.jitter_x.unique(return_counts=True)
    assert steps.tolist() == list(range(-5, 6))
    assert counts.float().std() / counts.float().mean() < 0.05
    for values, limit, middle in ((drawn.shift_y, 2, 0), (drawn.shift_x, 3, 0), (drawn.scale, 0.25, 1)):
        assert (values - middle).abs().max() == pytest.approx(limit, rel=1e-3)
        assert values.mean() == pytest.approx(middle, abs=0.05)


def test_a_largest_angle_is_to_either_side():
    angle = Parameters.draw(Ranges(rotate=10.0), KEY, MANY).angle
    assert (angle.min().item(), angle.max().item()) == pytest.approx((-10, 10), abs=0.01)


def test_one_range_does_not_change_what_another_draws():
    first = Parameters.draw(Ranges(), KEY, MANY)
    second = Parameters.draw(Ranges(flip=False, crop=40, jitter=5, shift=(1.0, 1.0), scale=0.1), KEY, MANY)
    assert torch.equal(first.angle, second.angle)
    assert not second.flip_x.any()


def test_parameters_are_not_correlated():
    drawn = Parameters.draw(Ranges(crop=40, jitter=5, shift=(1.0, 1.0), scale=0.1), KEY, MANY)
    table = torch.stack([getattr(drawn, name).float() for name in Parameters.__slots__])
    off_diagonal = torch.corrcoef(table) - torch.eye(len(table))
    assert off_diagonal.abs().max() < 4 / math.sqrt(len(MANY))


@pytest.mark.parametrize(("ranges", "key"), [(Ranges(crop=41), "crop"), (Ranges(crop=10, jitter=21), "jitter")])
def test_a_window_that_does_not_fit_is_named(ranges, key):
    with pytest.raises(DataError, match=rf"40 x 50 px\n.*augmentation\.{key}\n.*or less"):
        ranges.check(40, 50)


@pytest.mark.parametrize(
    ("ranges", "inside"),
    [
        (Ranges(rotate=0.0), True),
        (Ranges(rotate=0.0, crop=60, jitter=20), True),  # cut at the border
        (Ranges(), False),
        (Ranges(crop=40, jitter=5), False),  # the published form
        (Ranges(crop=32, jitter=5), True),
        (Ranges(crop=32, jitter=5, shift=(4.0, 0.0)), False),
        (Ranges(rotate=0.0, shift=(0.0, 1.0)), False),
        (Ranges(rotate=0.0, crop=32, scale=0.4), True),
        (Ranges(rotate=0.0, crop=32, scale=0.6), False),
    ],
)
def test_what_stays_inside_is_known_before_anything_is_drawn(ranges, inside):
    assert ranges.stays_inside(64, 64) is inside


@given(
    st.sampled_from([0.0, 20.0, 360.0]),
    st.integers(2, 30),
    st.integers(0, 10),
    st.floats(0, 3),
    st.floats(0, 0.5),
    st.sampled_from([(32, 32), (31, 47)]),
)
@settings(max_examples=60, deadline=None)
def test_what_is_said_to_stay_inside_does(rotate, crop, jitter, shift, scale, size):
    ranges = Ranges(rotate=rotate, crop=crop, jitter=jitter, shift=(shift, shift), scale=scale)
    if not ranges.stays_inside(*size):
        return
    matrix = compose(Parameters.draw(ranges, KEY, torch.arange(200)), crop, size).matrix
    corners = torch.tensor([[x * (size[1] - 1) / 2, y * (size[0] - 1) / 2, 1.0] for x in (-1, 1) for y in (-1, 1)])
    reached = (matrix @ corners.T).abs().amax((0, 2))
    assert reached[0] <= size[1] / 2 + 1e-3
    assert reached[1] <= size[0] / 2 + 1e-3


@pytest.mark.parametrize(("size", "steps"), [((8, 8), 8), ((8, 6), 4)])
def test_dihedral_steps_are_equally_likely(size, steps):
    step, counts = Parameters.draw(Ranges(), KEY, MANY).dihedral_step(*size).unique(return_counts=True)
    assert step.tolist() == list(range(0, 8, 8 // steps))
    assert counts.float().std() / counts.float().mean() < 0.05


def test_flips_alone_are_four_steps():
    step = Parameters.draw(Ranges(rotate=0.0), KEY, MANY).dihedral_step(8, 8)
    assert step.unique().tolist() == [0, 2, 4, 6]
