"""What regression takes from the labels: how many quantities there are, their mean and their deviation."""

from __future__ import annotations

import numpy as np
import pytest
from test_classes import Labelled

from spectrain.config import load_config
from spectrain.core.errors import DataError
from spectrain.data.mixture import Mixture
from spectrain.training import measured_labels
from spectrain.training.measured_labels import doubt_units, with_measured


def found(labels, *overrides):
    patches = labels if isinstance(labels, Mixture) else Labelled(labels)
    return with_measured(load_config("regression", overrides=overrides), patches)


def drawn(share=0.1, shape=(7, 9, 9), seed=0, scale=3.0, centre=3000.0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.normal(centre, scale, shape), np.nan).astype("f4")


@pytest.mark.parametrize("scale", [3.0, 0.01])
def test_mean_and_deviation_are_of_all_measured_pixels(monkeypatch, scale):
    monkeypatch.setattr(measured_labels, "_PIXELS", 200)  # blocks of two images, the last of one
    labels = drawn(scale=scale)
    labels[2:4] = np.nan
    cfg = found(labels)
    assert cfg.task.names == ["value"] and cfg.origins["task.centre"] == "the labels"
    assert cfg.task.centre == pytest.approx([np.nanmean(labels, dtype=float)], rel=1e-12)
    assert cfg.task.spread == pytest.approx([np.nanstd(labels.astype(float))], rel=1e-9)
    again = with_measured(cfg, Labelled(np.full((1, 2, 2), np.nan)))  # a run that goes on looks at nothing
    assert again is cfg
    two = found(Mixture([Labelled(labels), Labelled(drawn(seed=1, centre=0.0))]))
    both = np.concatenate([labels, drawn(seed=1, centre=0.0)])
    assert two.task.centre == pytest.approx([np.nanmean(both, dtype=float)])
    assert two.task.spread == pytest.approx([np.nanstd(both.astype(float))])


def test_a_quantity_a_layer():
    labels = np.stack([drawn(), drawn(seed=2, scale=7, centre=-4)], 1)
    cfg = found(labels)
    assert cfg.task.names == ["value_0", "value_1"]
    assert cfg.task.centre == pytest.approx([np.nanmean(labels[:, layer], dtype=float) for layer in (0, 1)])
    assert found(labels, "task.names=[height,mass]").task.names == ["height", "mass"]
    with pytest.raises(DataError, match="1 names for 2 layers"):
        found(labels, "task.names=[height]")


def test_what_is_said_stays():
    cfg = found(drawn(), "task.spread=[5]")
    assert cfg.task.spread == [5.0] and "task.spread" in cfg.origins and cfg.origins["task.spread"] != "the labels"
    assert found(drawn(), "task.standardise=none").task.centre == [0.0]
    published = found(drawn(), "loss.variance=published")
    assert (published.task.centre, published.task.spread) == ([0.0], [1.0])
    other = load_config("segmentation")
    assert with_measured(other, Labelled(drawn())) is other


def test_labels_that_are_all_alike_are_only_centred():
    assert found(np.full((2, 4, 4), 0.1, "f4")).task.spread == [1.0]
    assert found(np.array([[[-9999, 3], [5, -9999]]], "i2"), "task.ignore=[-9999]").task.centre == [4.0]


def test_without_labels_nothing_can_be_learned(caplog):
    with pytest.raises(DataError, match="no pixel of the training split is measured"):
        found(np.full((2, 4, 4), np.nan, "f4"))
    with pytest.raises(DataError, match="in layer 1"):
        found(np.stack([drawn(), np.full((7, 9, 9), np.nan, "f4")], 1))
    labels = drawn()
    labels[3] = np.nan
    found(labels)
    assert "1 of 7 patches have no labelled pixel" in caplog.text


def said(caplog):
    return [record.getMessage() for record in caplog.records if "another unit" in record.getMessage()]


@pytest.mark.parametrize(("factor", "doubted"), [(100, True), (0.01, True), (1, False), (3, False), (-1, False)])
def test_validation_in_another_unit_is_doubted(caplog, factor, doubted):
    train, valid = Labelled(drawn(centre=15.0, scale=8.0)), Labelled(drawn(seed=3, centre=15.0, scale=8.0) * factor)
    for words in ((), ("loss.variance=published",)):  # also where the model learns labels as they are
        caplog.clear()
        with_measured(load_config("regression", overrides=words), train, valid)
        found = said(caplog)
        assert len(found) == doubted
        if doubted:
            own, other = (np.nanmean(one.stored) for one in (valid, train))
            assert f"are {own:.3g} ± " in found[0] and f"of the training {other:.3g} ± " in found[0]


def test_a_test_in_another_unit_is_doubted(caplog):
    cfg = found(drawn(centre=15.0, scale=8.0))
    doubt_units(cfg, Labelled(drawn(seed=3, centre=1500.0, scale=800.0)))
    assert len(said(caplog)) == 1
    caplog.clear()
    doubt_units(cfg, Labelled(drawn(seed=3, centre=20.0, scale=10.0)))
    doubt_units(cfg, Labelled(np.full((3, 4, 4), np.nan, "f4")))
    doubt_units(found(drawn(), "task.standardise=none"), Labelled(drawn(centre=9e9)))
    doubt_units(load_config("segmentation"), Labelled(drawn(centre=9e9)))
    assert not said(caplog)
