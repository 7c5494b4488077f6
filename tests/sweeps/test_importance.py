"""Importance of parameters: what decides is found, and noise is called noise."""

from __future__ import annotations

import random

import pytest
from made_sweeps import TEXT, add, made, plausible, two_metrics

from spectrain.sweeps.importance import FEWEST, importances
from spectrain.sweeps.results import results_of


def found(sweep, count, scores=None, **more):
    for _ in range(count):
        add(sweep, scores or plausible(), **more)
    return importances(results_of(sweep))


@pytest.fixture
def sweep(tmp_path):
    return made(tmp_path, folds=1, randoms=1)


def test_what_decides_is_found(sweep):
    (one,) = found(sweep, 30)
    assert next(iter(one.shares)) == "optimizer.lr" and one.shares["optimizer.lr"] > 0.6 > one.chance
    assert list(one.deciding) == ["optimizer.lr"] and one.trials == 30


def test_each_metric_has_its_own(tmp_path):
    both = found(made(tmp_path, two_metrics(TEXT), folds=1, randoms=1), 24, plausible(2))
    assert [next(iter(one.shares)) for one in both] == ["optimizer.lr", "loss.gamma"]


def test_noise_is_not_above_chance(sweep):
    (one,) = found(sweep, 20, lambda number, parameters, run: (random.Random(number).random(),))
    assert one.deciding == {} and "None explains more than chance would" in one.remark


def test_too_few_trials_say_so(sweep):
    (one,) = found(sweep, FEWEST - 1)
    assert not one.shares and one.remark == "Importance needs 10 complete trials, and there are 9."


def test_failed_and_running_trials_do_not_count(sweep):
    for state in ("failed", "running", "waiting"):
        (one,) = found(sweep, 4, lambda *_: None, state=state)
    assert "and there are 0" in one.remark


def test_one_value_or_one_score_cannot_be_important(tmp_path):
    same = (
        "name: a\nmethod: random\nmetric: {name: jaccard_valid, goal: maximize}\nparameters: {loss.gamma: {value: 2}}\n"
    )
    (one,) = found(made(tmp_path / "a", same, folds=1, randoms=1), 10, lambda number, *_: (number / 10,))
    assert "all are the same" in one.remark
    (one,) = found(made(tmp_path / "b", folds=1, randoms=1), 10, lambda *_: (0.5,))
    assert "the same score" in one.remark


def test_lists_truths_and_bells_are_taken(tmp_path):
    text = (
        "name: a\nmethod: random\nmetric: {name: jaccard_valid, goal: maximize}\nparameters:\n"
        "  general.use_amp: {values: [true, false, auto]}\n  augmentation.scales: {values: [[1, 2], [1, 4]]}\n"
        "  loss.gamma: {distribution: q_log_normal, mu: 1, sigma: 2, q: 0.5}\n"
    )
    values = lambda number, parameters, run: (float(parameters["general.use_amp"] is True) + number / 100,)  # noqa: E731
    (one,) = found(made(tmp_path, text, folds=1, randoms=1), 24, values)
    assert next(iter(one.shares)) == "general.use_amp"
