"""Exact neighbours against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

import spectrain.inference.embeddings.neighbours as module
from spectrain.inference.embeddings.neighbours import nearest


def loop(rows, query, top):
    """Cosines of one query, by the definition."""
    found = []
    for number, row in enumerate(rows):
        if number != query and np.isfinite(row).all() and np.isfinite(rows[query]).all():
            cosine = row @ rows[query] / max(np.linalg.norm(row) * np.linalg.norm(rows[query]), 1e-30)
            found.append((-cosine, number))
    found = sorted(found)[:top]
    return [number for _, number in found], [-cosine for cosine, _ in found]


@pytest.mark.parametrize("top", [1, 4, 30, 100])
@pytest.mark.parametrize("block", [64, 1 << 22])
def test_neighbours_are_those_of_a_plain_loop(monkeypatch, top, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    rows = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    rows[[7, 21]] = np.nan
    queries = np.array([0, 21, 33, 59])
    found, cosines = nearest(rows, queries, top)
    assert found.shape == cosines.shape == (4, top)
    for number, query in enumerate(queries):
        wanted, values = loop(rows.astype(float), query, top)
        kept = found[number] >= 0
        assert found[number][kept].tolist() == wanted
        assert kept.sum() == len(wanted)
        np.testing.assert_allclose(cosines[number][kept], values, atol=1e-6)
        assert np.isnan(cosines[number][~kept]).all()


def test_a_double_of_the_query_is_its_nearest_and_the_query_is_not():
    rows = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    found, cosines = nearest(rows, np.array([1, 0]), 2)
    assert found.tolist() == [[0, 3], [1, 3]]
    assert cosines[0][0] == 1


def test_of_equals_the_lower_number_comes_first(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 6)
    rows = np.ones((20, 2), np.float32)
    assert nearest(rows, np.array([4]), 5)[0].tolist() == [[0, 1, 2, 3, 5]]
    many = np.ones((400, 2), np.float32)
    assert nearest(many, np.array([4]), 5)[0].tolist() == [[0, 1, 2, 3, 5]]


def test_one_image_has_no_neighbour():
    found, cosines = nearest(np.ones((1, 3), np.float32), np.array([0]), 2)
    assert found.tolist() == [[-1, -1]]
    assert np.isnan(cosines).all()
