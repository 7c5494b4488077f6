"""The contrastive loss against another library, value and gradient."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import NTXentLoss
from pytorch_metric_learning.losses import SupConLoss as TheirSupCon
from pytorch_metric_learning.reducers import MeanReducer
from torch.nn import functional as F

from spectrain.losses.supcon import SupConLoss

TEMPERATURES = [0.07, 0.5, 1.0]


def features(batch=6, views=2, dim=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(batch, views, dim, generator=generator, dtype=torch.float64), dim=2)


def value_and_gradient(function, given):
    given = given.clone().requires_grad_()
    value = function(given)
    return value.detach(), torch.autograd.grad(value, given)[0]


def as_rows(given):
    """[B,V,D] as [V*B,D], view-major."""
    return given.transpose(0, 1).flatten(0, 1)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_simclr_is_theirs(temperature):
    """Theirs averages over pairs, of which each anchor has one."""
    given = features()
    theirs = NTXentLoss(temperature, distance=CosineSimilarity())
    labels = torch.arange(6).repeat(2)
    wanted = value_and_gradient(lambda x: theirs(as_rows(x), labels), given)
    ours = SupConLoss(temperature, base_temperature=temperature)
    found = value_and_gradient(lambda x: ours(F.normalize(x, dim=2)), given)  # theirs normalises, and so do models
    torch.testing.assert_close(found[0], wanted[0])
    torch.testing.assert_close(found[1], wanted[1], atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 1], [0, 1, 0, 2, 1, 0], [0, 0, 0, 0, 0, 1]])
def test_supcon_is_theirs(temperature, views, labels):
    """With the reducer that counts anchors without positives as 0, as the authors' code does."""
    given, labels = features(views=views), torch.tensor(labels)
    theirs = TheirSupCon(temperature, distance=CosineSimilarity(), reducer=MeanReducer())
    wanted = value_and_gradient(lambda x: theirs(as_rows(x), labels.repeat(views)), given)
    ours = SupConLoss(temperature, base_temperature=temperature)
    found = value_and_gradient(lambda x: ours(F.normalize(x, dim=2), labels), given)
    torch.testing.assert_close(found[0], wanted[0])
    torch.testing.assert_close(found[1], wanted[1], atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [True, False])
def test_arithmetic_is_float32_whatever_comes_in(dtype, autocast):
    given = features().to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = SupConLoss(0.07)(given)
        rows = SupConLoss(0.07).sums(as_rows(given), 2).mean
    assert found.dtype == rows.dtype == torch.float32
    torch.testing.assert_close(found, SupConLoss(0.07)(given.float()), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(rows, found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (features(), None),
        (features(), torch.zeros(6, dtype=torch.int64)),
        (features(views=1), torch.arange(6)),
        (features()[:1].expand(6, -1, -1), None),
        (features(batch=1), None),
        (features(batch=1, views=1), None),
    ],
    ids=["random", "one class", "no positives", "identical", "one image", "one view of one image"],
)
def test_extreme_logits_stay_finite(given, labels):
    value, gradient = value_and_gradient(lambda x: SupConLoss(0.01)(x, labels), given.float())
    assert value.isfinite()
    assert gradient.isfinite().all()
