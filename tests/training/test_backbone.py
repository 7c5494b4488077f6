"""An encoder goes on from one run into another, which then needs the first no more."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

import spectrain
from spectrain.config import load_config
from spectrain.core.errors import ConfigError, RunError
from spectrain.training.session import build_session

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
        (64, 8, 8),
        (64, 4, 4),
        (128, 2, 2),
        (256, 1, 1),
        (512, 1, 1),
    ]
    assert model.pooled(batch).shape == (len(batch.index), 512)


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


def test_two_sources_of_weights(data, first):
    with pytest.raises(ConfigError, match="give one of the two"):
        build_session(second(data, f"model.backbone={first.folder}", f"model.init_from={first.folder}"))
