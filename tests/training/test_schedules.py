from __future__ import annotations

import logging
import math

import pytest

from spectrain.training.schedules import Constant, Cosine, Nenya, Plateau, Step


def test_a_constant_rate_stays():
    assert {Constant()(0.3, step, 10, 5) for step in range(50)} == {0.3}


def test_the_cosine_falls_from_the_base_rate_to_the_minimum():
    schedule = Cosine(min_factor=0.1)
    rates = [schedule(2.0, step, 10, 5) for step in range(51)]
    assert rates[0] == pytest.approx(2.0)
    assert rates[25] == pytest.approx(2.0 * 0.55)
    assert rates[50] == pytest.approx(0.2)
    assert rates == sorted(rates, reverse=True)


def test_the_warm_up_rises_linearly_and_is_cut_to_the_length_of_the_run():
    rates = [Cosine(warmup_epochs=1)(1.0, step, 10, 100) for step in range(10)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[4] == pytest.approx(0.5, rel=1e-3)
    short = [Cosine(warmup_epochs=10)(1.0, step, 10, 2) for step in range(20)]
    assert max(short) <= 1.0
    assert short[0] < short[5]


@pytest.mark.parametrize("base", [0.001, 0.05, 3.0])
@pytest.mark.parametrize(("part", "options"), [(Cosine, {}), (Step, {"milestones": [1]})])
def test_a_warm_up_longer_than_the_run_follows_the_rate_and_ends_with_it(part, options, base):
    warm, plain = part(**options, warmup_epochs=10), part(**options)
    rates = [warm(base, step, 10, 4) for step in range(40)]
    assert rates == pytest.approx([plain(base, step, 10, 4) * (step + 1) / 40 for step in range(40)])
    assert 0 < rates[0] < base


def test_steps_multiply_at_the_milestones():
    schedule = Step([3, 1], gamma=0.1)
    assert [schedule(1.0, epoch * 4, 4, 5) for epoch in range(5)] == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


def test_the_plateau_lowers_the_rate_after_its_patience_and_survives_a_checkpoint():
    schedule = Plateau(factor=0.5, patience=1)
    for value in (1.0, 0.5, 0.5, math.nan):
        schedule.observe(value, "min")
    assert schedule(1.0, 0, 1, 1) == 0.5
    other = Plateau(factor=0.5, patience=1)
    other.load_state_dict(schedule.state_dict())
    other.observe(0.5, "min")
    other.observe(0.5, "min")
    assert other(1.0, 0, 1, 1) == 0.25


def test_the_plateau_watches_for_growth_where_more_is_better():
    schedule = Plateau(factor=0.5, patience=0)
    for value in (0.1, 0.2, 0.3):
        schedule.observe(value, "max")
    assert schedule(1.0, 0, 1, 1) == 1.0
    schedule.observe(0.2, "max")
    assert schedule(1.0, 0, 1, 1) == 0.5


def published_rates(lr, epochs, steps, *, cosine, warm, decay=0.1, milestones=(), start=0.01, length=10):
    """The reference's formulas (section A2.4 of its description) as a loop over epochs from 1 and steps from 0."""
    eta_min = lr * decay**3
    warmup_to = eta_min + (lr - eta_min) * (1 + math.cos(math.pi * length / epochs)) / 2 if cosine else lr
    found = []
    for epoch in range(1, epochs + 1):
        if cosine:
            rate = eta_min + (lr - eta_min) * (1 + math.cos(math.pi * epoch / epochs)) / 2
        else:
            rate = lr * decay ** len([milestone for milestone in milestones if epoch > milestone])
        for batch in range(steps):
            if warm and epoch <= length:
                share = (batch + (epoch - 1) * steps) / (length * steps)
                rate = start + share * (warmup_to - start)
            found.append(rate)
    return found


@pytest.mark.parametrize("lr", [0.05, 0.005, 0.3])
@pytest.mark.parametrize("epochs", [3, 10, 11, 40])
@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("cosine", [True, False])
def test_the_published_schedule(lr, epochs, steps, warm, cosine):
    schedule = Nenya(cosine=cosine, lr_decay_epochs=[5, 8], warm=warm)
    found = [schedule(lr, step, steps, epochs) for step in range(epochs * steps)]
    wanted = published_rates(lr, epochs, steps, cosine=cosine, warm=warm, milestones=[5, 8])
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("lr", "epochs", "words"),
    [
        (0.05, 10, "falls from 0.01 to 5e-05 and never ends: it takes 10 epochs of a run of 10; scheduler=cosine"),
        (0.001, 100, "begins at 0.01, above the learning rate of 0.001; scheduler=cosine scheduler.warmup_epochs=10"),
        (0.05, 4, "takes 10 epochs of a run of 4; scheduler=cosine scheduler.warmup_epochs=1"),
        (0.05, 200, ""),
    ],
)
def test_a_published_warm_up_that_nobody_wants_is_warned_of_once(caplog, lr, epochs, words):
    schedule = Nenya(warm=True)
    with caplog.at_level(logging.WARNING):
        for step in (0, 0, 1, 2):
            schedule(lr, step, 10, epochs)
        Nenya(warm=True)(lr, 7, 10, epochs)  # a run that is continued has been told
        Nenya(warm=False)(lr, 0, 10, epochs)
    assert len(caplog.records) == bool(words)
    assert words in caplog.text


def test_a_rising_published_warm_up_over_the_whole_run_is_warned_of_too(caplog):
    Nenya(cosine=False, warm=True)(0.05, 0, 10, 10)
    assert "the published warm-up never ends" in caplog.text
