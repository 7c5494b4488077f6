"""Streamed principal components against scikit-learn, and UMAP."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA

from spectrain.core.errors import DataError, SpectrainError
from spectrain.inference.embeddings.projection import StreamedPca, umap_positions


def rows(count=50, dim=8, offset=0.0):
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, dim)) @ rng.normal(size=(dim, dim)) + offset


def streamed(values, size):
    pca = StreamedPca()
    for start in range(0, len(values), size):
        pca.update(values[start : start + size])
    return pca


@pytest.mark.parametrize("size", [1, 7, 50])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("count", [50, 5])  # also fewer rows than dimensions
def test_components_are_those_of_scikit_learn(size, offset, count):
    values = rows(count, offset=offset)
    found = streamed(values, size).result()
    oracle = PCA(min(count - 1, 8)).fit(values)
    np.testing.assert_allclose(found.explained_variance_ratio, oracle.explained_variance_ratio_, atol=1e-7)
    np.testing.assert_allclose(np.abs(found.transform(values)), np.abs(oracle.transform(values)), atol=1e-3)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(len(found.components)), atol=1e-9)
    assert (found.components.max(axis=1) == np.abs(found.components).max(axis=1)).all()


def test_only_the_leading_ones_where_so_many_are_asked_for():
    found = streamed(rows(), 10).result(3)
    assert found.components.shape == (3, 8)
    assert found.transform(rows(4)).shape == (4, 3)
    assert streamed(rows(), 10).result(100).components.shape == (8, 8)


def test_rows_with_nan_are_left_out_and_stay_nan():
    values = rows()
    holed = values.copy()
    holed[3, 2] = np.nan
    pca = streamed(holed, 7)
    assert (pca.count, pca.skipped) == (49, 1)
    np.testing.assert_allclose(pca.result().mean, np.delete(values, 3, axis=0).mean(axis=0))
    coefficients = pca.result(2).transform(holed)
    assert np.isnan(coefficients[3]).all()
    assert np.isfinite(np.delete(coefficients, 3, axis=0)).all()


def test_what_has_no_components():
    with pytest.raises(DataError, match=r"at least two embeddings, there are 1 .*1 hold NaN"):
        streamed(np.array([[1.0, 2.0], [np.nan, 0.0]]), 1).result()
    with pytest.raises(DataError, match="all embeddings are alike"):
        streamed(np.full((6, 3), 2.5), 2).result()


@pytest.mark.slow
def test_umap_is_a_function_of_rows_and_seed():
    values = np.concatenate([rows(20) + 30, rows(20) * 0.1 - 30])
    values[5] = np.nan
    found = umap_positions(values, 3)
    assert found.shape == (40, 2) and found.dtype == np.float32
    assert np.isnan(found[5]).all() and np.isfinite(np.delete(found, 5, axis=0)).all()
    np.testing.assert_array_equal(found, umap_positions(values, 3))
    one, other = np.delete(found[:20], 5, axis=0), found[20:]
    within = max(np.ptp(one, axis=0).max(), np.ptp(other, axis=0).max())
    assert np.linalg.norm(one.mean(0) - other.mean(0)) > 0.5 * within
    assert umap_positions(values[:3], 0).tolist() == [[0, 0], [1, 0], [2, 0]]
    assert np.isfinite(umap_positions(values[:5], 0)).all()


def test_umap_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(SpectrainError, match=r"spectrain\[umap\]"):
        umap_positions(rows(), 0)
