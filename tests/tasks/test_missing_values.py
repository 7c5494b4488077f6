"""What is missing stays out of every loss, gradient and metric: ``loss * mask`` (NaN * 0 = NaN) cannot pass here."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from toy_batches import toy_batch, toy_model
from toy_tasks import TOY_TASKS

from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, stack_views
from spectrain.core.fill import fill_invalid
from spectrain.core.targets import ClassLabel, DenseValues, SparseValues
from spectrain.losses.supcon import SupConLoss
from spectrain.metrics.embedding import EmbeddingMetric
from spectrain.models.banded import BandedModel
from spectrain.models.supcon_resnet import SupConResNet
from spectrain.tasks.contrastive import Contrastive

pytestmark = pytest.mark.usefixtures("narrow")

STUFF = [0.0, math.nan, math.inf, 1e30]


def with_holes(target, hole):
    """The same labels, with ``hole`` where they do not count."""
    if isinstance(target, DenseValues):
        return DenseValues(torch.where(target.valid, target.value, hole), target.valid)
    if isinstance(target, SparseValues):
        extra = torch.tensor([0, 3])  # two measurements that were not, in the first image
        value = torch.cat((target.value, torch.full((2,), hole if not math.isfinite(hole) else math.nan)))
        return dataclasses.replace(
            target,
            index=torch.cat((target.index, extra)),
            value=value,
            row=torch.cat((target.row, torch.zeros(2, dtype=torch.int64))),
        )
    return target


def loss_and_gradients(task, model, batch):
    model.zero_grad()
    step = task.loss(model, batch)
    step.loss.sum.backward()
    parts = [part.sum.detach() for part in step.parts.values()]
    return [step.loss.sum.detach(), step.loss.weight, *parts, *(p.grad.clone() for p in model.parameters())]


def assert_same(results):
    for same in zip(*results, strict=True):
        assert all(value.isfinite().all() for value in same)
        for value in same[1:]:
            torch.testing.assert_close(value, same[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", TOY_TASKS)
def test_what_stands_in_holes_of_images_and_labels_means_nothing(name):
    results = []
    for hole in STUFF:
        batch = toy_batch(name, padding=(2,), hole=hole)
        batch = batch.replace(target=with_holes(batch.target, hole))
        results.append(loss_and_gradients(TOY_TASKS[name](), toy_model(name), batch))
    assert_same(results)


@pytest.mark.parametrize("method", ["simclr", "supcon"])
def test_contrastive(method):
    network = SupConResNet("resnet18", feat_dim=6, in_channels=3)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    results, metrics = [], []
    for hole in STUFF:
        batch = toy_batch("mean", hole=hole).replace(target=ClassLabel(torch.tensor([0, 1, 0, -1, 1])))
        batch = stack_views([batch, batch.replace(image=torch.where(batch.valid, -batch.image, hole))])
        network.load_state_dict(state)
        statistics = dataclasses.make_dataclass("Statistics", ["mean", "std"])([0.0] * 3, [1.0] * 3)
        model = BandedModel(network, Bands.unnamed(3), statistics)
        task = Contrastive(SupConLoss(), EmbeddingMetric(), method=method)
        results.append(loss_and_gradients(task, model, batch))
        sums = task.metrics()
        sums.update(model(batch), batch)
        metrics.append([torch.tensor(value) for value in sums.compute(sums.sums()).values()])
    assert_same(results)
    assert_same(metrics)


def test_embeddings_of_padding_may_be_anything():
    generator = torch.Generator().manual_seed(0)
    real = torch.tensor([True, True, False]).repeat(2)
    embeddings = torch.randn(6, 4, generator=generator)
    image = torch.zeros(6, 1, 1, 1)
    index = torch.where(real, 1, -1)
    batch = Batch(image, image == 0, ClassLabel(torch.zeros(6)), index, all_valid=True, views=2)
    results = []
    for stuff in STUFF:
        rows = torch.where(real[:, None], embeddings, stuff).requires_grad_()
        loss = SupConLoss().sums(rows, 2, torch.zeros(6, dtype=torch.int64), real)
        loss.sum.backward()
        sums = EmbeddingMetric().start()
        sums.update(rows, batch)
        found = [torch.tensor(value) for value in sums.compute(sums.sums()).values()]
        results.append([loss.sum.detach(), rows.grad, *found])
    assert_same(results)


def test_the_forbidden_form_fails_this_test():
    """The test can fail: a loss that multiplies by the mask is caught."""

    class Forbidden(TOY_TASKS["dense"]):
        def loss(self, model, batch):
            step = super().loss(model, batch)
            target = batch.target
            total = ((step.output - target.value).square() * target.valid).sum()
            return dataclasses.replace(step, loss=dataclasses.replace(step.loss, sum=total))

    batch = toy_batch("dense", hole=math.nan)
    batch = batch.replace(target=with_holes(batch.target, math.nan))
    found = loss_and_gradients(Forbidden(), toy_model("dense"), batch)
    with pytest.raises(AssertionError):
        assert_same([found])


def test_filling_comes_before_arithmetic():
    """The helper's promise: no NaN gradient at the hole, which ``where`` after the logarithm has."""
    valid = torch.tensor([True, False])
    values = torch.tensor([2.0, 0.0], requires_grad=True)
    fill_invalid(values, valid, 1.0).log().sum().backward()
    assert values.grad.tolist() == [0.5, 0.0]
    late = torch.tensor([2.0, -1.0], requires_grad=True)
    torch.where(valid, late.sqrt(), 0.0).sum().backward()
    assert late.grad.isnan().any()
