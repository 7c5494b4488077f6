"""What segmentation takes from the labels: how many classes there are, their names, how rare each is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spectrain.config import load_config
from spectrain.core.bands import Bands
from spectrain.core.errors import DataError
from spectrain.data.mixture import Mixture
from spectrain.data.patches import Patches
from spectrain.training.inputs.classes import with_classes


class Labelled(Patches):
    def __init__(self, labels, preparation=None):
        self.path, self.split, self.bands = Path("x"), "train", Bands.unnamed(1)
        self.stored = np.asarray(labels)
        self.shape = (len(self.stored), 1, *self.stored.shape[1:])
        self.dtype = np.dtype(np.float32)
        self.has_mask, self.has_labels, self.preparation = False, True, preparation

    def read(self, index):
        raise AssertionError("no image is needed")

    def labels(self, index):
        return self.stored[index]

    def metadata(self):
        raise AssertionError

    def fingerprint(self):
        return "x"


def found(labels, *overrides, preparation=None, valid=None):
    splits = [Labelled(labels, preparation)] + ([] if valid is None else [Labelled(valid)])
    return with_classes(load_config("segmentation", overrides=overrides), splits)


LABELS = np.array([[[0, 0], [0, 1]], [[0, 2], [255, 0]]], np.uint8)


def test_classes_are_counted_in_all_splits():
    assert found(LABELS).task.classes == 3
    assert found(LABELS, valid=np.full((1, 2, 2), 4)).task.classes == 5
    assert found(LABELS, "task.ignore=[255,2]").task.classes == 2
    assert found(LABELS).origins["task.classes"] == "the labels"
    assert found(LABELS, "task.classes=7").task.classes == 7


def test_names_of_the_data_say_how_many_there_are():
    cfg = found(LABELS, preparation={"labels": {"names": ["a", "b", "c", "d"], "ignored": [255, 9]}})
    assert cfg.task.classes == 4 and cfg.task.class_names == ["a", "b", "c", "d"] and cfg.task.ignore == [255, 9]


def test_every_data_set_of_a_mixture_says_which_labels_do_not_count():
    plain = Labelled(LABELS)
    declared = Labelled(LABELS, {"labels": {"kind": "classes", "ignored": [2, 255]}})
    cfg = with_classes(load_config("segmentation"), [Mixture([plain, declared])])
    assert cfg.task.ignore == [255, 2]
    named = Labelled(LABELS, {"labels": {"names": ["land", "water", "ice"]}})
    with pytest.raises(DataError, match="the label 2 is the class 'ice' here"):
        with_classes(load_config("segmentation"), [Mixture([named, declared])])


def test_a_mixture_knows_how_it_was_made_where_that_is_the_same():
    made = {"bands": [], "labels": {"names": ["a", "b"]}}
    assert Mixture([Labelled(LABELS, made), Labelled(LABELS, dict(made))]).preparation == made
    assert Mixture([Labelled(LABELS, made), Labelled(LABELS)]).preparation is None


def test_rare_classes_weigh_more():
    cfg = found(LABELS, "loss.alpha=auto")
    share = np.array([5, 1, 1]) / 7
    assert cfg.loss.alpha == pytest.approx((1 / share) / (1 / share).sum(), abs=1e-6)
    assert cfg.loss.build().alpha is not None


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.full((1, 2, 2), 255), "no pixel of the training split"), (np.zeros((1, 2, 2)), "are of class 0")],
)
def test_labels_that_teach_nothing(labels, message):
    with pytest.raises(DataError, match=message):
        found(labels)


def test_other_tasks_are_left_as_they_are():
    cfg = load_config("contrastive")
    assert with_classes(cfg, [Labelled(LABELS)]) is cfg
