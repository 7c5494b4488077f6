from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spectrain.core.keys import shuffled
from spectrain.core.random import Key, normal_image, permuted, uniform, words

SAMPLES = torch.arange(4096)
KNOWN = [[-7870597333290006607, 234363585769715301], [8950248441244253040, -4497256712913624993]]


def test_a_number_belongs_to_its_sample_whatever_the_batch():
    key = Key(7, "augment", epoch=3, view=1)
    whole = uniform(key, SAMPLES, 5)
    some = torch.tensor([4000, 17, 17, 0])
    assert torch.equal(uniform(key, some, 5), whole[some])
    assert torch.equal(uniform(key, SAMPLES, 3), whole[:, :3])
    noise = normal_image(key, SAMPLES[:50], (2, 5, 7))
    assert torch.equal(normal_image(key, torch.tensor([49, 3]), (2, 5, 7)), noise[[49, 3]])


def test_known_values_do_not_change_between_versions():
    # A checkpoint resumed by a later version must draw the same numbers.
    key = Key(1, "augment", epoch=2, view=0)
    assert key.word() == 2188376146744471689
    assert words(key, torch.tensor([0, 5]), 2).tolist() == KNOWN


@pytest.mark.parametrize("change", [{"seed": 1}, {"purpose": "mask"}, {"epoch": 1}, {"view": 1}])
def test_streams_are_independent(change):
    first, second = (uniform(key, SAMPLES, 1)[:, 0] for key in (Key(0, "augment"), Key(0, "augment").at(**change)))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06


def test_uniform_numbers_are_uniform():
    values = uniform(Key(0, "augment"), torch.arange(20000), 4)
    assert values.min() >= 0
    assert values.max() < 1
    for column in values.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 0.03
    assert abs(np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]) < 0.03


def test_noise_is_standard_normal_and_uncorrelated():
    noise = normal_image(Key(3, "noise"), torch.arange(40), (1, 64, 65))
    assert noise.shape == (40, 1, 64, 65)
    assert stats.kstest(noise.flatten().numpy()[:100000], "norm").pvalue > 1e-4
    rows = noise.flatten(1).numpy()
    correlation = np.corrcoef(rows) - np.eye(40)
    assert np.abs(correlation).max() < 0.08
    assert abs(np.corrcoef(rows[:, :-1].ravel(), rows[:, 1:].ravel())[0, 1]) < 0.01


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000))
def test_a_permutation_meets_each_once(size, seed, epoch):
    order = permuted(Key(seed, "order", epoch), size, torch.arange(size))
    assert torch.equal(order.sort().values, torch.arange(size))


def test_a_permutation_looks_random_and_differs_by_epoch():
    size = 10000
    first, second = (permuted(Key(0, "order", epoch), size, torch.arange(size)).numpy() for epoch in (0, 1))
    for order in (first, second):
        assert abs(np.corrcoef(order, np.arange(size))[0, 1]) < 0.04
    assert (first == second).mean() < 0.01


def test_skipping_ahead_needs_no_order():
    key, size = Key(5, "order", 2), 10**12
    ahead = permuted(key, size, torch.tensor([10**11, 10**12 - 1]))
    assert ahead.min() >= 0
    assert ahead.max() < size
    with pytest.raises(ValueError, match="at least one"):
        permuted(key, 0, torch.arange(0))


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_shuffle_without_torch_is_the_same_permutation(size):
    key = Key(3, "splits")
    found = shuffled(key, size)
    assert found == permuted(key, size, torch.arange(size)).tolist() and sorted(found) == list(range(size))
