"""The toy tasks against NumPy: sums and weights, padding, and batches without a single label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_batches import BATCH, labels_of, toy_batch, toy_model
from toy_tasks import TOY_TASKS

from spectrain.core.errors import DataError


def numpy_loss(name, output, batch, labels):
    """Sum and weight of the terms, a term at a time."""
    output, real = output.numpy().astype(np.float64), batch.real.numpy()
    image, valid = batch.image.numpy().astype(np.float64), batch.valid.numpy()
    terms = []
    for row in np.flatnonzero(real):
        if name == "mean":
            for band in range(image.shape[1]):
                seen = image[row, band][valid[row, band]]
                if seen.size:
                    terms.append((output[row, band].mean() - seen.mean()) ** 2)
            continue
        for y, x in np.ndindex(labels.shape[-2:]):
            out, label = output[row, :, y, x], labels[row, ..., y, x]
            if name == "class_map" and label != 255:
                terms.append(np.log(np.exp(out).sum()) - out[label])
            elif name == "dense":
                terms += [(o - t) ** 2 for o, t in zip(out, label, strict=True) if np.isfinite(t)]
            elif name == "sparse" and np.isfinite(label):
                terms.append(0.5 * (out[1] + (out[0] - label) ** 2 / np.exp(out[1])))
    return sum(terms), len(terms)


@pytest.mark.parametrize("padding", [(), (1, 4), tuple(range(BATCH))])
@pytest.mark.parametrize("name", TOY_TASKS)
def test_equals_numpy(name, padding):
    batch = toy_batch(name, padding=padding)
    with torch.no_grad():
        step = TOY_TASKS[name]().loss(toy_model(name).eval(), batch)
    total, weight = numpy_loss(name, step.output, batch, labels_of(name))
    assert step.loss.sum.item() == pytest.approx(total, rel=1e-5, abs=1e-6)
    assert step.loss.weight.item() == weight
    assert (weight == 0) == (len(padding) == BATCH)


@pytest.mark.parametrize("name", ["class_map", "dense", "sparse"])
def test_without_a_label_the_loss_is_zero_and_has_a_gradient(name):
    model, batch = toy_model(name), toy_batch(name, labelled=False)
    step = TOY_TASKS[name]().loss(model, batch)
    step.loss.sum.backward()
    assert step.loss.sum == 0
    assert step.loss.weight == 0
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


@pytest.mark.parametrize("name", TOY_TASKS)
def test_sums_of_two_halves_are_the_whole(name):
    model = toy_model(name).eval()
    task = TOY_TASKS[name]()
    whole = task.loss(model, toy_batch(name)).loss
    halves = [task.loss(model, toy_batch(name, padding=rows)).loss for rows in ((0, 1), (2, 3, 4))]
    torch.testing.assert_close(halves[0].sum + halves[1].sum, whole.sum)
    assert halves[0].weight + halves[1].weight == whole.weight


@pytest.mark.parametrize("name", TOY_TASKS)
def test_is_additive_and_has_no_cached_outputs(name):
    task = TOY_TASKS[name].from_config(TOY_TASKS[name].Config())
    assert task.additive
    assert task.views == 1
    assert task.metrics() is None
    with pytest.raises(TypeError, match="additive"):
        task.outputs(toy_model(name), toy_batch(name))


@pytest.mark.parametrize("name", ["class_map", "dense", "sparse"])
def test_missing_labels_are_named(name):
    with pytest.raises(DataError, match="labels_key"):
        TOY_TASKS[name]().targets(None)


def test_the_sparse_task_reports_its_squared_error():
    batch = toy_batch("sparse", padding=(1,))
    with torch.no_grad():
        step = TOY_TASKS["sparse"]().loss(toy_model("sparse").eval(), batch)
    labels = labels_of("sparse")[batch.real.numpy()]
    errors = (step.output[batch.real, 0].numpy() - labels)[np.isfinite(labels)] ** 2
    assert step.parts["squared_error"].mean.item() == pytest.approx(errors.mean(), rel=1e-5)
