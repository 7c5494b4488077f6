"""The contrastive task: which targets it takes, what its loss is, and what it hands on."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spectrain.core.batch import Batch, everywhere, stack_views
from spectrain.core.errors import DataError
from spectrain.core.registry import lookup
from spectrain.core.targets import ClassLabel, NoTarget
from spectrain.losses.supcon import SupConLoss
from spectrain.metrics.embedding import EmbeddingMetric, EmbeddingSums
from spectrain.metrics.none import NoMetric
from spectrain.plots.none import NoPlot
from spectrain.plots.views import ViewsPlot
from spectrain.tasks.contrastive import Contrastive


class Embed(nn.Module):
    """Unit vectors from the pixels of a batch."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 6, bias=False)
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(6, 16, generator=generator))

    def forward(self, batch):
        return F.normalize(self.linear(batch.image.flatten(1)), dim=1)


def views(count=4, target=None, padding=()):
    """Two views of ``count`` samples."""
    generator = torch.Generator().manual_seed(2)
    index = torch.arange(count)
    index[list(padding)] = -1
    one = []
    for _ in range(2):
        image = torch.randn(count, 1, 4, 4, generator=generator)
        one.append(Batch(image, everywhere(image.shape, image.device), target or NoTarget(), index, all_valid=True))
    return stack_views(one)


def by_sample(output):
    """[V*B,D] view-major as the published form takes it, [B,V,D]."""
    return output.reshape(2, -1, output.shape[1]).transpose(0, 1)


def task(method="simclr", metric=None, plot=None):
    return Contrastive(SupConLoss(0.2), metric or NoMetric(), plot or NoPlot(), method)


def test_simclr_is_the_published_loss_and_does_not_look_at_labels():
    for target in (None, ClassLabel(torch.tensor([0, 0, 1, 1]))):
        step = task().loss(Embed(), views(target=target))
        torch.testing.assert_close(step.loss.mean, SupConLoss(0.2)(by_sample(step.output)))
        assert step.loss.weight == 8
        assert step.parts == {}


def test_supcon_is_the_published_loss_with_labels():
    labels = torch.tensor([0, 0, 1, 1])
    step = task("supcon").loss(Embed(), views(target=ClassLabel(labels)))
    torch.testing.assert_close(step.loss.mean, SupConLoss(0.2)(by_sample(step.output), labels))
    assert step.loss.mean != task().loss(Embed(), views()).loss.mean


def test_supcon_does_not_fall_back_on_simclr():
    with pytest.raises(TypeError, match="NoTarget"):
        task("supcon").loss(Embed(), views())


def test_padding_has_no_part():
    padded = task().loss(Embed(), views(padding=(1, 3)))
    kept = by_sample(padded.output)[[0, 2]]
    torch.testing.assert_close(padded.loss.mean, SupConLoss(0.2)(kept))
    assert padded.loss.weight == 4


def test_loss_is_that_of_cached_outputs():
    model, batch, contrastive = Embed(), views(), task()
    outputs = contrastive.outputs(model, batch)
    assert torch.equal(contrastive.loss_of(outputs, batch).loss.sum, contrastive.loss(model, batch).loss.sum)
    assert (contrastive.views, contrastive.additive) == (2, False)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.bool_, np.int64])
@pytest.mark.parametrize("method", ["simclr", "supcon"])
def test_classes_are_passed_on(method, dtype):
    target = task(method).targets(np.array([0, 1, 1], dtype))
    assert isinstance(target, ClassLabel)
    assert target.y.tolist() == [0, 1, 1]
    assert target.y.dtype == torch.int64


UNFIT = [None, np.zeros(3, np.float32), np.zeros((3, 4, 4), np.int16)]


@pytest.mark.parametrize("labels", UNFIT)
def test_simclr_needs_no_labels(labels):
    assert isinstance(task().targets(labels), NoTarget)


@pytest.mark.parametrize(
    ("labels", "what"), list(zip(UNFIT, ["has none", r"float32 \[3\]", r"int16 \[3, 4, 4\]"], strict=True))
)
def test_supcon_says_what_labels_it_needs(labels, what):
    with pytest.raises(DataError, match=what) as raised:
        task("supcon").targets(labels)
    assert "labels_key" in str(raised.value)


def test_a_batch_of_one_is_warned_of_once(caplog):
    contrastive = task()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            step = contrastive.loss(Embed(), views(1))
        contrastive.loss(Embed(), views(2))
    assert abs(step.loss.sum) < 1e-5
    assert len(caplog.records) == 1
    assert "no negatives" in caplog.text


def test_metric_and_picture_are_those_configured():
    batch = views()
    step = task().loss(Embed(), batch)
    assert task().metrics() is None
    assert task().picture(step, batch) is None
    full = task(metric=EmbeddingMetric(), plot=ViewsPlot())
    sums = full.metrics()
    assert isinstance(sums, EmbeddingSums)
    assert sums is not full.metrics()
    assert len(full.picture(step, batch).axes) >= 8
    bare = Contrastive(SupConLoss())
    assert bare.metrics() is None
    assert bare.picture(step, batch) is None


def test_is_found_by_name():
    part = lookup("task", "contrastive")
    built = part.from_config(part.Config(method="supcon"), loss=SupConLoss(), metric=NoMetric(), plot=NoPlot())
    assert built.method == "supcon"
    with pytest.raises(ValueError, match="simclr, supcon, not 'byol'"):
        Contrastive(SupConLoss(), method="byol")


def test_a_remark_says_what_the_losses_compare():
    contrastive = Contrastive(SupConLoss(0.2, base_temperature=0.2), valid_group=100)
    assert contrastive.remarks(64, 0)["loss"].endswith("a collapsed encoder would have 4.84")
    # 201 images are three groups of 67
    assert contrastive.remarks(64, 201)["loss"].endswith("validation compares 67, and it would have 4.89")
