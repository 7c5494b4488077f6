"""The loader for a loop of one's own gives just what ours sees, in training and in validation."""

from __future__ import annotations

import pytest
import regression_runs
import small_mae
import torch

from spectrain.config import load_config
from spectrain.tasks.mae import MaskedAutoencoding
from spectrain.training.evaluate import evaluate
from spectrain.training.parts import build_loss, build_model, make_loader, train_epoch


@pytest.fixture
def looked_at(monkeypatch):
    """Every batch that a loss was asked of."""
    batches, loss = [], MaskedAutoencoding.loss

    def noted(self, model, batch):
        batches.append(batch)
        return loss(self, model, batch)

    monkeypatch.setattr(MaskedAutoencoding, "loss", noted)
    return batches


@pytest.mark.parametrize("overfit", [0, 1])
def test_a_loader_gives_what_the_loop_looks_at(tmp_path, looked_at, overfit):
    small_mae.write_cubes(tmp_path)
    more = ["augmentation=augment_basic", "hparams.batch_size=4", f"hparams.overfit_batches={overfit}"]
    cfg = small_mae.config(tmp_path / "holes.h5", *more)
    loader, model = make_loader(cfg, "train"), build_model(cfg)
    optimizer = cfg.optimizer.build(parameters=model.parameters())
    train_epoch(loader, model, build_loss(cfg), optimizer, 3, cfg)
    loader.epoch = 3
    assert_same(list(loader), looked_at)
    looked_at.clear()
    valid = make_loader(cfg, "valid")
    evaluate(valid.session, valid.session.valid, valid.session.valid_order)
    assert_same(list(valid), looked_at)
    for one in (loader, valid):
        one.session.close()


def assert_same(given, wanted):
    assert len(given) == len(wanted) > 0
    for one, other in zip(given, wanted, strict=True):
        assert one.key == other.key and torch.equal(one.index, other.index)  # the masks hang on these two
        assert torch.equal(one.valid, other.valid) and torch.equal(one.filled(), other.filled())


def test_an_epoch_knows_what_was_measured_of_the_labels(tmp_path):
    """The labels are 80 tonnes and more: without their mean and deviation the loss is of another size."""
    images, labels = regression_runs.write_pairs(tmp_path)
    words = [f"dataset.path={images}", f"dataset.labels_path={labels}", "model=pixel_net", "loss=mse", "trackers=[]"]
    cfg = load_config("regression", overrides=words)
    loader, model = make_loader(cfg, "train"), build_model(cfg)
    optimizer = cfg.optimizer.build(parameters=model.parameters())
    loss, _, _ = train_epoch(loader, model, build_loss(cfg), optimizer, 0, cfg)
    (centre,) = loader.session.task.centre
    assert centre == pytest.approx(80, rel=0.1)
    assert loss < 2 * loader.session.task.spread[0] ** 2
    loader.session.close()
