"""Tables of a test: images, groups, and intervals over groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_segmentation_metric import batch_of, computed, drawn

from spectrain.core.segmented import Segmented
from spectrain.metrics.segmentation_tables import SegmentationTables

OBJECTS = [f"object_{name}" for name in ("accuracy", "precision", "recall", "f1", "average_precision")] + [
    "boundary_iou"
]


def collected(found, index=None, iou=0.3):
    tables = SegmentationTables(iou)
    batch = batch_of(found)
    tables.update(found, batch if index is None else batch.replace(index=torch.tensor(index)))
    return tables


def part(found, rows):
    return Segmented(found.logits[rows], found.y[rows], found.names)


@pytest.mark.parametrize("classes", [2, 4])
def test_each_image_and_each_group_has_its_metrics(classes):
    found = drawn(classes, batch=5)
    tables = collected(found)
    images = tables.images()
    assert images["index"] == [0, 1, 2, 3, 4]
    scenes = tables.breakdown({"region": ["r"] * 5, "scene": ["a", "b", "a", "b", "c"]})
    assert scenes.over == "scene" and scenes.tables["scene"]["scene"] == ["a", "b", "c"]
    assert scenes.tables["scene"]["images"] == [2, 2, 1]
    for name, expected in computed(part(found, [0, 2])).items():
        near = 5e-3 if name in ("auroc", "average_precision") else 1e-9
        assert scenes.tables["scene"][name][0] == pytest.approx(expected, abs=near), name
        assert images[name][3] == pytest.approx(computed(part(found, [3]))[name], abs=near), name
        assert scenes.everything[name] == pytest.approx(computed(found)[name], abs=near)
        assert scenes.tables["region"][name] == [pytest.approx(scenes.everything[name], abs=1e-9)]
        low, high = scenes.intervals[name]
        assert low <= scenes.everything[name] <= high
    assert (set(OBJECTS) <= set(images)) == (classes == 2)


def test_rows_that_fill_up_are_left_out():
    found = drawn(2, batch=3)
    tables = collected(found, [4, 7, -1])
    assert tables.images()["index"] == [4, 7]
    assert tables.metrics() == collected(part(found, [0, 1])).metrics()


def test_intervals_are_wider_over_few_groups_than_over_many():
    found = drawn(2, batch=16, size=8)
    tables = collected(found)
    few = tables.breakdown({"scene": [str(row // 8) for row in range(16)]}).intervals["jaccard"]
    many = tables.breakdown({"scene": [str(row) for row in range(16)]}).intervals["jaccard"]
    assert few[1] - few[0] > 0 and many[1] - many[0] > 0
    assert tables.breakdown({"scene": ["one"] * 16}).intervals == {}


def test_the_interval_is_that_of_the_bootstrap():
    found = drawn(2, batch=6, size=8)
    tables = collected(found, iou=None)
    low, high = tables.breakdown({"scene": [str(row) for row in range(6)]}).intervals["accuracy"]
    right = ((found.predicted == found.y) & found.counted).flatten(1).sum(1).numpy()
    pixels = found.counted.flatten(1).sum(1).numpy()
    draws = np.random.default_rng(5).integers(0, 6, (4000, 6))
    expected = np.quantile(right[draws].sum(1) / pixels[draws].sum(1), [0.025, 0.975])
    assert [low, high] == pytest.approx(expected.tolist(), abs=0.01)


def test_an_image_without_labels():
    found = drawn(2, ignored=1.1)
    images = collected(found).images()
    assert images["labelled_pixels"] == [0.0] * 4
    assert all(math.isnan(value) for value in images["jaccard"])
