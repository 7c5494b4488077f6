"""One network for any bands, any order of them, any size and any holes."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from model_contract import batch_of, images, part_of, statistics

from spectrain.core.bands import Band, Bands
from spectrain.core.errors import ConfigError
from spectrain.core.random import Key
from spectrain.losses.mae_spectral import MAESpectralLoss
from spectrain.models.banded import build_banded
from spectrain.models.positions import CODE, band_codes, grid_code
from spectrain.models.tokens import slots_of
from spectrain.tasks.mae import MaskedAutoencoding

OPTIONS = {
    "embed_dim": 16,
    "encoder_depth": 2,
    "encoder_num_heads": 2,
    "decoder_depth": 1,
    "decoder_num_heads": 2,
    "patch_size": [4, 5],
    "mask_ratio": 0.5,
}


def bands_of(*wavelengths: float | None) -> Bands:
    return Bands(Band(f"b{number}", wavelength=centre, width=20.0) for number, centre in enumerate(wavelengths))


def build(bands: Bands, figures=None, size=None, **options):
    return build_banded(
        part_of("mae_spectral", **{**OPTIONS, **options}),
        bands=bands,
        statistics=figures or statistics(len(bands)),
        image_size=size,
        seed=1,
    )


def loss_of(model, batch):
    return MaskedAutoencoding(MAESpectralLoss(spectral_sum_weight=0.1)).loss(model.train(), batch)


@pytest.mark.parametrize("count", [1, 4, 12, 30, 64, 200])
@pytest.mark.parametrize("wavelengths", ["all", "none", "some"])
def test_any_number_of_bands_trains_the_same_network(count, wavelengths):
    centres = [400.0 + 10 * band for band in range(count)]
    keep = {"all": lambda band: True, "none": lambda band: False, "some": lambda band: band % 3}[wavelengths]
    bands = bands_of(*(centre if keep(band) else None for band, centre in enumerate(centres)))
    trained = build(bands_of(*range(500, 560, 10)))
    model = trained.for_bands(bands, statistics(count))
    assert model.network is trained.network
    batch = batch_of(images(2, count, (12, 12)))
    assert model(batch).shape == (2, count, 12, 12)
    found = loss_of(model, batch)
    found.loss.sum.backward()
    assert found.loss.sum.isfinite() and found.loss.weight > 0
    assert all(parameter.grad.isfinite().all() for parameter in trained.network.parameters())


@pytest.mark.parametrize(
    ("count", "sizes"), [(12, [4, 4, 4]), (13, [5, 4, 4]), (4, [4]), (1, [1]), (30, [5] * 6), (6, [3, 3]), (64, None)]
)
def test_groups_are_as_even_as_can_be(count, sizes):
    slots = slots_of(Bands.unnamed(count), 5, by_wavelength=True)
    groups = [slots[start : start + 5] for start in range(0, len(slots), 5)]
    held = [[slot for slot in group if slot >= 0] for group in groups]
    assert [slot for group in held for slot in group] == list(range(count))
    assert max(map(len, held)) - min(map(len, held)) <= 1
    assert sizes is None or [len(group) for group in held] == sizes


@pytest.mark.parametrize("count", [4, 7, 10, 30])
@pytest.mark.parametrize("mask_channel", [False, True])
def test_the_order_of_the_bands_does_not_matter(count, mask_channel):
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(count, generator=generator).tolist()
    bands, figures = bands_of(*(450.0 + 10 * band for band in range(count))), statistics(count)
    model = build(bands, figures, mask_channel=mask_channel).eval()
    shuffled = model.for_bands(
        Bands(bands[band] for band in order),
        SimpleNamespace(mean=[figures.mean[band] for band in order], std=[figures.std[band] for band in order]),
    )
    image, valid = images(3, count, (12, 9)), torch.rand(3, count, 12, 9, generator=generator) < 0.8
    one, other = batch_of(image, valid), batch_of(image[:, order], valid[:, order])
    with torch.no_grad():
        assert torch.equal(model(one)[:, order], shuffled(other))
        assert torch.equal(model.features(one)[0][1], shuffled.features(other)[0][1])
        torch.testing.assert_close(loss_of(model, one).loss.sum, loss_of(shuffled, other).loss.sum)


def test_bands_that_are_near_have_near_codes_and_names_their_own():
    codes = band_codes(
        Bands([*bands_of(500.0, 502.0, 900.0, None), Band("VV"), Band("vv "), Band("again", 500.0, 20.0)])
    )
    assert codes.shape == (7, CODE) and codes.isfinite().all()
    near, far = (codes[0] - codes[1]).norm(), (codes[0] - codes[2]).norm()
    assert near < 0.5 * far
    assert torch.equal(codes[0], codes[6])
    assert (codes[3] - codes[4]).norm() > 1
    assert torch.equal(band_codes(Bands([Band("VV")])), band_codes(Bands([Band("vv")])))


def test_positions_are_of_the_place_and_not_of_the_size_of_the_image():
    small = grid_code(torch.arange(3), torch.arange(4), 16).view(3, 4, 16)
    large = grid_code(torch.arange(9), torch.arange(7), 16).view(9, 7, 16)
    assert torch.equal(large[:3, :4], small)
    assert small.flatten(0, 1).unique(dim=0).shape[0] == 12


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (13, 31), (16, 16), (17, 4)])
@pytest.mark.parametrize("group", ["pixels", "metres"])
def test_feature_maps_of_odd_sizes(size, group):
    bands = Bands(Band(f"b{n}", wavelength=500.0 + n, resolution=20.0) for n in range(7))
    model = build(bands, positions=group).eval()
    ((stride, features),) = model.features(batch_of(images(2, 7, size)))
    assert stride == 4
    assert features.shape == (2, 16, math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    assert features.isfinite().all()
    if max(size) > 4:  # a single token has nothing to be told from
        assert model(batch_of(images(2, 7, size))).shape == (2, 7, *size)


def test_an_image_within_another_has_the_same_positions_in_metres():
    """Pixels half as large: every second token is where a token of the coarse image is."""
    fine, coarse = (Bands([Band("a", 500.0, resolution=size)]) for size in (10.0, 20.0))
    model = build(fine, positions="metres")
    other = model.for_bands(coarse, statistics(1))
    place = model.network.encoder.place
    tokens, others = (one.tokens(batch_of(images(1, 1, (16, 16)))) for one in (model, other))
    here = place(tokens.spectrum, tokens.grid).view(4, 4, -1)
    there = place(others.spectrum, others.grid).view(4, 4, -1)
    torch.testing.assert_close(here[::2, ::2], there[:2, :2])


def test_further_bands_need_a_resolution_too_where_positions_are_in_metres():
    model = build(Bands([Band("a", 500.0, resolution=10.0)]), positions="metres")
    with pytest.raises(ConfigError, match="and b0, b1 have none"):
        model.for_bands(bands_of(500, 600), statistics(2))
    with pytest.raises(ConfigError, match="and b0 have none"):
        model.add_bands(bands_of(500), statistics(1))


@pytest.mark.parametrize("decoder", ["full", "cross"])
@pytest.mark.parametrize("mask_channel", [False, True])
def test_what_stands_in_a_hole_never_matters(decoder, mask_channel):
    model = build(bands_of(500, 600, 700, None), decoder=decoder, mask_channel=mask_channel)
    valid = images(3, 4, (13, 12), seed=5) > -0.5
    valid[0, 2] = False  # a band that is nowhere valid
    valid[1, :, :8] = False
    results = []
    for stuff in (math.nan, 1e30, -math.inf):
        model.zero_grad()
        found = loss_of(model, batch_of(torch.where(valid, images(3, 4, (13, 12)), stuff), valid))
        found.loss.sum.backward()
        features = model.features(batch_of(torch.where(valid, images(3, 4, (13, 12)), stuff), valid))[0][1]
        results.append([found.loss.sum, features, *(parameter.grad.clone() for parameter in model.parameters())])
    for tensors in zip(*results, strict=True):
        assert all(one.isfinite().all() and torch.equal(one, tensors[0]) for one in tensors)


def test_padding_of_the_border_and_of_groups_is_no_part_of_the_loss():
    """Values there are predicted, but nothing follows from them."""
    model = build(bands_of(500, 600, 700))
    batch = batch_of(images(2, 3, (10, 9)))
    tokens = model.tokens(batch)
    assert tokens.valid.sum() == 2 * 3 * 10 * 9
    assert (tokens.values[~tokens.valid] == 0).all()
    plan = model.net.plan(tokens, batch.key, batch.index)
    found = loss_of(model, batch)
    hidden = torch.take_along_dim(tokens.valid, plan.predicted[..., None], 1)
    torch.testing.assert_close(found.loss.weight, hidden.sum() / tokens.grid.values)


def test_tokens_that_are_less_than_half_valid_are_not_shown_and_not_asked():
    model = build(bands_of(500, 600, 700, 800, 900), patch_size=[4, 5]).eval()
    image = images(1, 5, (8, 8))
    valid = torch.ones(1, 5, 8, 8, dtype=torch.bool)
    valid[0, :3, :4, :4] = False  # the first token: 3 of 5 bands are missing
    valid[0, :2, :4, 4:] = False  # the second: 2 of 5
    tokens = model.tokens(batch_of(image, valid))
    assert tokens.kept.tolist() == [[False, True, True, True]]
    changed = image.clone()
    changed[0, :, :4, :4] += 5  # what is valid there is not looked at
    ours, other = (model.features(batch_of(one, valid))[0][1] for one in (image, changed))
    assert torch.equal(ours, other) and (ours[0, :, 0, 0] == 0).all()


def test_further_band_sets_are_told_apart_and_kept():
    model = build(bands_of(500, 600, 700))
    model.add_bands(bands_of(450, 550, 650, 750, None), statistics(5))
    second = batch_of(images(2, 5, (8, 8))).replace(dataset=1)
    assert model(second).shape == (2, 5, 8, 8)
    alone = model.for_bands(bands_of(450, 550, 650, 750, None), statistics(5))
    assert torch.equal(model(second), alone(second.replace(dataset=0)))
    assert {name for name in model.state_dict() if name.startswith("sets.1")} == {"sets.1.mean", "sets.1.std"}
    assert len(model.sets) == 2


def test_compiled_it_is_the_same_and_is_compiled_once():
    """Masks are drawn outside and shapes do not change, so no epoch compiles anew."""
    pytest.importorskip("torch._inductor")
    torch._dynamo.reset()
    times = []

    def counting(graph, inputs):
        times.append(1)
        return graph.forward

    model = build(bands_of(*range(400, 520, 10)))
    task, image = MaskedAutoencoding(MAESpectralLoss()), images(2, 12, (16, 16))
    expected = [
        task.loss(model.train(), batch_of(image).replace(key=Key(1, "mask", n))).loss.sum.detach() for n in range(4)
    ]
    assert len({float(one) for one in expected}) == 4
    inner = model.forward
    model.forward = torch.compile(inner, backend=counting, fullgraph=True)
    try:
        for epoch in range(4):
            got = task.loss(model, batch_of(image).replace(key=Key(1, "mask", epoch))).loss.sum
            torch.testing.assert_close(got, expected[epoch], rtol=1e-5, atol=1e-5)
    finally:
        model.forward = inner
        torch._dynamo.reset()
    assert len(times) == 1


@pytest.mark.slow
def test_inductor_computes_the_same():
    model = build(bands_of(*range(400, 460, 10)), encoder_depth=1).eval()
    tokens = model.tokens(batch_of(images(2, 6, (8, 8))))
    plan = model.net.plan(tokens, Key(1, "mask"), torch.arange(2))
    torch._dynamo.reset()
    with torch.no_grad():
        expected = model(tokens, plan)
        try:
            got = torch.compile(model.net.predict)(tokens, plan)
        except Exception as error:  # no compiler on this machine
            pytest.skip(f"torch.compile is not available: {type(error).__name__}")
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_a_reconstruction_keeps_what_was_seen_and_is_that_of_a_validation():
    model = build(bands_of(*range(500, 560, 10))).eval()
    image = images(2, 6, (12, 12)) + 3
    valid = torch.rand(image.shape, generator=torch.Generator().manual_seed(1)) > 0.2
    batch = batch_of(image, valid).replace(key=Key(7, "valid"))
    found = model.reconstruct(batch)
    assert found.prediction.shape == image.shape and 0.3 < found.masked.float().mean() < 0.7
    kept = ~found.masked & valid
    assert torch.equal(found.prediction[kept], image[kept]) and not found.prediction.requires_grad
    step = MaskedAutoencoding(MAESpectralLoss()).loss(model, batch)
    assert torch.equal(step.output.masked, found.masked)
    torch.testing.assert_close(step.output.prediction, found.prediction)
