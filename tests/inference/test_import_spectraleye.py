"""Published spectral masked autoencoders become checkpoints that predict what they predicted."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict

import pytest
import torch
from model_contract import batch_of
from published_mae import PublishedMae, published_state

import spectrain
from spectrain.cli import main
from spectrain.config import load_config
from spectrain.core.bands import Bands
from spectrain.core.errors import DataError
from spectrain.inference.import_weights import import_weights
from spectrain.inference.weights.imported import unscaled
from spectrain.inference.weights.spectraleye import KNOWN, network_weights, published_names, sizes_of
from spectrain.models.banded import build_banded
from spectrain.models.masking import Plan
from spectrain.models.tokens import take
from spectrain.training.trained.model import load_trained

VARIANTS = {
    "mae_tiny_published": {"dim": 128, "depth": 4, "heads": 4, "decoder_dim": 64, "decoder_depth": 2, "ratio": 2.0},
    "mae_small_published": {
        "dim": 256, "depth": 8, "heads": 8, "decoder_dim": 128, "decoder_depth": 4, "ratio": 2.0, "class_token": True
    },
    "mae_base_published": {"dim": 768, "depth": 12, "heads": 12, "decoder_dim": 256, "decoder_depth": 8},
    "mae_medium_published": {
        "dim": 512, "depth": 16, "heads": 16, "decoder_dim": 256, "decoder_depth": 8, "class_token": True
    },
    "mae_large_published": {"dim": 960, "depth": 12, "heads": 12, "decoder_dim": 256, "decoder_depth": 8},
    "mae_huge_published": {"dim": 1200, "depth": 12, "heads": 12, "decoder_dim": 320, "decoder_depth": 8},
}  # fmt: skip
HEADS = dict(zip(VARIANTS, (2, 4, 8, 8, 8, 8), strict=True))


def variant(name, **sizes):
    return PublishedMae(**{**VARIANTS[name], "decoder_heads": HEADS[name], **sizes}).eval()


def other(**sizes):
    """A model of no known variant: 12 bands in groups of 3, tokens of 8 px."""
    chosen = {"size": 24, "bands": 12, "patch": 8, "group": 3, "dim": 24, "depth": 2, "heads": 3}
    chosen |= {"decoder_dim": 16, "decoder_depth": 1, "decoder_heads": 2}
    return PublishedMae(**{**chosen, **sizes}).eval()


def written(path, mae, prefix="", **more):
    torch.save({**more, "model": published_state(mae, prefix)} if more else published_state(mae, prefix), path)
    return path


def assert_same(published, ours, bands, size):
    """Both predict the same of the same visible tokens."""
    generator = torch.Generator().manual_seed(5)
    tokens_in_all = published.t * published.side**2
    image = torch.rand(2, bands, size, size, generator=generator)
    noise = torch.rand(2, tokens_in_all, generator=generator)
    order, keep = noise.argsort(1), tokens_in_all // 4
    plan = Plan(order[:, :keep], None, order[:, keep:], None)
    with torch.no_grad():
        expected, _ = published(image, noise, keep)
        found = ours(ours.tokens(batch_of(image)), plan)
    torch.testing.assert_close(found, take(expected, plan.predicted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mae_tiny_published", "mae_small_published"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_imported_model_predicts_what_the_published_one_does(tmp_path, name, prefix):
    torch.manual_seed(2)
    mae = variant(name, size=50)
    found = import_weights(written(tmp_path / "model_9.pth", mae, prefix), "spectraleye", tmp_path / "ours.pt")
    model = spectrain.load_trained_model(found.path)
    assert_same(mae, model, 30, 50)
    assert (found.backbone, found.recipe, found.feat_dim) == (name, "mae", None)
    assert [band.wavelength for band in model.bands] == [*range(450, 740, 10), 850]
    assert model.features(batch_of(torch.rand(1, 30, 50, 50)))[0][1].shape == (1, VARIANTS[name]["dim"], 2, 2)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("size", "patch"), [(500, 25), (240, 12)])
def test_all_six_are_told_by_their_shapes(name, size, patch, tmp_path):
    with torch.device("meta"):
        state = published_names(published_state(variant(name, size=size, patch=patch)), tmp_path)
        found = sizes_of(state, tmp_path)
        cfg = load_config("mae", overrides=[f"model={name}", f"model.patch_size=[{patch},5]"])
        network = cfg.model.build(bands=Bands.unnamed(30), image_size=(size, size))
    options = cfg.model
    key = (found.dim, found.depth, found.decoder_dim, found.decoder_depth)
    assert KNOWN[key] == (name, options.encoder_num_heads, options.decoder_num_heads)
    assert (found.image, found.channels, found.mlp_ratio) == (size, 30, options.mlp_ratio)
    assert found.class_token == options.class_token
    ours = {key: tuple(value.shape) for key, value in network_weights(state).items()}
    assert ours == {key: tuple(value.shape) for key, value in network.state_dict().items()}


def as_spectralgpt(state):
    """Its names: nothing in front, and what SpectralEye renamed."""
    names = {
        "encoder_pos_embed_spatial": "pos_embed_spatial",
        "encoder_pos_embed_wavelength": "pos_embed_temporal",
        "encoder_cls_token": "cls_token",
        "encoder_pos_embed_class": "pos_embed_class",
    }
    plain = {name.removeprefix("encoder.").removeprefix("decoder."): value for name, value in state.items()}
    return {names.get(name, name): value for name, value in plain.items()}


@pytest.mark.parametrize("class_token", [False, True])
def test_a_file_of_spectralgpt(tmp_path, class_token):
    mae = other(class_token=class_token)
    record = {"model": as_spectralgpt(published_state(mae)), "epoch": 199, "args": object, "scaler": {"scale": 1.0}}
    torch.save(record, tmp_path / "gpt.pth")
    found = import_weights(tmp_path / "gpt.pth", "spectraleye", tmp_path / "ours.pt", heads=(3, 2))
    trained = load_trained(found.path)
    assert (found.epoch, trained.meta["imported"]["system"]) == (199, "spectraleye")
    assert found.bands == Bands.unnamed(12)
    assert trained.cfg.dataset.transform == "none"
    assert_same(mae, trained.model, 12, 24)


def test_the_configuration_is_that_of_the_published_training(tmp_path):
    written(tmp_path / "a.pth", variant("mae_tiny_published", size=50), epoch=3)
    found = import_weights(tmp_path / "a.pth", "spectraleye", tmp_path / "ours.pt", bands=[f"n{n}" for n in range(30)])
    trained = load_trained(found.path)
    cfg = trained.cfg
    assert cfg.dataset.transform == "log10_reflectance"
    assert (cfg.loss.mse_weight, cfg.loss.sam_weight, cfg.loss.spectral_sum_weight) == (1, 0, 1)
    assert (cfg.loss.spectral_sum_normalised, cfg.model.standardise, cfg.model.positions) == (False, "none", "learned")
    assert trained.model.bands.names[0] == "n0" and found.epoch == 3
    said = str(found)
    assert "50 x 50 px, 6 groups of 5 bands" in said
    go_on = f"model=mae_tiny_published model.patch_size=[25,5] model.init_from={found.path}"
    assert f"spectrain train mae dataset.path=DATA {go_on}" in said


@pytest.mark.parametrize("known", [True, False])
def test_weights_go_on_in_a_training_with_the_options_that_are_told(tmp_path, known):
    mae, size, heads = (variant("mae_tiny_published", size=24, patch=12), 24, None) if known else (other(), 24, (3, 2))
    found = import_weights(written(tmp_path / "a.pth", mae), "spectraleye", tmp_path / "ours.pt", heads=heads)
    cfg = load_config("mae", overrides=list(found.options))
    count = len(found.bands)
    model = build_banded(cfg.model, bands=found.bands, statistics=unscaled(count), image_size=(size, size), seed=0)
    assert_same(mae, model, count, size)


def test_sizes_that_nobody_published_need_their_heads(tmp_path):
    path = written(tmp_path / "a.pth", other())
    with pytest.raises(DataError, match=r"number of heads(.|\n)*--heads ENCODER DECODER"):
        import_weights(path, "spectraleye", tmp_path / "ours.pt")
    with pytest.raises(DataError, match="5 heads do not divide a token of 24"):
        import_weights(path, "spectraleye", tmp_path / "ours.pt", heads=(5, 2))
    with pytest.raises(DataError, match="2 bands are named, and the model takes 12"):
        import_weights(path, "spectraleye", tmp_path / "ours.pt", heads=(3, 2), bands=["a", "b"])
    for wrong in ({"fold_grey": True, "system": "spectraleye"}, {"heads": (1, 1), "system": "nenya"}):
        with pytest.raises(DataError, match="leave it away"):
            import_weights(path, output=tmp_path / "ours.pt", **wrong)
    assert not (tmp_path / "ours.pt").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder.norm.weight": None}, "norm.weight is missing"),
        ({"encoder.blocks.1.attn.k.weight": None}, "blocks.1.attn.qkv.weight is"),
        ({"encoder.blocks.1.norm1.weight": None}, "encoder.blocks.1.norm1.weight is missing"),
        ({"encoder.blocks.0.mlp.fc1.weight": None}, "not of the shapes"),
        ({"decoder.decoder_cls_token": torch.zeros(1, 1, 16)}, "decoder_cls_token is of no such model"),
        ({"encoder.patch_embed.proj.weight": torch.zeros(24, 1, 3, 8, 4)}, r"not \[dim, 1, bands, side, side\]"),
        ({"encoder.encoder_pos_embed_spatial": torch.zeros(1, 8, 24)}, "8 places are of no square image"),
        ({"encoder.norm.weight": torch.zeros(3)}, r"encoder.norm.weight is \[3\], not \[24\]"),
        ({"encoder.norm.weight": 3.0}, "norm.weight is no tensor"),
    ],
)
def test_what_is_no_such_model_is_told_in_one_message(tmp_path, change, words):
    state = published_state(other()) | change
    torch.save({name: value for name, value in state.items() if value is not None}, tmp_path / "a.pth")
    with pytest.raises(DataError, match=words) as raised:
        import_weights(tmp_path / "a.pth", "spectraleye", tmp_path / "ours.pt", heads=(3, 2))
    assert "a.pth" in str(raised.value)
    assert not (tmp_path / "ours.pt").exists()


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("place", ["beside", "instead"])
@pytest.mark.parametrize("how", ["system", "eval"])
def test_nothing_in_a_file_is_run(tmp_path, place, how):
    marker = tmp_path / "run"
    evil = Evil(os.system, f"touch {marker}") if how == "system" else Evil(eval, f"open({str(marker)!r}, 'w')")
    state = OrderedDict(published_state(other()))
    torch.save({"model": state, "more": evil} if place == "beside" else {"model": evil}, tmp_path / "a.pth")
    done = how == "eval" and place == "beside"  # torch refuses modules such as os; other names do nothing
    with contextlib.nullcontext() if done else pytest.raises(DataError, match=r"refused|no weights"):
        import_weights(tmp_path / "a.pth", "spectraleye", tmp_path / "ours.pt", heads=(3, 2))
    assert not marker.exists()


def test_the_command_takes_heads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.pth", other())
    with pytest.raises(SystemExit) as stopped:
        main(["import-weights", "a.pth", "--from", "spectraleye", "-o", "ours.pt", "--heads", "3", "2"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "masked autoencoder of 2 blocks of 24, 12 bands (band_1, band_2, ..., band_12)" in said
    assert "3 heads in the encoder, 2 in the decoder" in said
    assert "spectrain embed ours.pt DATA" in said
