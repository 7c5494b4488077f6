"""Cyclic and one-cycle rates are torch's to the last digit, whatever the length of the run."""

from __future__ import annotations

import pytest
import torch
from steps_of import config, write_data

import spectrain
from spectrain.training.cycles import Cyclic, OneCycle
from spectrain.training.session import build_session


def torch_rates(scheduler, count, lr=1.0, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = scheduler(optimizer, **options)
    found = []
    for step in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        if step + 1 < count:
            optimizer.step()
            schedule.step()
    return found


@pytest.mark.parametrize(("base", "highest"), [(1e-7, 0.1), (1e-4, 3e-3), (0.1, 0.1)])
@pytest.mark.parametrize(("images", "batch"), [(80, 32), (100, 32), (320, 8), (5, 32), (20, 32)])
def test_the_published_cycles_are_those_of_torch(base, highest, images, batch):
    schedule = Cyclic(highest)
    schedule.measure(images / batch)
    up = max(1, int(2 * images / batch))
    found = [schedule(base, step, max(1, images // batch), 100) for step in range(1000)]
    options = {"base_lr": base, "max_lr": highest, "step_size_up": up, "mode": "triangular2", "cycle_momentum": False}
    assert found == torch_rates(torch.optim.lr_scheduler.CyclicLR, 1000, **options)
    for step, rate in enumerate(found):  # the formula of the description
        cycle = int(1 + step / (2 * up))
        x = abs(step / up - 2 * cycle + 1)
        assert rate == pytest.approx(base + (highest - base) * max(0, 1 - x) / 2 ** (cycle - 1), rel=1e-9, abs=1e-12)


def test_cycles_without_a_measure_are_of_two_epochs_and_may_be_said():
    assert Cyclic(1.0)(0.0, 20, 10, 5) == 1.0 and Cyclic(1.0)(0.0, 60, 10, 5) == 0.5
    assert Cyclic(1.0, step_size_up=7)(0.0, 7, 10, 5) == 1.0
    measured = Cyclic(1.0, step_size_up=7)
    measured.measure(100.0)
    assert measured(0.0, 7, 10, 5) == 1.0


@pytest.mark.parametrize(("steps", "epochs"), [(1, 2), (1, 3), (7, 5), (10, 100), (1, 20)])
@pytest.mark.parametrize("options", [{}, {"pct_start": 0.1, "div_factor": 10.0, "final_div_factor": 100.0}])
def test_one_cycle_is_that_of_torch(steps, epochs, options):
    total = steps * epochs
    found = [OneCycle(**options)(0.01, step, steps, epochs) for step in range(total)]
    options = {"max_lr": 0.01, "total_steps": total, "cycle_momentum": False, **options}
    assert found == torch_rates(torch.optim.lr_scheduler.OneCycleLR, total, **options)


@pytest.mark.parametrize(("total", "share"), [(10, 0.1), (1, 1.0), (1, 0.3), (2, 0.5), (4, 1.0), (4, 0.0)])
def test_one_cycle_where_torch_divides_by_nothing(total, share):
    found = [OneCycle(pct_start=share)(0.01, step, total, 1) for step in range(total + 2)]
    assert all(0 < rate <= 0.01 for rate in found)
    assert found[total - 1] == found[-1]


def test_a_training_measures_its_images_for_the_cycles(tmp_path):
    data = write_data(tmp_path / "toy.h5")
    chosen = ["scheduler=cyclic", "scheduler.max_lr=0.5", "optimizer.lr=0.1", "hparams.batch_size=6"]
    session = build_session(config(data, "toy_dense", *chosen))
    try:
        up = int(2 * len(session.train.loader.patches) / 6)
        assert up != 2 * session.train_order.steps_per_epoch
        assert session.learning_rate(up) == 0.5 and session.learning_rate(2 * up) == 0.1
    finally:
        session.close()


@pytest.mark.parametrize("scheduler", ["cyclic", "cosine", "onecycle"])
def test_the_public_rate_is_that_of_the_training(tmp_path, scheduler):
    data = write_data(tmp_path / "toy.h5")
    cfg = config(data, "toy_dense", f"scheduler={scheduler}", "hparams.batch_size=6", "hparams.epochs=4")
    with build_session(cfg) as session, spectrain.make_loader(cfg) as loader:
        assert loader.steps_per_epoch == 16 / 6
        assert 4 * session.train_order.steps_per_epoch == session.total_steps == 8
        for step in range(8):
            assert spectrain.learning_rate(cfg, step, loader.steps_per_epoch) == session.learning_rate(step)
