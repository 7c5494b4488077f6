"""Losses of segmentation against formulas worked out by hand, a second library, and their promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spectrain.core.errors import SpectrainError
from spectrain.core.segmented import Segmented
from spectrain.core.targets import IGNORED
from spectrain.losses.segmentation import SMOOTH, SegmentationLoss

ONE = {"bce_weight": 0.0, "focal_weight": 0.0, "dice_weight": 0.0, "tversky_weight": 0.0}


def only(part, **options):
    return SegmentationLoss(**{**ONE, f"{part}_weight": 1.0}, **options)


def found(logits, y):
    names = tuple("abcdefg"[: max(2, logits.shape[1])])
    return Segmented(logits, torch.as_tensor(y, dtype=torch.int16), names)


def random(classes=2, batch=3, size=8, ignored=0.2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(batch, 1 if classes == 2 else classes, size, size, generator=draw)
    y = torch.randint(0, classes, (batch, size, size), generator=draw)
    y[torch.rand(y.shape, generator=draw) < ignored] = IGNORED
    return found(logits, y)


def slow_pixels(one, gamma, alpha):
    """Pixel by pixel, in Python's own numbers."""
    total, count = 0.0, 0
    for b, r, c in np.ndindex(*one.y.shape):
        true = int(one.y[b, r, c])
        if true == IGNORED:
            continue
        z = one.logits[b, :, r, c].double().tolist()
        if len(z) == 1:
            z = [0.0, z[0]]
        top = max(z)
        p = [math.exp(v - top) for v in z]
        p = p[true] / sum(p)
        weight = 1.0 if alpha is None else alpha[true]
        total -= weight * (1 - p) ** gamma * math.log(p)
        count += 1
    return total / count


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_focal_loss_and_cross_entropy_are_those_of_the_formula(classes, gamma, weighted):
    one = random(classes)
    alpha = [0.1, 0.9] if classes == 2 else [0.1, 0.2, 0.3, 0.4]
    given = (0.9 if classes == 2 else alpha) if weighted else None
    expected = slow_pixels(one, gamma, alpha if weighted else None)
    assert float(only("focal", gamma=gamma, alpha=given)(one)) == pytest.approx(expected, rel=1e-5)
    if gamma == 0:
        assert float(only("bce", alpha=given)(one)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("part", "wrong", "missed"), [("dice", 0.5, 0.5), ("tversky", 0.3, 0.7)])
def test_dice_and_tversky_are_those_of_the_formula(classes, part, wrong, missed):
    one = random(classes)
    total = weight = 0.0
    for image in range(3):
        counted = one.y[image] != IGNORED
        p = one.logits[image].sigmoid() if classes == 2 else one.logits[image].softmax(0)
        values = []
        for number, scores in enumerate(p):
            t = ((one.y[image] == (1 if classes == 2 else number)) & counted).double()
            if classes > 2 and not t.any():
                continue
            both = (scores * t)[counted].sum()
            a, b = scores[counted].sum() - both, t.sum() - both
            values.append(1 - float((both + SMOOTH) / (both + wrong * a + missed * b + SMOOTH)))
        total += float(counted.sum()) * sum(values) / len(values)
        weight += float(counted.sum())
    assert float(only(part)(one)) == pytest.approx(total / weight, rel=1e-5)


def test_focal_loss_equals_that_of_segmentation_models_pytorch():
    from segmentation_models_pytorch.losses import FocalLoss

    one = random(ignored=0.0)
    theirs = FocalLoss("binary", alpha=0.9, gamma=1.5)(one.logits[:, 0], one.y.long())
    assert float(only("focal", gamma=1.5, alpha=0.9)(one)) == pytest.approx(float(theirs), rel=1e-5)


def test_cross_entropy_equals_torch():
    one = random(5)
    theirs = F.cross_entropy(one.logits, one.y.long(), ignore_index=IGNORED)
    assert float(only("bce")(one)) == pytest.approx(float(theirs), rel=1e-5)


def test_a_confident_miss_has_a_gradient_near_one():
    logits = torch.tensor([[[[-8.0]]]], requires_grad=True)
    only("bce")(found(logits, [[[1]]])).backward()
    assert float(logits.grad) == pytest.approx(-1.0, abs=1e-3)
    logits.grad = None
    only("focal", gamma=2.0)(found(logits, [[[1]]])).backward()
    assert float(logits.grad) < -0.99  # where the published double sigmoid has -1e-4


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("scale", [0.0, 60.0, -60.0, 1e4])
def test_gradients_are_finite_however_sure_the_model_is(gamma, classes, scale):
    logits = torch.full((1, 1 if classes == 2 else classes, 2, 2), 0.0)
    logits[:, -1] = scale
    logits.requires_grad_()
    loss = SegmentationLoss(1, 1, 1, 1, gamma=gamma)(found(logits, [[[0, classes - 1], [1, 0]]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_what_stands_at_pixels_that_do_not_count_does_not_matter(classes):
    one = random(classes)
    loss = SegmentationLoss(1, 1, 1, 1, alpha=[0.2] * classes)
    spoilt = one.logits.masked_fill(~one.counted[:, None], torch.nan).requires_grad_()
    result = loss(Segmented(spoilt, one.y, one.names))
    assert float(result.detach()) == float(loss(one))
    result.backward()
    assert torch.isfinite(spoilt.grad).all()
    assert (spoilt.grad[(~one.counted)[:, None].expand_as(spoilt)] == 0).all()


def test_a_batch_without_labels_has_no_weight_and_no_gradient():
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    total, _ = SegmentationLoss(1, 1, 1, 1).sums(found(logits, np.full((2, 4, 4), IGNORED)))
    assert float(total.sum) == float(total.weight) == 0.0
    total.sum.backward()
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_images_add_up(classes):
    one, loss = random(classes, batch=4), SegmentationLoss(0.5, 1, 2, 0.3)
    whole, parts = loss.sums(one)
    pieces = [loss.sums(Segmented(one.logits[at : at + 2], one.y[at : at + 2], one.names)) for at in (0, 2)]
    assert float(pieces[0][0].sum + pieces[1][0].sum) == pytest.approx(float(whole.sum), rel=1e-5)
    assert float(pieces[0][0].weight + pieces[1][0].weight) == float(whole.weight)
    weights = {"loss_bce": 0.5, "loss_focal": 1, "loss_dice": 2, "loss_tversky": 0.3}
    assert sum(weights[name] * float(part.mean) for name, part in parts.items()) == pytest.approx(
        float(whole.mean), rel=1e-5
    )


def test_half_precision_logits_are_counted_in_float32():
    one = random()
    low = Segmented(one.logits.bfloat16(), one.y, one.names)
    total = SegmentationLoss(1, 1, 1, 1)(low)
    assert total.dtype == torch.float32
    assert float(total) == pytest.approx(
        float(SegmentationLoss(1, 1, 1, 1)(Segmented(low.logits.float(), one.y, one.names)))
    )


def test_impossible_options_are_refused():
    with pytest.raises(SpectrainError, match="every part of the loss weighs 0"):
        SegmentationLoss(**ONE)
    with pytest.raises(SpectrainError, match="3 weights for 2 classes"):
        only("bce", alpha=[1, 1, 1])(random())
    with pytest.raises(SpectrainError, match="cannot weigh less than 0"):
        only("bce", alpha=1.5)
