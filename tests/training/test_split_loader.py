"""The loader for a loop of one's own gives just what ours sees, in training and in validation."""

from __future__ import annotations

import multiprocessing

import h5py
import pytest
import regression_runs
import small_mae
import torch
from steps_of import config, write_data

from spectrain.config import load_config
from spectrain.config.schema import Part
from spectrain.tasks.mae import MaskedAutoencoding
from spectrain.training.evaluate import evaluate
from spectrain.training.parts import build_loss, build_model, make_loader, train_epoch
from spectrain.training.session import build_session


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
    valid, session = make_loader(cfg, "valid"), build_session(cfg)
    evaluate(session, session.valid, session.valid_order)
    assert_same(list(valid), looked_at)
    for one in (loader, valid, session):
        one.close()


def assert_same(given, wanted):
    assert len(given) == len(wanted) > 0
    for one, other in zip(given, wanted, strict=True):
        assert one.key == other.key and torch.equal(one.index, other.index)  # the masks hang on these two
        assert torch.equal(one.valid, other.valid) and torch.equal(one.filled(), other.filled())
        assert one.image.stride() == other.image.stride()


def test_an_epoch_knows_what_was_measured_of_the_labels(tmp_path):
    """The labels are 80 tonnes and more: without their mean and deviation the loss is of another size."""
    images, labels = regression_runs.write_pairs(tmp_path)
    words = [f"dataset.path={images}", f"dataset.labels_path={labels}", "model=pixel_net", "loss=mse", "trackers=[]"]
    cfg = load_config("regression", overrides=words)
    loader, model = make_loader(cfg, "train"), build_model(cfg)
    optimizer = cfg.optimizer.build(parameters=model.parameters())
    loss, _, _ = train_epoch(loader, model, build_loss(cfg), optimizer, 0, cfg)
    (centre,) = loader.inputs.task.centre
    assert centre == pytest.approx(80, rel=0.1)
    assert loss < 2 * loader.inputs.task.spread[0] ** 2
    loader.close()


def test_two_loaders_and_a_model_build_one_model_and_no_optimiser(tmp_path, monkeypatch):
    small_mae.write_cubes(tmp_path)
    cfg = small_mae.config(tmp_path / "holes.h5", "hparams.accumulate_grad_batches=2", "general.sync_batchnorm=false")
    built, build = [], Part.build

    def noted(self, **context):
        built.append(self.group)
        return build(self, **context)

    monkeypatch.setattr(Part, "build", noted)
    with make_loader(cfg, "train") as loader, make_loader(cfg, "valid") as valid:
        assert next(iter(loader)).image.shape[1] == next(iter(valid)).image.shape[1] == 8
        assert next(build_model(cfg).parameters()).device.type == "cpu"
    assert built.count("model") == 1 and "optimizer" not in built


@pytest.mark.parametrize("synchronised", ["true", "false"])
def test_what_batch_norm_sees_together_comes_together(tmp_path, synchronised):
    """Whether the micro-batches of a step are one depends on the model, which has batch norm here."""
    data = write_data(tmp_path / "toy.h5")
    words = ["hparams.batch_size=4", "hparams.accumulate_grad_batches=2", f"general.sync_batchnorm={synchronised}"]
    with make_loader(config(data, "toy_dense", *words)) as loader:
        counts = [len(batch.index) for batch in loader]
    assert counts == ([8, 8] if synchronised == "true" else [4] * 4) and len(loader) == len(counts)


@pytest.mark.parametrize("split", ["train", "test"])
def test_workers_end_with_the_loader(tmp_path, split):
    data = write_data(tmp_path / "toy.h5")
    with h5py.File(data, "r+") as file:
        file["test"], file["test_toy_dense"] = file["valid"][:], file["valid_toy_dense"][:]
    before = set(multiprocessing.active_children())
    with make_loader(config(data, "toy_dense", "general.num_workers=1"), split) as loader:
        first = next(iter(loader))
        assert len(set(multiprocessing.active_children()) - before) == 1
    assert not set(multiprocessing.active_children()) - before
    again = next(iter(loader))  # as often as it is wanted
    assert torch.equal(first.index, again.index)
    loader.close()
