"""An encoder goes on from one run into another, which then needs the first no more."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import yaml

import spectrain
from spectrain.config import load_config
from spectrain.core.bands import Band, Bands
from spectrain.core.batch import Batch
from spectrain.core.errors import ConfigError, RunError
from spectrain.core.targets import NoTarget
from spectrain.training.session import build_session

pytestmark = pytest.mark.usefixtures("narrow")

QUICK = ["augmentation.crop=12", "augmentation.jitter=2", "hparams.batch_size=4", "hparams.epochs=1"]
QUICK += ["general.device=cpu", "show_prediction=none", "model.feat_dim=8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "a.h5"
    with h5py.File(path, "w") as file:
        for split in ("train", "valid"):
            file[split] = np.random.default_rng(0).normal(size=(8, 2, 16, 16)).astype(np.float32)
    return path


@pytest.fixture
def first(data, tmp_path):
    words = ["model.backbone=resnet18", "model.stem=large", "model.mask_channel=true", "model.standardise=mean_std"]
    return spectrain.train("contrastive", overrides=[f"dataset.path={data}", *QUICK, *words, f"out_dir={tmp_path}/one"])


def second(data: Path, *more: str):
    return load_config("contrastive", overrides=[f"dataset.path={data}", *QUICK, *more], use_personal=False)


def test_the_encoder_is_taken_and_the_head_is_fresh(data, first):
    session = build_session(second(data, f"model.backbone={first.folder}", "general.seed=5"))
    given = spectrain.load_checkpoint(first.checkpoint("best"))["model"]
    for name, value in session.model.network.state_dict().items():
        same = torch.equal(value, given[f"network.{name}"])
        if name.startswith("encoder."):
            assert same, name
        elif name.endswith("weight"):
            assert not same, name
    options = session.cfg.model
    assert (options.backbone, options.stem, options.mask_channel, options.standardise) == (
        "resnet18",
        "large",
        True,
        "mean_std",
    )
    session.close()


def test_a_run_continues_when_the_one_it_began_from_is_gone(data, first, tmp_path):
    words = [f"dataset.path={data}", *QUICK, f"model.backbone={first.folder}", f"out_dir={tmp_path}/two"]
    run = spectrain.train("contrastive", overrides=words)
    recorded = yaml.safe_load((run.folder / "config.yaml").read_text())["model"]
    assert (recorded["backbone"], recorded["init_part"]) == ("resnet18", "encoder")
    shutil.rmtree(first.folder)
    again = spectrain.train(resume=run.folder, overrides=["hparams.epochs=2"])
    assert again.info["steps"] == 4
    model = spectrain.load_trained_model(run.folder)
    assert model.network.encoder.strides == (2, 4, 8, 16, 32)


def test_features_of_a_run(data, first):
    model = spectrain.load_trained_model(first.folder)
    loader = spectrain.make_loader(second(data, f"model.backbone={first.folder}"), "valid")
    batch = next(iter(loader))
    maps = model.features(batch)
    assert [stride for stride, _ in maps] == [2, 4, 8, 16, 32]
    assert [tuple(found.shape[1:]) for _, found in maps] == [
        (8, 8, 8),
        (8, 4, 4),
        (16, 2, 2),
        (32, 1, 1),
        (64, 1, 1),
    ]
    assert model.pooled(batch).shape == (len(batch.index), 64)


def test_other_bands_are_named(data, first, tmp_path, caplog):
    with h5py.File(tmp_path / "named.h5", "w") as file:
        for split in ("train", "valid"):
            file[split] = np.random.default_rng(0).normal(size=(8, 2, 16, 16)).astype(np.float32)
    named = ["dataset.bands=[sst,salinity]"]
    begun = spectrain.train(
        "contrastive",
        overrides=[
            f"dataset.path={data}",
            *QUICK,
            *named,
            "model.backbone=resnet18",
            "model.stem=large",
            f"out_dir={tmp_path}/x",
        ],
    )
    with caplog.at_level(logging.WARNING):
        build_session(
            second(tmp_path / "named.h5", f"model.backbone={begun.folder}", "dataset.bands=[sst,chl]")
        ).close()
    assert "missing: salinity; unknown: chl" in caplog.text


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["model.backbone=resnet81"], ConfigError, "resnet101"),
        (["model.backbone=./nowhere"], RunError, "no such checkpoint"),
    ],
)
def test_a_backbone_that_there_is_not(data, words, error, message):
    with pytest.raises(error, match=message):
        build_session(second(data, *words))


@pytest.fixture(scope="module")
def masked(data, tmp_path_factory):
    """A run of a masked autoencoder on two bands."""
    out = tmp_path_factory.mktemp("masked") / "run"
    sizes = ["embed_dim=16", "encoder_depth=1", "encoder_num_heads=2", "decoder_depth=1", "decoder_num_heads=2"]
    words = ["model=mae_spectral", *(f"model.{size}" for size in sizes), "model.patch_size=[6,2]", "trackers=[]"]
    words += ["hparams.epochs=1", "hparams.batch_size=4", "general.device=cpu", "show_prediction=none"]
    return spectrain.train("mae", overrides=[f"dataset.path={data}", *words, f"out_dir={out}"]).folder


def test_a_masked_autoencoder_is_no_backbone_of_a_resnet(data, masked):
    with pytest.raises(ConfigError) as caught:
        build_session(second(data, f"model.backbone={masked}"))
    text = str(caught.value)
    assert "model.backbone" in text and "names a run of mae_spectral, whose encoder supcon_resnet cannot take" in text
    assert "no backbone and no stem" in text and "give a run of supcon_resnet" in text


def holding(image, valid=None):
    valid = torch.ones_like(image, dtype=torch.bool) if valid is None else valid
    return Batch(image, valid, NoTarget(), torch.arange(len(image)), all_valid=bool(valid.all()))


def test_features_of_a_masked_autoencoder_are_one_map_for_any_bands(masked):
    """The form on which later tasks build: [(stride, float32 [B,F,ceil(H/stride),ceil(W/stride)])], differentiable.

    The stride is the token's side, F the encoder's dimension, whatever the bands; `for_bands` shares the network. A
    place without a token that is at least half valid is 0.
    """
    model = spectrain.load_trained_model(masked)
    image = torch.rand(3, 2, 16, 20)
    ((stride, found),) = model.features(holding(image))
    assert (stride, found.shape, found.dtype) == (6, (3, 16, 3, 4), torch.float32)
    torch.testing.assert_close(model.pooled(holding(image)), found.mean((2, 3)))

    bands = Bands(Band(f"b{number}", wavelength=450 + 50 * number) for number in range(7))
    figures = SimpleNamespace(mean=[0.5] * 7, std=[0.2] * 7)
    other = model.for_bands(bands, figures)
    assert other.network is model.network
    image = torch.rand(2, 7, 13, 12)
    valid = torch.ones_like(image, dtype=torch.bool)
    valid[0, :, :6, :6] = False
    ((stride, found),) = other.features(holding(image, valid))
    assert (stride, found.shape) == (6, (2, 16, 3, 2))
    assert not found[0, :, 0, 0].any() and (found[1].norm(dim=0) > 0).all()
    found.square().mean().backward()
    moved = {name for name, weight in model.network.named_parameters() if weight.grad is not None}
    assert "encoder.embed.weight" in moved and not any(name.startswith("decoder") for name in moved)


def test_two_sources_of_weights(data, first):
    with pytest.raises(ConfigError, match="give one of the two"):
        build_session(second(data, f"model.backbone={first.folder}", f"model.init_from={first.folder}"))
