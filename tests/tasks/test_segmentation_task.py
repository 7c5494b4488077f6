"""The task: which labels count, what a batch is made of, what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spectrain.core.bands import Band, Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import DataError
from spectrain.core.targets import IGNORED, ClassMap, NoTarget
from spectrain.losses.segmentation import SegmentationLoss
from spectrain.metrics.segmentation import SegmentationMetric
from spectrain.plots.segmentation import SegmentationPlot
from spectrain.tasks.segmentation import Segmentation


class Fixed(nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, batch):
        return self.logits


def task(classes=2, **options):
    loss = SegmentationLoss(bce_weight=1.0, focal_weight=0.0)
    return Segmentation(loss, classes, metric=SegmentationMetric(), plot=SegmentationPlot(nb_to_plot=2), **options)


def batch(y, valid=None, index=None):
    image = torch.rand(len(y), 2, *y.shape[1:])
    return Batch(
        image,
        everywhere(image.shape, image.device) if valid is None else valid,
        ClassMap(torch.as_tensor(y, dtype=torch.int16)),
        torch.arange(len(y)) if index is None else index,
        valid is None,
    )


def test_labels_of_any_kind_become_classes():
    one = task(3, ignore=(255, 7))
    labels = np.array([[[0, 1], [2, 7]], [[255, 0], [1, 1]]])
    for kind in (np.uint8, np.int16, np.float32, np.uint16):
        assert one.targets(labels.astype(kind)).y.tolist() == [[[0, 1], [2, 255]], [[255, 0], [1, 1]]]
    assert one.targets(labels[:, None]).y.shape == (2, 2, 2)
    holes = labels.astype(np.float32)
    holes[0, 0, 0] = np.nan
    assert one.targets(holes).y[0, 0, 0] == IGNORED
    signed = np.array([[[0, 1], [-1, 1]]], np.int8)  # in which 255 would be -1
    assert task(2, ignore=(255, -1)).targets(signed).y.tolist() == [[[0, 1], [255, 1]]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "the data have none"),
        (np.zeros(3, np.uint8), r"labels of shape \(3,\)"),
        (np.full((1, 2, 2), 3, np.uint8), "the label 3 is no class: these are 0 to 1"),
        (np.full((1, 2, 2), -1, np.int16), "the label -1 is no class"),
        (np.full((1, 2, 2), 0.5, np.float32), "the label 0.5 is no class"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        task().targets(labels)


def test_what_is_not_known_is_refused():
    with pytest.raises(DataError, match="how many classes"):
        task(None)
    with pytest.raises(DataError, match="1 names for 2 classes"):
        task(names=["one"])


def test_pixels_without_image_and_rows_that_fill_up_do_not_count():
    y = np.zeros((3, 4, 4))
    valid = torch.ones(3, 2, 4, 4, dtype=torch.bool)
    valid[0, 0, 0] = False  # one band is there
    valid[0, :, 1] = False
    model = Fixed(torch.randn(3, 1, 4, 4))
    step = task().loss(model, batch(y, valid, torch.tensor([5, 6, -1])))
    assert float(step.loss.weight) == 16 + 12
    step.loss.sum.backward()
    grad = model.logits.grad
    assert (grad[2] == 0).all() and (grad[0, :, 1] == 0).all() and (grad[0, :, 0] != 0).all()


def test_channels_are_one_for_two_classes():
    assert [task(classes).channels for classes in (2, 3, 7)] == [1, 3, 7]


def test_a_batch_of_another_kind_is_refused():
    one = batch(np.zeros((1, 2, 2)))
    with pytest.raises(DataError, match="needs maps of classes"):
        task().loss(Fixed(torch.zeros(1, 1, 2, 2)), one.replace(target=NoTarget()))


@pytest.mark.parametrize("classes", [2, 5])
def test_pictures_show_samples_and_scores(classes, tmp_path):
    one, draw = task(classes), torch.Generator().manual_seed(0)
    y = torch.randint(0, classes, (3, 12, 12), generator=draw)
    y[:, :2] = IGNORED
    one.plot.bands = Bands([Band("a"), Band("b")])
    model = Fixed(torch.randn(3, 1 if classes == 2 else classes, 12, 12, generator=draw))
    seen = batch(y.numpy(), index=torch.tensor([3, 4, -1]))
    step = one.loss(model, seen)
    figure = one.picture(step, seen)
    figure.savefig(tmp_path / "a.png")
    assert [axes.get_title() for axes in figure.axes[:4]][:2] == ["image", "labels"]
    assert len([axes for axes in figure.axes if axes.get_images()]) == 8  # two samples of four pictures
    sums = one.metrics()
    sums.update(step.output, seen)
    figures = one.figures(sums.sums())
    assert list(figures) == ["confusion", "roc", "precision_recall"]
    assert len(figures["roc"].axes[0].lines) == (2 if classes == 2 else 6)  # chance, and a curve a class
    assert one.figures({}) == {}
    for name, drawn in figures.items():
        drawn.savefig(tmp_path / f"{name}.png")
