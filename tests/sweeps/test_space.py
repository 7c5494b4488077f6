"""Every distribution by sampling: its bounds, steps, scale; the grid complete; random search a pure function."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spectrain.sweeps.distributions import distribution_of
from spectrain.sweeps.space import Space, drawn

COUNT = 4000
LEVELS = (np.arange(COUNT) + 0.5) / COUNT


def values(words):
    found = distribution_of(words)
    return np.array([found.draw(float(u)) for u in LEVELS]), found


# words, the distribution that scipy knows it by
CONTINUOUS = [
    ({"min": 2.0, "max": 5.0}, stats.uniform(2, 3)),
    ({"distribution": "uniform", "min": -1, "max": 1}, stats.uniform(-1, 2)),
    ({"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1}, stats.loguniform(1e-5, 1e-1)),
    ({"distribution": "log_uniform", "min": -7, "max": 0}, stats.loguniform(math.exp(-7), 1)),
    ({"distribution": "inv_log_uniform_values", "min": 1e-3, "max": 10}, stats.loguniform(1e-3, 10)),
    ({"distribution": "inv_log_uniform", "min": 0, "max": 3}, stats.loguniform(math.exp(-3), 1)),
    ({"distribution": "normal", "mu": 3, "sigma": 0.5}, stats.norm(3, 0.5)),
    ({"mu": 3, "sigma": 0.5}, stats.norm(3, 0.5)),
    ({"distribution": "log_normal", "mu": 1, "sigma": 0.5}, stats.lognorm(0.5, scale=math.e)),
    ({"distribution": "beta", "a": 2, "b": 5}, stats.beta(2, 5)),
]


@pytest.mark.parametrize(("words", "theirs"), CONTINUOUS, ids=lambda one: str(one)[:40])
def test_a_distribution_is_what_its_name_says(words, theirs):
    found, _ = values(words)
    assert stats.kstest(found, theirs.cdf).pvalue > 0.99  # of even levels, not of random ones
    low, high = theirs.support()
    assert low - 1e-12 <= found.min() and found.max() <= high + 1e-12
    assert all(type(value) is float for value in found.tolist())


def test_whole_numbers_are_even_and_have_both_ends():
    for words in ({"min": -1, "max": 3}, {"distribution": "int_uniform", "min": -1, "max": 3.0}):
        found, made = values(words)
        assert Counter(found.tolist()) == dict.fromkeys(range(-1, 4), COUNT // 5)
        assert all(type(made.draw(u)) is int for u in (0.0, 0.5, 0.999999))


@pytest.mark.parametrize(
    ("words", "step", "low", "high"),
    [
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, 0.25, 0, 1),
        ({"min": 0, "max": 10, "q": 2}, 2, 0, 10),
        ({"distribution": "q_normal", "mu": 0, "sigma": 2, "q": 0.5}, 0.5, -math.inf, math.inf),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 100, "q": 5}, 5, 0, 100),
        ({"distribution": "q_log_uniform", "min": 0, "max": 3, "q": 1}, 1, 1, 20),
        ({"distribution": "q_log_normal", "mu": 0, "sigma": 1, "q": 1}, 1, 0, math.inf),
        ({"distribution": "q_beta", "a": 1, "b": 1, "q": 0.1}, 0.1, 0, 1),
    ],
)
def test_steps(words, step, low, high):
    found, _ = values(words)
    assert np.allclose(found / step, np.round(found / step))
    assert low <= found.min() and found.max() <= high
    assert len(set(found.tolist())) > 3
    if step == int(step):
        assert all(type(distribution_of(words).draw(float(u))) is int for u in LEVELS[::400])


def test_choices_have_their_probabilities():
    found, made = values({"values": ["a", None, 3, True]})
    assert Counter(map(str, found)) == {"a": 1000, "None": 1000, "3": 1000, "True": 1000}
    found, made = values({"values": ["a", "b", "c"], "probabilities": [0.7, 0.0, 0.3]})
    assert Counter(found.tolist()) == {"a": 2800, "c": 1200} and made.values == ("a", "c")
    assert values({"value": [25, 5]})[1].draw(0.4) == [25, 5]
    assert made.draw(1 - 1e-17) == "c"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "needs a value, values, min and max"),
        ({"min": 1}, "needs a value, values, min and max"),
        ({"min": 1, "max": 1}, "max above its min"),
        ({"min": "a", "max": 1.0}, "from one number to another"),
        ({"distribution": "uniform", "min": 1}, "needs 'max'"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "above 0 on a logarithmic scale"),
        ({"distribution": "log_uniform", "min": 1, "max": 1000}, "exponents of e"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "whole number"),
        ({"distribution": "q_uniform", "min": 0, "max": 2, "q": 0}, "step q above 0"),
        ({"distribution": "normal", "mu": 0, "sigma": 0}, "sigma above 0"),
        ({"distribution": "beta", "a": 0}, "above 0"),
        ({"distribution": "unifrom", "min": 0, "max": 2}, "did you mean 'uniform'"),
        ({"distribution": "q_categorical", "values": [1]}, "no known distribution"),
        ({"values": []}, "must list values"),
        ({"values": 3}, "list of values"),
        ({"values": [1, 2], "probabilities": [1]}, "1 probabilities for 2 values"),
        ({"values": [1, 2], "probabilities": [0.9, 0.9]}, "add up to 1"),
        ({"value": 1, "min": 3}, "has min, which constant does not take"),
    ],
)
def test_impossible_ranges_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        distribution_of(words)


def space(**parameters):
    return Space({name: distribution_of(words) for name, words in parameters.items()})


def test_a_grid_is_complete_and_repeats_nothing():
    one = space(a={"values": ["x", "y"]}, b={"min": 1, "max": 3}, c={"value": 0.1}, d={"min": 0, "max": 1, "q": 0.5})
    trials = [tuple(one.grid(number).items()) for number in range(one.grid_size)]
    assert one.grid_size == 2 * 3 * 1 * 3 == len(set(trials))
    assert dict(trials[0]) == {"a": "x", "b": 1, "c": 0.1, "d": 0.0}
    assert dict(trials[1])["d"] == 0.5 and dict(trials[-1]) == {"a": "y", "b": 3, "c": 0.1, "d": 1.0}
    with pytest.raises(IndexError, match="has 18 trials"):
        one.grid(18)
    assert list(space(a={"min": 0.0, "max": 1.0}, b={"value": 1}).endless()) == ["a"]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**62), st.integers(0, 10**6))
def test_random_search_is_a_function_of_seed_and_number(seed, trial):
    one = space(a={"min": 0.0, "max": 1.0}, b={"values": list(range(100))})
    again = Space({"b": one.parameters["b"], "a": one.parameters["a"]})
    assert one.random(seed, trial) == again.random(seed, trial)
    assert 0 <= drawn(seed, trial, "a") < 1


def test_trials_seeds_and_parameters_are_drawn_independently():
    table = np.array([[drawn(0, trial, name) for name in "abc"] for trial in range(800)])
    assert all(stats.kstest(column, "uniform").pvalue > 1e-3 for column in table.T)
    assert np.abs(np.corrcoef(table.T) - np.eye(3)).max() < 0.15
    assert np.abs(np.corrcoef(table[:-1, 0], table[1:, 0])[0, 1]) < 0.15
    other = np.array([drawn(1, trial, "a") for trial in range(800)])
    assert np.abs(np.corrcoef(table[:, 0], other)[0, 1]) < 0.15
