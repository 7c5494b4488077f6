"""Objects against a slow reference that goes from object to object."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.measure import label
from sklearn.metrics import average_precision_score

from spectrain.metrics.objects import ObjectCounts, Objects, boundary


def drawn(seed, size=48, blobs=9):
    """Probabilities and a mask of discs, some of them alike."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    truth, p = np.zeros((size, size), bool), np.full((size, size), 0.1, np.float32)
    for _ in range(blobs):
        r, c, radius = *draw.integers(0, size, 2), draw.integers(1, 7)
        truth |= (y - r) ** 2 + (x - c) ** 2 <= radius**2
        r, c = np.array([r, c]) + draw.integers(-3, 4, 2)
        p[(y - r) ** 2 + (x - c) ** 2 <= radius**2] = draw.uniform(0.5, 1)
    counted = np.ones_like(truth)
    counted[:4] = False
    return p, truth, counted


def slow(p, truth, counted, iou):
    found = label((p >= 0.5) & counted, connectivity=2)
    there = label(truth & counted, connectivity=2)
    pairs = []
    for one in range(1, found.max() + 1):
        for other in range(1, there.max() + 1):
            both = ((found == one) & (there == other)).sum()
            share = both / ((found == one) | (there == other)).sum()
            if share >= iou:
                pairs.append((share, one, other))
    hits, taken = set(), set()
    for _, one, other in sorted(pairs, reverse=True):
        if one not in hits and other not in taken:
            hits.add(one)
            taken.add(other)
    scores = [p[found == one].mean() for one in range(1, found.max() + 1)]
    return len(hits), found.max(), there.max(), scores, [one in hits for one in range(1, found.max() + 1)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("iou", [0.3, 0.5, 0.8])
def test_objects_are_those_of_the_reference(seed, iou):
    p, truth, counted = drawn(seed)
    one = ObjectCounts.of(p, truth, counted, iou)
    right, found, there, scores, hits = slow(p, truth, counted, iou)
    assert (one.right, one.wrong, one.missed) == (right, found - right, there - right)
    assert sorted(zip(one.scores.round(4).tolist(), one.hits.tolist(), strict=True)) == sorted(
        zip(np.round(scores, 4).tolist(), hits, strict=True)
    )


def test_the_metrics_of_several_images():
    counts = [ObjectCounts.of(*drawn(seed), 0.5) for seed in range(6)]
    found = Objects(counts).metrics()
    right, wrong, missed = (sum(getattr(one, name) for one in counts) for name in ("right", "wrong", "missed"))
    assert found["object_precision"] == right / (right + wrong)
    assert found["object_recall"] == right / (right + missed)
    assert found["object_f1"] == pytest.approx(2 * right / (2 * right + wrong + missed))
    scores, hits = (np.concatenate([getattr(one, name) for one in counts]) for name in ("scores", "hits"))
    expected = average_precision_score(hits, scores) * right / (right + missed)  # which knows of no missed objects
    assert found["object_average_precision"] == pytest.approx(expected, abs=1e-6)


def test_an_image_that_counts_twice_is_as_two():
    counts = [ObjectCounts.of(*drawn(seed), 0.5) for seed in range(4)]
    twice = Objects([counts[0], *counts[1:], counts[0], counts[2]]).metrics()
    assert Objects(counts).metrics(np.array([2.0, 1.0, 2.0, 1.0])) == pytest.approx(twice)
    left_out = Objects(counts).metrics(np.array([1.0, 0.0, 1.0, 1.0]))
    assert left_out == pytest.approx(Objects([counts[0], *counts[2:]]).metrics())


def test_one_object_matches_one():
    truth = np.zeros((10, 30), bool)
    truth[:, 2:28] = True
    p = np.zeros((10, 30), np.float32)
    p[:, 2:12] = p[:, 14:28] = 0.9  # both have a third of it and more: DARTS counted two hits of one object
    one = ObjectCounts.of(p, truth, np.ones_like(truth), 0.3)
    assert (one.right, one.wrong, one.missed) == (1, 1, 0)


def test_more_objects_than_fit_a_byte():
    truth = np.zeros((64, 64), bool)
    truth[::2, ::2] = True
    one = ObjectCounts.of(truth.astype(np.float32), truth, np.ones_like(truth), 0.5)
    assert (one.right, one.wrong, one.missed) == (1024, 0, 0)


def test_boundaries():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    edge = boundary(mask, 2)
    assert edge.sum() == 100 - 36 and not edge[7:13, 7:13].any()
    assert not boundary(np.ones((8, 8), bool), 3).any()  # no edge but the image's own
    shifted = np.roll(mask, 1, axis=1)
    one = ObjectCounts.of(shifted.astype(np.float32), mask, np.ones_like(mask), 0.5)
    a, b = boundary(mask, 1), boundary(shifted, 1)
    assert (one.boundary_both, one.boundary_either) == ((a & b).sum(), (a | b).sum())


def test_what_is_not_counted_is_no_edge():
    counted = np.zeros((20, 20), bool)
    counted[:, :10] = True
    truth, p = np.ones((20, 20), bool), np.full((20, 20), 0.9, np.float32)
    one = ObjectCounts.of(p, truth, counted, 0.3)
    assert one.boundary_either == 0  # nobody knows whether the object ends there
    truth[:5] = False
    one = ObjectCounts.of(p, truth, counted, 0.3)
    assert (one.boundary_both, one.boundary_either) == (0, 10)  # the edge below row 4, a pixel wide


def test_nothing_there_and_nothing_found():
    empty = np.zeros((8, 8), bool)
    found = Objects([ObjectCounts.of(empty.astype(np.float32), empty, ~empty, 0.5)]).metrics()
    assert all(math.isnan(value) for value in found.values())
    everything = np.ones((8, 8), np.float32)
    found = Objects([ObjectCounts.of(everything, empty, ~empty, 0.5)]).metrics()
    assert found["object_precision"] == found["object_f1"] == 0 and math.isnan(found["object_recall"])
