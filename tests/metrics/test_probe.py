"""The probes against scikit-learn, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from spectrain.metrics.probe import (
    ALPHAS,
    accuracy,
    nearest_rows,
    neighbour_mean,
    neighbour_vote,
    r_squared,
    ridge,
)


def rows(count, dim, seed):
    """Correlated features, some on another scale, one constant."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(count, dim)) @ np.random.default_rng(0).normal(size=(dim, dim))
    found[:, 0] *= 1000
    found[:, -1] = 3.0
    return found


def quantity(features):
    return features[:, 1] * 2 - features[:, 2] + np.sin(features[:, 3])


@pytest.fixture
def data():
    train, valid = rows(150, 12, 1), rows(40, 12, 2)
    return train, valid, quantity(train), quantity(valid)


@pytest.mark.parametrize("count", [1, 5, 500])
def test_neighbours_are_those_of_scikit_learn(data, count):
    train, valid, y, _ = data
    near = nearest_rows(torch.tensor(train), torch.tensor(valid), count)
    oracle = KNeighborsRegressor(min(count, len(train))).fit(train, y)
    np.testing.assert_allclose(neighbour_mean(near, torch.tensor(y)), oracle.predict(valid), rtol=1e-9)


def test_votes_are_those_of_scikit_learn(data):
    train, valid, y, _ = data
    classes = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    near = nearest_rows(torch.tensor(train), torch.tensor(valid), 6)  # even, so that votes tie
    oracle = KNeighborsClassifier(6).fit(train, classes)
    assert neighbour_vote(near, torch.tensor(classes)).tolist() == oracle.predict(valid).tolist()


@pytest.mark.parametrize("count", [150, 9])  # more rows than features, and fewer
def test_ridge_is_that_of_scikit_learn(data, count):
    train, valid, y, _ = data
    train, y = train[:count], y[:count]
    scaler = StandardScaler().fit(train)
    oracle = RidgeCV(alphas=ALPHAS).fit(scaler.transform(train), y)
    found = ridge(torch.tensor(train), torch.tensor(y)[:, None], torch.tensor(valid))[:, 0]
    np.testing.assert_allclose(found, oracle.predict(scaler.transform(valid)), rtol=1e-5)


def test_ridge_tells_classes_as_scikit_learn_does(data):
    train, valid, y, _ = data
    classes = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    scaler = StandardScaler().fit(train)
    oracle = RidgeClassifierCV(alphas=ALPHAS).fit(scaler.transform(train), classes).predict(scaler.transform(valid))
    one_hot = torch.nn.functional.one_hot(torch.tensor(classes), 3).double()
    found = ridge(torch.tensor(train), one_hot, torch.tensor(valid)).argmax(1).numpy()
    assert (found == oracle).mean() > 0.97  # one may lie on the border


def test_scores():
    rng = np.random.default_rng(0)
    wanted, found = rng.normal(size=20), rng.normal(size=20)
    assert r_squared(torch.tensor(found), torch.tensor(wanted)) == pytest.approx(r2_score(wanted, found))
    assert accuracy(torch.tensor([1, 2, 3, 3]), torch.tensor([1, 2, 3, 4])) == 0.75
    assert math.isnan(r_squared(torch.zeros(3), torch.ones(3)))
    assert math.isnan(r_squared(torch.zeros(0), torch.zeros(0)))
    assert math.isnan(accuracy(torch.zeros(0), torch.zeros(0)))


def test_features_that_are_all_alike_predict_the_mean():
    same = torch.full((10, 4), 2.5)
    wanted = torch.arange(10.0)
    assert ridge(same, wanted[:, None], same[:3]).flatten().tolist() == [4.5] * 3
    assert neighbour_mean(nearest_rows(same, same[:3], 10), wanted).tolist() == [4.5] * 3
