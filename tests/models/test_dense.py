"""Dense models on own encoders: the contract, encoders of runs, and what each refuses."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from model_contract import ModelContract, batch_of, images, part_of, statistics

import spectrain
from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.models.banded import build_banded
from spectrain.models.dense import DenseBands, DenseNetwork
from spectrain.training.trained.model import load_trained

pytestmark = pytest.mark.usefixtures("narrow")


class TestDense(ModelContract):
    name = "dense"
    options = {"backbone": "resnet18", "width": 32}  # noqa: RUF012
    size = (32, 32)

    def output_shape(self, count, size):
        return (count, 1, *size)


def tokens(bands=4, size=(16, 16), **options):
    part = part_of(
        "dense_tokens",
        patch_size=[4, 2],
        embed_dim=32,
        encoder_depth=2,
        encoder_num_heads=2,
        decoder_num_heads=2,
        width=32,
        **options,
    )
    names = Bands(Band(f"{nm} nm", float(nm)) for nm in range(400, 400 + 50 * bands, 50))
    return build_banded(part, bands=names, statistics=statistics(bands), image_size=size, seed=0, channels=3)


@pytest.mark.parametrize("size", [(16, 16), (18, 13)])
@pytest.mark.parametrize("mask_channel", [False, True])
def test_an_encoder_of_tokens_gives_numbers_of_each_pixel(size, mask_channel):
    model, image = tokens(size=size, mask_channel=mask_channel), images(2, 4, size)
    assert isinstance(model, DenseBands)
    valid = torch.rand(image.shape) > 0.2
    for batch in (batch_of(image), batch_of(torch.where(valid, image, torch.nan), valid)):
        output = model(batch)
        assert output.shape == (2, 3, *size) and output.isfinite().all()
        output.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_frozen_encoder_stays_as_it_is():
    network = DenseNetwork(in_channels=3, freeze=True).train()
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.encoder.parameters())
    assert all(not parameter.requires_grad for parameter in tokens(freeze=True).network.encoder.parameters())


def labelled(path, bands=4, size=16):
    draw = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for split, count in (("train", 8), ("valid", 4)):
            image = draw.normal(size=(count, bands, size, size)).astype(np.float32)
            file[split] = image
            file[f"{split}_labels"] = (image[:, 0] > 0).astype(np.uint8)
    return path


SMALL = ["hparams.epochs=1", "hparams.batch_size=4", "trackers=[]", "general.num_workers=0", "hparams.plot_interval=0"]
WAVELENGTHS = "dataset.wavelengths=[450,550,650,850]"


def trained(recipe, folder, *overrides):
    return spectrain.train(recipe, overrides=[*SMALL, f"out_dir={folder}", *overrides])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("dense") / "data.h5")


def test_the_encoder_of_a_contrastive_run(data, tmp_path):
    trained("contrastive", tmp_path / "c", f"dataset.path={data}", "augmentation=none", "model.feat_dim=8")
    chosen = ["model=dense", f"model.backbone={tmp_path / 'c'}", "model.width=32", "model.freeze=true"]
    run = trained("segmentation", tmp_path / "s", f"dataset.path={data}", *chosen)
    theirs, ours = load_trained(tmp_path / "c").model.network, load_trained(run.folder).model.network
    assert all(torch.equal(a, b) for a, b in zip(theirs.encoder.parameters(), ours.encoder.parameters(), strict=True))


def test_a_regression_on_the_encoder_of_a_run(data, tmp_path):
    trained("contrastive", tmp_path / "c", f"dataset.path={data}", "augmentation=none", "model.feat_dim=8")
    values = tmp_path / "values.h5"
    with h5py.File(data) as source, h5py.File(values, "w") as file:
        for split in ("train", "valid"):
            file[split], file[f"{split}_labels"] = source[split][()], source[split][:, 0] * 3 + 40
    chosen = ["model=dense", f"model.backbone={tmp_path / 'c'}", "model.width=32", "model.freeze=true"]
    run = trained("regression", tmp_path / "r", f"dataset.path={values}", *chosen)
    theirs, ours = load_trained(tmp_path / "c").model.network, load_trained(run.folder).model.network
    assert all(torch.equal(a, b) for a, b in zip(theirs.encoder.parameters(), ours.encoder.parameters(), strict=True))
    (result,) = spectrain.test(run.folder)
    assert 0 < result["rmse"] < 30 and 0 <= result["coverage_90"] <= 1


def test_the_encoder_of_a_masked_autoencoder(data, tmp_path):
    sizes = ["patch_size=[4,2]", "embed_dim=32", "encoder_depth=2", "encoder_num_heads=2", "decoder_num_heads=2"]
    chosen = ["model=mae_spectral", *(f"model.{size}" for size in sizes), WAVELENGTHS, "show_prediction=none"]
    trained("mae", tmp_path / "m", f"dataset.path={data}", *chosen)
    chosen = ["model=dense", f"model.backbone={tmp_path / 'm'}", "model.width=32", "model.freeze=true", WAVELENGTHS]
    run = trained("segmentation", tmp_path / "s", f"dataset.path={data}", *chosen)
    found = load_trained(run.folder)
    assert found.cfg.model.name == "dense_tokens" and found.cfg.model.embed_dim == 32
    theirs, ours = load_trained(tmp_path / "m").model.network, found.model.network
    assert all(torch.equal(a, b) for a, b in zip(theirs.encoder.parameters(), ours.encoder.parameters(), strict=True))
    spectrain.train(resume=run.folder, overrides=["hparams.epochs=2"])
    (result,) = spectrain.test(run.folder)
    assert 0 <= result["jaccard"] <= 1


def test_other_bands_are_refused(data, tmp_path):
    other = labelled(tmp_path / "other.h5", bands=6)
    run = trained("segmentation", tmp_path / "s", f"dataset.path={data}", "model=dense", "model.width=32")
    with pytest.raises(DataError, match="trained on 4 bands, the data have 6"):
        spectrain.test(run.folder, other)
