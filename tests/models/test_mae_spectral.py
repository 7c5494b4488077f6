"""The spectral masked autoencoder keeps to what every model keeps to, in the sizes that are documented."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch
from model_contract import ModelContract, batch_of, images, part_of, statistics

from spectrain.config import load_config
from spectrain.core.bands import Bands
from spectrain.core.errors import ConfigError, DataError
from spectrain.models import mae_layers
from spectrain.models.any_bands import Spectrum
from spectrain.models.banded import build_banded
from spectrain.models.mae_spectral import MAESpectral
from spectrain.models.positions import CODE, grid_code
from spectrain.models.tokens import Grid

SMALL = {
    "embed_dim": 16,
    "encoder_depth": 2,
    "encoder_num_heads": 2,
    "decoder_depth": 1,
    "decoder_num_heads": 2,
    "patch_size": [4, 2],
    "mask_ratio": 0.5,
}


class FeatureMap(torch.nn.Module):
    """The encoder on plain images of the bands that a model was made for."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model.features(batch_of(x))[0][1]


class MAEContract(ModelContract):
    name = "mae_spectral"
    options: ClassVar = SMALL

    def output_shape(self, count, size, bands=2):
        return (count, bands, *size)

    # what comes out is an image: it has the bands that went in, unlike a vector or logits
    @pytest.mark.parametrize("bands", [1, 4, 14, 30])
    def test_takes_any_number_of_bands(self, bands):
        output = self.build(bands)(batch_of(images(2, bands, self.size)))
        assert output.shape == self.output_shape(2, self.size, bands)
        assert output.dtype == torch.float32
        assert output.isfinite().all()

    # the network works on tokens and draws masks by sample: the encoder of whole images is what is of use outside
    def test_is_exported(self):
        encoder, x = FeatureMap(self.build().eval()), images(2, 4, self.size)
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.export.export(encoder, (x,), dynamic_shapes=({0: batch},))
        more = images(5, 4, self.size, seed=1)
        with torch.no_grad():
            torch.testing.assert_close(program.module()(more), encoder(more))


class TestFull(MAEContract):
    pass


class TestCross(MAEContract):
    options: ClassVar = {**SMALL, "decoder": "cross"}


class TestLearned(MAEContract):
    options: ClassVar = {**SMALL, "positions": "learned", "class_token": True}


class TestTubeThatPredictsSome(MAEContract):
    options: ClassVar = {**SMALL, "masking": "tube", "decode_ratio": 0.3}


def counts(model: str, size: int, *more: str) -> tuple[int, int]:
    """Parameters in all and of the encoder, from the configuration; nothing is allocated."""
    cfg = load_config("mae", overrides=[f"model={model}", *more])
    with torch.device("meta"):
        network = cfg.model.build(bands=Bands.unnamed(30), image_size=(size, size))
    return tuple(sum(one.numel() for one in part.parameters()) for part in (network, network.encoder))


@pytest.mark.parametrize(
    ("size", "total", "encoder"),
    [
        ("tiny", 7_272_533, 6_016_896),
        ("small", 26_965_109, 22_650_624),
        ("base", 103_619_765, 87_768_576),
        ("medium", 59_604_789, 52_247_552),
        ("large", 333_484_597, 305_928_192),
        ("huge", 676_674_485, 634_201_600),
    ],
)
def test_the_documented_sizes_have_their_parameters(size, total, encoder):
    assert counts(f"mae_{size}", 500, "model.positions=learned") == (total, encoder)


@pytest.mark.parametrize(
    ("size", "total", "encoder", "total_240"),
    [
        ("tiny", 1_286_773, 982_272, 822_608),
        ("small", 6_140_341, 5_122_048, 5_214_416),
        ("base", 95_191_349, 87_768_576, 92_726_224),
        ("medium", 59_605_813, 52_248_576, 57_756_368),
        ("large", 143_724_725, 136_252_800, 140_797_840),
        ("huge", 223_170_005, 211_788_000, 219_512_000),
    ],
)
def test_the_published_sizes_have_their_parameters(size, total, encoder, total_240):
    assert counts(f"mae_{size}_published", 500) == (total, encoder)
    assert counts(f"mae_{size}_published", 240, "model.patch_size=[12,5]")[0] == total_240


def test_what_hides_little_predicts_the_rest_of_an_image_too():
    """Whole images come out of the decoder, however few tokens a step of training predicts."""
    model = build_banded(
        part_of("mae_spectral", **SMALL, decode_ratio=0.1, standardise="none"),
        bands=Bands.unnamed(4),
        statistics=statistics(4),
        image_size=(16, 16),
        seed=1,
    )
    image = images(1, 4, (16, 16))
    with torch.no_grad():
        assert (model(batch_of(image)) != image).all()


@pytest.mark.parametrize("size", [(12, 12), (20, 16), (8, 32)])
def test_learned_positions_refuse_another_grid(size):
    model = build_banded(
        part_of("mae_spectral", **SMALL, positions="learned"),
        bands=Bands.unnamed(4),
        statistics=statistics(4),
        image_size=(16, 16),
        seed=1,
    )
    with pytest.raises(DataError, match="learned positions are for 4 x 4"):
        model.features(batch_of(images(1, 4, size)))
    with pytest.raises(DataError, match="learned positions are for"):
        model.for_bands(Bands.unnamed(6), statistics(6)).features(batch_of(images(1, 6, (16, 16))))


def test_the_code_of_a_grid_is_kept_for_the_next_step_and_never_taken_for_another_one(monkeypatch):
    made = []
    monkeypatch.setattr(mae_layers, "grid_code", lambda *given: made.append(1) or grid_code(*given))
    place = mae_layers.Place(8, 2, "pixels", (0, 0, 0))
    spectrum = Spectrum(torch.randn(3, 2 * CODE), 1.0)
    small, wide = Grid(3, 2, 2, 2, 4, 8, 8), Grid(3, 2, 5, 2, 4, 8, 20)
    with torch.inference_mode():
        place(spectrum, small)
    first = place(spectrum, small)
    assert torch.equal(place(spectrum, small), first)
    assert len(made) == 2  # what inference made is not kept
    assert place(spectrum, wide).shape == (30, 8)
    assert torch.equal(place(spectrum, small), first)
    assert len(made) == 4
    place(spectrum, small).sum().backward()


def test_what_does_not_go_together_is_told_at_once():
    with pytest.raises(ConfigError) as raised:
        part_of("mae_spectral", **{**SMALL, "encoder_num_heads": 3, "decoder_num_heads": 5, "patch_size": [4]}).build(
            bands=Bands.unnamed(4), image_size=(16, 16)
        )
    said = str(raised.value)
    assert "encoder_num_heads" in said and "decoder_num_heads" in said and "patch_size" in said
    odd = {**SMALL, "decoder_embed_dim": 6, "decoder_num_heads": 2}
    with pytest.raises(ConfigError, match=r"model\.decoder_embed_dim.*a token of 6 numbers"):
        part_of("mae_spectral", **odd).build(bands=Bands.unnamed(4), image_size=(16, 16))
    with pytest.raises(ConfigError, match="band_1, band_2 have none"):
        part_of("mae_spectral", **SMALL, positions="metres").build(bands=Bands.unnamed(2), image_size=None)


def test_plain_images_of_any_bands_and_size():
    """The class by itself, as somebody uses it who has a loop of his own."""
    model = MAESpectral.of(
        embed_dim=16, encoder_depth=1, encoder_num_heads=2, decoder_depth=1, decoder_num_heads=2, patch_size=[4, 2]
    )
    image = images(2, 4, (10, 13))
    image[0, 1, :3] = math.nan
    found = model(image, wavelengths=[490, 560, 665, 842])
    assert found.shape == image.shape and found[1].isfinite().all()
    assert not torch.equal(found, model(image))
    found.nan_to_num().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with pytest.raises(ValueError, match=r"shorter|longer"):
        model(image, wavelengths=[490])
