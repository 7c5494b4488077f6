"""Tables of a test of regression: images, groups, bins of the target, intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_regression_metric import batch_of, computed, drawn

from spectrain.core.regressed import Regressed
from spectrain.metrics.regression_tables import RegressionTables


def collected(found, bins=(), index=None):
    tables = RegressionTables(bins)
    tables.update(found, batch_of(found, index))
    return tables


def part(found, rows, valid=None):
    s = found.log_variance
    kept = found.valid if valid is None else found.valid & valid
    return Regressed(
        found.mean[rows], None if s is None else s[rows], found.y[rows], kept[rows], found.names, found.error
    )


def same(got, expected):
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("quantities", [1, 2])
@pytest.mark.parametrize("error", ["gaussian", "none"])
def test_each_image_and_each_group_has_its_metrics(quantities, error):
    found = drawn(error, batch=5, quantities=quantities)
    tables = collected(found)
    images = tables.images()
    assert images["index"] == [0, 1, 2, 3, 4]
    assert images["labelled_pixels"] == found.valid.flatten(1).sum(1).tolist()
    same({name: column[3] for name, column in images.items()}, computed(part(found, [3])))
    breakdown = tables.breakdown({"region": ["r"] * 5, "scene": ["a", "b", "a", "b", "c"]})
    scenes = breakdown.tables["scene"]
    assert breakdown.over == "scene" and scenes["scene"] == ["a", "b", "c"] and scenes["images"] == [2, 2, 1]
    same({name: column[0] for name, column in scenes.items()}, computed(part(found, [0, 2])))
    same(breakdown.everything, computed(found))
    for name in computed(found):
        low, high = breakdown.intervals[name]
        assert low <= high
    assert list(breakdown.tables) == ["region", "scene"]


def test_each_bin_of_the_target_has_its_metrics():
    found = drawn(offset=2.0)
    edges = [0.0, 4.0]
    table = collected(found, edges).breakdown({"scene": ["a"] * 4}).tables["target"]
    assert table["target"] == ["below 0", "0 to 4", "4 and more"]
    for number, (low, high) in enumerate([(-np.inf, 0), (0, 4), (4, np.inf)]):
        inside = (found.y >= low) & (found.y < high)
        expected = computed(part(found, slice(None), inside))
        same({name: column[number] for name, column in table.items()}, expected)
        assert table["images"][number] == int((found.valid & inside).flatten(1).any(1).sum())
    two = collected(drawn(quantities=2), edges).breakdown({"scene": ["a"] * 4}).tables["target"]
    assert two["target"] == [f"{name} {bin}" for name in "ab" for bin in table["target"]]


def test_edges_belong_to_the_bin_above():
    y = torch.tensor([-1.0, 0.0, 1.0, 2.0, 2.5]).view(1, 1, 1, 5)
    found = Regressed(torch.zeros_like(y), None, y, torch.ones_like(y, dtype=torch.bool), ("h",))
    table = collected(found, [0.0, 1.0, 2.0]).breakdown({"scene": ["a"]}).tables["target"]
    assert table["labelled_pixels"] == [1.0, 1.0, 1.0, 2.0]


def test_rows_that_fill_up_are_left_out_and_batches_add_up():
    found = drawn(batch=4)
    tables = RegressionTables()
    tables.update(part(found, [0, 1, 2]), batch_of(part(found, [0, 1, 2]), [4, 7, -1]))
    tables.update(part(found, [3]), batch_of(part(found, [3]), [9]))
    images = tables.images()
    assert images["index"] == [4, 7, 9]
    same(tables.breakdown({"scene": ["a"] * 3}).everything, computed(part(found, [0, 1, 3])))
    assert tables.breakdown({"scene": ["a"] * 3}).intervals == {}


def test_the_interval_is_that_of_the_bootstrap():
    found = drawn(batch=6)
    low, high = collected(found).breakdown({"scene": [str(row) for row in range(6)]}).intervals["mae"]
    size = torch.where(found.valid, (found.mean - found.y).abs(), 0.0).flatten(1).sum(1).numpy()
    count = found.valid.flatten(1).sum(1).numpy()
    draws = np.random.default_rng(5).integers(0, 6, (4000, 6))
    expected = np.quantile(size[draws].sum(1) / count[draws].sum(1), [0.025, 0.975])
    assert [low, high] == pytest.approx(expected.tolist(), rel=0.03)


def test_an_image_without_labels():
    images = collected(drawn(share=0.0)).images()
    assert images["labelled_pixels"] == [0.0] * 4
    assert all(math.isnan(value) for value in images["rmse"])


def test_batches_of_other_variances_and_without_labels_add_up():
    found = drawn(batch=4)
    assert found.log_variance is not None
    found = replace(found, log_variance=found.log_variance + torch.tensor([-9.0, 0.0, 5.0, 0.0]).view(-1, 1, 1, 1))
    empty = part(found, [0], torch.zeros_like(found.valid))
    tables = RegressionTables()
    for number, batch in enumerate([part(found, [0]), part(found, [1]), empty, part(found, [2, 3])]):
        tables.update(batch, batch_of(batch, [10 * number + row for row in range(len(batch.mean))]))
    same(tables.breakdown({"scene": ["a"] * 5}).everything, computed(found))
    first = {name: column[0] for name, column in tables.images().items()}
    same(first, computed(part(found, [0])))
    assert math.isnan(tables.images()["ence"][2])
