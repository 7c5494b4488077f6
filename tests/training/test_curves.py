from __future__ import annotations

import math

import numpy as np
import torch

from spectrain.core.loss_sum import LossSum
from spectrain.training.curves import Curves, StepLosses


def loss(value: float, weight: float) -> LossSum:
    return LossSum(torch.tensor(value), torch.tensor(weight))


def filled() -> Curves:
    curves = Curves()
    for value, weight in [(2.0, 1.0), (6.0, 2.0), (0.0, 0.0), (9.0, 3.0)]:
        curves.train.add({"loss": loss(value, weight), "part": loss(value / 2, weight)})
        curves.lr.append(0.1)
    curves.train.fetch()
    curves.train_lengths = [2, 2]
    curves.epochs = [{"epoch": 1.0, "loss_train": 8 / 3}, {"epoch": 2.0, "loss_train": 3.0, "loss_valid": 1.5}]
    return curves


def test_means_are_over_weights_not_over_steps():
    steps = filled().train
    assert math.isclose(steps.mean("loss"), 17 / 6)
    assert math.isclose(steps.mean("part", start=3), 1.5)
    np.testing.assert_allclose(steps.per_step("loss"), [2, 3, np.nan, 3])
    np.testing.assert_allclose(steps.running("loss", [2, 2]), [2, 8 / 3, np.nan, 3])
    np.testing.assert_allclose(steps.running("loss", [2]), [2, 8 / 3, np.nan, 3])


def test_an_empty_curve_is_empty():
    steps = StepLosses()
    steps.fetch()
    assert steps.per_step("loss").size == 0
    assert all(values.size == 0 for values in Curves().arrays().values())


def test_arrays_have_the_documented_shapes():
    arrays = filled().arrays()
    assert arrays["loss_train"].shape == (2,)
    assert arrays["loss_step_train"].shape == arrays["loss_avg_train"].shape == arrays["lr"].shape == (4,)
    assert arrays["loss_valid"].tolist() == [1.5]
    assert arrays["epoch_valid"].tolist() == [2]  # no validation after the first epoch


def test_the_state_comes_back_equal_through_a_file(tmp_path):
    curves = filled()
    torch.save(curves.state(), tmp_path / "state.pt")
    other = Curves()
    other.load(torch.load(tmp_path / "state.pt", weights_only=True))
    for name, values in curves.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], values)
