"""What regression takes from the labels: how many quantities there are, their mean and their deviation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_classes import Labelled

from spectrain.config import load_config
from spectrain.core.errors import DataError
from spectrain.data.mixture import Mixture
from spectrain.training.inputs import label_statistics as label_statistics_module
from spectrain.training.inputs.label_statistics import label_statistics
from spectrain.training.inputs.measured_labels import doubt_units, with_limits, with_measured


def found(labels, *overrides):
    patches = labels if isinstance(labels, Mixture) else Labelled(labels)
    return with_measured(load_config("regression", overrides=overrides), patches)


def drawn(share=0.1, shape=(7, 9, 9), seed=0, scale=3.0, centre=3000.0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.normal(centre, scale, shape), np.nan).astype("f4")


@pytest.mark.parametrize("scale", [3.0, 0.01])
def test_mean_and_deviation_are_of_all_measured_pixels(monkeypatch, scale):
    monkeypatch.setattr(label_statistics_module, "PIXELS", 200)  # blocks of two images, the last of one
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


def test_figures_end_a_little_beyond_the_labels_and_not_at_the_wildest():
    labels = drawn(scale=3.0, centre=50.0, shape=(20, 20, 20))
    low, high = np.nanmin(labels), np.nanmax(labels)
    cfg = found(labels)
    assert cfg.task.limits == pytest.approx([low - 0.03 * (high - low), high + 0.03 * (high - low)])
    assert cfg.origins["task.limits"] == "the labels"
    assert found(labels, "loss.variance=published").task.limits == cfg.task.limits  # which does not know its labels
    labels[0, 0, 0] = 1e6
    mean, spread = np.nanmean(labels.astype(float)), np.nanstd(labels.astype(float))
    assert found(labels).task.limits[1] == pytest.approx(mean + 4 * spread + 0.03 * (mean + 4 * spread - low), rel=1e-4)
    assert found(labels, "task.limits=[0,60]").task.limits == [0.0, 60.0]
    assert found(np.full((2, 4, 4), 7, "f4")).task.limits == pytest.approx([7, 7], abs=1e-5)
    assert len(found(np.stack([drawn(), drawn(seed=2)], 1)).task.limits) == 4


def test_a_model_that_does_not_know_its_labels_is_drawn_by_those_of_the_test(caplog):
    cfg = load_config("regression", overrides=["task.centre=[0]", "task.spread=[1]"])
    labels = drawn()
    labels[3] = np.nan
    assert with_limits(cfg, Labelled(labels)).task.limits == found(labels).task.limits
    assert with_limits(found(drawn()), Labelled(labels)).task.limits == found(drawn()).task.limits
    caplog.clear()
    label_statistics(Labelled(labels), (), remark=False)
    assert not caplog.text
    assert with_limits(cfg, Labelled(np.full((2, 4, 4), np.nan))) is cfg
    other = load_config("segmentation")
    assert with_limits(other, Labelled(labels)) is other


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


def test_bins_of_the_target_hold_as_many_labels_each():
    labels = drawn(share=1.0, shape=(8, 64, 64), scale=5.0, centre=30.0)
    cfg = found(labels)
    assert cfg.metric.bins == pytest.approx(np.quantile(labels, [0.2, 0.4, 0.6, 0.8]), abs=0.05)
    assert all(edge == round(edge, 2) for edge in cfg.metric.bins) and cfg.origins["metric.bins"] == "the labels"
    assert found(labels, "metric.bins=[10]").metric.bins == [10.0]
    assert found(labels, "metric.quantiles=0").metric.bins == []
    assert found(np.full((2, 4, 4), 7, "f4")).metric.bins == [7.0]
    assert found(np.stack([drawn(), drawn(seed=2)], 1)).metric.bins == []
    assert found(labels, "metric=none").metric.name == "none"


def test_rare_values_weigh_more_by_the_density_of_the_labels():
    labels = np.abs(drawn(share=0.5, shape=(8, 64, 64), centre=0.0))
    assert found(labels).loss.rare_edges == []
    for given in ([], ["task.centre=[1]", "task.spread=[2]"]):
        cfg = found(labels, "loss.rare=0.5", *given)
        weights = cfg.loss.rare_weights
        assert weights[-1] > 3 * weights[0] and len(weights) == len(cfg.loss.rare_edges) + 1
        loss = cfg.loss.build()
        y = torch.from_numpy(labels[np.isfinite(labels)])
        assert float(loss.rare(y).mean()) == pytest.approx(1, rel=0.01)
    assert with_measured(cfg, Labelled(labels)) is cfg  # of a run that goes on
    with pytest.raises(DataError, match="2 quantities, and weights of rare values are of one"):
        found(np.stack([drawn(), drawn(seed=2)], 1), "loss.rare=1")


def test_a_sample_is_taken_evenly(monkeypatch):
    monkeypatch.setattr(label_statistics_module, "KEPT", 50)
    labels = np.arange(2000, dtype="f4").reshape(20, 10, 10)
    (sample,) = label_statistics(Labelled(labels), ()).sample
    assert sample.tolist() == list(range(0, 2000, 64))


@pytest.mark.parametrize(("fill", "share"), [(-9999.0, 0.7), (0.0, 0.7), (-9999.0, 0.02), (1e30, 0.02)])
def test_labels_that_may_mean_not_measured_are_doubted(caplog, fill, share):
    rng = np.random.default_rng(3)
    labels = rng.normal(80, 30, (5, 16, 16)).astype("f4")
    found(labels)
    assert "not measured" not in caplog.text
    labels[rng.random(labels.shape) < share] = fill
    found(labels)
    assert f"% of the labels (value) are {fill:g}: if that stands for 'not measured'" in caplog.text
    caplog.clear()
    assert found(labels, f"task.ignore=[{fill:g}]").task.centre[0] == pytest.approx(80, abs=3)
    assert "stands for" not in caplog.text


def test_a_validation_without_labels_is_said_before_the_training(caplog):
    nothing = Labelled(np.full((4, 9, 9), np.nan, "f4"))
    with_measured(load_config("regression"), Labelled(drawn()), nothing)
    assert "none of 4 patches that were looked at has a labelled pixel" in caplog.text


def test_images_are_not_their_own_labels(tmp_path):
    (tmp_path / "A").mkdir()
    words = [f"dataset.path={tmp_path / 'A'}", f"dataset.labels_path={tmp_path / 'B' / '..' / 'A'}"]
    with pytest.raises(DataError, match="named as their own labels"):
        found(drawn(), *words)


def test_layers_without_names_are_said(caplog):
    with caplog.at_level("INFO", logger="spectrain"):
        found(np.stack([drawn(), drawn(seed=2)], 1))
    assert "2 layers, taken for as many quantities: value_0, value_1" in caplog.text
