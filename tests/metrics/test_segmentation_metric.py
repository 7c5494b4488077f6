"""Metrics of segmentation against torchmetrics and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as oracle
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score

from spectrain.core.batch import Batch, everywhere
from spectrain.core.segmented import Segmented
from spectrain.core.targets import IGNORED, NoTarget
from spectrain.metrics.segmentation import PUBLISHED, SegmentationMetric

NAMES = [name for name in PUBLISHED if name != "loss"]


def drawn(classes, seed=0, batch=4, size=16, ignored=0.2, sure=1.0):
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (batch, size, size), generator=draw)
    logits = sure * torch.randn(batch, 1 if classes == 2 else classes, size, size, generator=draw)
    if classes == 2:
        logits[:, 0] += 1.2 * (y - 0.5)
    else:
        logits += 1.2 * torch.nn.functional.one_hot(y, classes).movedim(-1, 1)
    y[torch.rand(y.shape, generator=draw) < ignored] = IGNORED
    return Segmented(logits, y.to(torch.int16), tuple(f"c{n}" for n in range(classes)))


def batch_of(found):
    image = torch.zeros(len(found.y), 1, *found.y.shape[1:])
    return Batch(image, everywhere(image.shape, image.device), NoTarget(), torch.arange(len(image)), True)


def computed(*parts):
    sums = SegmentationMetric().start()
    for one in parts:
        sums.update(one, batch_of(one))
    return sums.compute(sums.sums())


def flat(*parts):
    kept = [one.counted for one in parts]
    y = torch.cat([one.y[k].long() for one, k in zip(parts, kept, strict=True)])
    scores = torch.cat([one.logits.movedim(1, -1)[k] for one, k in zip(parts, kept, strict=True)])
    return scores.double(), y


@pytest.mark.parametrize("sure", [0.3, 1.0, 8.0])
def test_two_classes(sure):
    parts = drawn(2, 0, sure=sure), drawn(2, 1, sure=sure)
    scores, y = flat(*parts)
    p, found = scores[:, 0].sigmoid(), computed(*parts)
    expected = {
        "accuracy": oracle.binary_accuracy,
        "precision": oracle.binary_precision,
        "specificity": oracle.binary_specificity,
        "recall": oracle.binary_recall,
        "f1": oracle.binary_f1_score,
        "jaccard": oracle.binary_jaccard_index,
        "kappa": oracle.binary_cohen_kappa,
        "hamming": oracle.binary_hamming_distance,
    }
    assert set(found) == set(NAMES)
    for name, theirs in expected.items():
        assert found[name] == pytest.approx(float(theirs(p, y)), abs=1e-6), name
    assert found["auroc"] == pytest.approx(roc_auc_score(y, scores[:, 0]), abs=2e-4)
    assert found["average_precision"] == pytest.approx(average_precision_score(y, scores[:, 0]), abs=5e-4)


def test_several_classes():
    parts = drawn(4, 0), drawn(4, 1)
    scores, y = flat(*parts)
    p, found = scores.softmax(1), computed(*parts)
    chosen = {"num_classes": 4, "average": "macro"}
    expected = {
        "precision": oracle.multiclass_precision(p, y, **chosen),
        "specificity": oracle.multiclass_specificity(p, y, **chosen),
        "recall": oracle.multiclass_recall(p, y, **chosen),
        "f1": oracle.multiclass_f1_score(p, y, **chosen),
        "jaccard": oracle.multiclass_jaccard_index(p, y, **chosen),
        "accuracy": oracle.multiclass_accuracy(p, y, num_classes=4, average="micro"),
        "kappa": cohen_kappa_score(y, p.argmax(1)),
    }
    for name, theirs in expected.items():
        assert found[name] == pytest.approx(float(theirs), abs=1e-6), name
    assert found["auroc"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr"), abs=2e-4)
    assert found["average_precision"] == pytest.approx(average_precision_score(np.eye(4)[y], p), abs=5e-4)


def test_how_pixels_are_cut_into_batches_does_not_matter():
    one, other = drawn(3, 0), drawn(3, 1)
    joined = Segmented(torch.cat((one.logits, other.logits)), torch.cat((one.y, other.y)), one.names)
    assert computed(one, other) == pytest.approx(computed(joined))


def test_pixels_that_do_not_count_are_left_out():
    one = drawn(2)
    spoilt = Segmented(one.logits.masked_fill(~one.counted[:, None], 1e9), one.y, one.names)
    assert computed(spoilt) == computed(one)


@pytest.mark.parametrize("classes", [2, 3])
def test_nothing_to_count_is_nan(classes):
    one = drawn(classes, ignored=1.1)
    assert all(math.isnan(value) for value in computed(one).values())
    assert all(math.isnan(value) for value in computed().values())


def test_a_class_that_does_not_occur():
    one = drawn(3)
    y = torch.where(one.y == 2, 0, one.y)
    logits = one.logits.clone()
    logits[:, 2] = -50.0
    found = computed(Segmented(logits, y, one.names))
    two = computed(Segmented((logits[:, 1:2] - logits[:, :1]), y, one.names[:2]))
    assert found["accuracy"] == two["accuracy"]
    assert found["kappa"] == pytest.approx(two["kappa"])
    assert 0 < found["jaccard"] < 1


def test_one_class_alone_has_no_curve():
    one = drawn(2)
    found = computed(Segmented(one.logits, torch.where(one.counted, 0, one.y.long()).to(torch.int16), one.names))
    assert math.isnan(found["auroc"])
    assert math.isnan(found["average_precision"])
    assert found["specificity"] == found["accuracy"]
