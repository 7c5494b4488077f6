"""The loss of spectral reconstructions, against slow loops in float64 on images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from model_contract import batch_of, images, part_of, statistics

from spectrain.core.bands import Band, Bands
from spectrain.core.loss_sum import LossSum
from spectrain.core.random import Key
from spectrain.losses.mae_spectral import MAESpectralLoss
from spectrain.models.banded import build_banded
from spectrain.models.tokens import put
from spectrain.tasks.mae import MaskedAutoencoding

PARTS = ("mse", "sam", "variance", "range", "spectral_sum")
KEYS = dict(
    zip(
        PARTS,
        ("mse_weight", "sam_weight", "variance_weight", "range_penalty_weight", "spectral_sum_weight"),
        strict=True,
    )
)


def only(part: str, **options) -> MAESpectralLoss:
    return MAESpectralLoss(**{key: float(name == part) for name, key in KEYS.items()}, **options)


# ---------------------------------------------------------------- slow references, one image [C,H,W] at a time


def angle(a, b):
    """Half-angle form (Kahan): exact for all angles in float64."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return 2 * math.atan2(np.linalg.norm(a - b), np.linalg.norm(a + b))


def slow_mse(p, t, counted):
    return sum((p[tuple(at)] - t[tuple(at)]) ** 2 for at in np.argwhere(counted)) / max(counted.sum(), 1)


def slow_sam(p, t, counted, mean, std, valid):
    found = []
    for y in range(t.shape[1]):
        for x in range(t.shape[2]):
            measured = np.where(valid[:, y, x], t[:, y, x] * std + mean, 0)
            predicted = np.where(counted[:, y, x], p[:, y, x] * std + mean, measured)
            if counted[:, y, x].any() and np.linalg.norm(measured) > 1e-6:
                found.append(angle(measured, predicted))
    return np.mean(found) if found else 0.0


def slow_variance(p, t, counted):
    found = []
    for band in range(t.shape[0]):
        here = counted[band]
        if here.sum() >= 2:
            lost = math.sqrt(t[band][here].var() + 1e-6) - math.sqrt(p[band][here].var() + 1e-6)
            found.append(max(lost, 0))
    return np.mean(found) if found else 0.0


def slow_range(p, t, counted, low, high):
    total = 0.0
    for band, y, x in np.argwhere(counted):
        value = p[band, y, x]
        total += max(low[band] - value, 0) + max(value - high[band], 0)
    return total / max(counted.sum(), 1)


def slow_spectral_sum(p, t, counted, group_size):
    error = np.where(counted, p - t, 0)
    groups = error.reshape(-1, group_size, *error.shape[1:])
    return (groups.sum(0) ** 2).mean(), len(groups)


# ---------------------------------------------------------------- the token form, on a small model


def model_of(bands=6, size=(8, 12), **options):
    figures = statistics(bands)
    figures.minimum, figures.maximum = [-1.0 - n for n in range(bands)], [1.5 + n for n in range(bands)]
    sizes = {
        "embed_dim": 16,
        "encoder_depth": 1,
        "encoder_num_heads": 2,
        "decoder_depth": 1,
        "decoder_num_heads": 2,
        "patch_size": [4, 2],
        "mask_ratio": 0.6,
    }
    return build_banded(
        part_of("mae_spectral", **{**sizes, **options}),
        bands=Bands(Band(f"b{n}", 500.0 + 10 * n) for n in range(bands)),
        statistics=figures,
        image_size=size,
        seed=1,
    ).train()


def batch_with(holes: bool, size=(8, 12), count=3, bands=6):
    image = 2 * images(count, bands, size) + 1
    if not holes:
        return batch_of(image).replace(key=Key(1, "mask"))
    valid = torch.rand(count, bands, *size, generator=torch.Generator().manual_seed(1)) < 0.8
    valid[1, :, :4, :4] = False
    return batch_of(torch.where(valid, image, torch.nan), valid).replace(key=Key(1, "mask"))


def found_by(loss, model, batch):
    return MaskedAutoencoding(loss).loss(model, batch).loss


def seen_as_images(model, batch, everything):
    """Prediction, target, what is compared and what is valid, as numpy images."""
    with torch.no_grad():
        tokens = model.tokens(batch)
        plan = model.net.plan(tokens, batch.key, batch.index)
        index = torch.cat((plan.visible, plan.predicted), 1) if everything else plan.predicted
        prediction = put(tokens.values, index, model(tokens, plan, everything=everything))
        ok = torch.ones_like(index, dtype=torch.bool)
        if plan.wanted is not None:
            ok = torch.cat((plan.seen, plan.wanted), 1) if everything else plan.wanted
        marks = put(torch.zeros_like(tokens.values), index, ok[..., None].float().expand(-1, -1, prediction.shape[2]))
        counted = model.images(marks, tokens).bool() & batch.valid
        both = model.images(prediction, tokens), model.images(tokens.values, tokens)
    return *(part.double().numpy() for part in both), counted.numpy(), batch.valid.numpy()


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("compare", ["masked", "all"])
@pytest.mark.parametrize("size", [(8, 12), (7, 10)])
@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_what_a_slow_loop_finds(part, holes, compare, size):
    model, batch = model_of(size=size), batch_with(holes, size)
    everything = compare == "all" or part == "spectral_sum"
    prediction, target, counted, valid = seen_as_images(model, batch, everything)
    hidden = seen_as_images(model, batch, False)[2]
    # angle and deviation are of what was hidden: what was seen is not predicted, or teaches nothing
    taken = hidden if part in ("sam", "variance") or (compare == "masked" and part != "spectral_sum") else counted
    every = hidden if compare == "masked" else counted
    mean, std = np.array(statistics(6).mean), np.array(statistics(6).std)
    low = (np.array([-1.0 - n for n in range(6)]) - mean) / std
    high = (np.array([1.5 + n for n in range(6)]) - mean) / std
    values, weights = [], []
    for p, t, here, ok, weighed in zip(prediction, target, taken, valid, every, strict=True):
        if part == "mse":
            values.append(slow_mse(p, t, here))
        elif part == "sam":
            values.append(slow_sam(p, t, here, mean, std, ok))
        elif part == "variance":
            values.append(slow_variance(p, t, here))
        elif part == "range":
            values.append(slow_range(p, t, here, low, high))
        else:
            rows, columns = (-(-side // 4) * 4 for side in size)  # sums over whole tokens
            value, groups = slow_spectral_sum(p, t, here, 2)
            values.append(value / groups**2 * math.prod(size) / (rows * columns))
        weights.append(weighed.sum() / 32)
    found = found_by(only(part, compare=compare), model, batch)
    assert float(found.weight) == pytest.approx(sum(weights), rel=1e-5)
    assert float(found.sum.detach()) == pytest.approx(np.dot(values, weights), rel=2e-4, abs=1e-6)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("compare", ["masked", "all"])
def test_all_weights_one_is_the_sum_of_the_parts(part, compare):
    model, batch = model_of(), batch_with(True)
    step = MaskedAutoencoding(MAESpectralLoss(1, 1, 1, 1, 1, compare=compare)).loss(model, batch)
    assert set(step.parts) == {f"loss_{name}" for name in PARTS}
    torch.testing.assert_close(sum(one.sum for one in step.parts.values()), step.loss.sum.detach())
    alone = found_by(only(part, compare=compare), model, batch)
    assert float(step.parts[f"loss_{part}"].sum) == pytest.approx(float(alone.sum.detach()), rel=1e-5)


@pytest.mark.parametrize("name", ["mae_spectral", "spectral_autoencoder"])
def test_lengths_of_spectra_are_found_for_the_angle_alone(name, monkeypatch):
    """They take a pass over whole images, of which a loss without the angle needs none."""
    model, batch = model_of(), batch_with(True)
    if name == "spectral_autoencoder":
        bands, figures = model.bands, statistics(6)
        model = build_banded(part_of(name), bands=bands, statistics=figures, image_size=(8, 12), seed=1).train()
    given = []
    for weights in ((1, 0.1, 0.01), (1, 0, 0.01)):
        loss = MAESpectralLoss(*weights)
        sums = loss.sums
        monkeypatch.setattr(loss, "sums", lambda compared, sums=sums: given.append(compared.squares) or sums(compared))
        assert found_by(loss, model, batch).sum > 0
    assert given[0] is not None and given[1] is None


@pytest.mark.parametrize("holes", [False, True])
def test_micro_batches_add_up_exactly(holes):
    model, batch = model_of(), batch_with(holes, count=5)
    loss = MAESpectralLoss(1, 0.3, 0.2, 0.1, 0.5)
    whole = found_by(loss, model, batch)
    rows = [slice(0, 1), slice(1, 3), slice(3, 5)]
    split = [
        found_by(loss, model, batch.replace(image=batch.image[one], valid=batch.valid[one], index=batch.index[one]))
        for one in rows
    ]
    total = LossSum(sum(one.sum for one in split), sum(one.weight for one in split))
    torch.testing.assert_close(total.weight, whole.weight)
    torch.testing.assert_close(total.sum, whole.sum, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("holes", [False, True])
def test_rows_that_only_fill_up_a_batch_weigh_nothing(holes):
    model, batch = model_of(), batch_with(holes)
    loss = MAESpectralLoss(1, 0.3, 0.2, 0.1, 0.5)
    short = batch.replace(index=torch.tensor([0, 1, -1]))
    two = batch.replace(image=batch.image[:2], valid=batch.valid[:2], index=batch.index[:2])
    found, expected = found_by(loss, model, short), found_by(loss, model, two)
    torch.testing.assert_close(found.sum, expected.sum)
    torch.testing.assert_close(found.weight, expected.weight)


# ---------------------------------------------------------------- the form on plain images


def pair_of(holes=True, seed=3):
    generator = torch.Generator().manual_seed(seed)
    original = torch.rand(3, 5, 6, 7, generator=generator) + 0.1
    predicted = original + 0.3 * torch.randn(3, 5, 6, 7, generator=generator)
    mask = torch.rand(3, 5, 6, 7, generator=generator) < 0.6
    if holes:
        original[torch.rand(3, 5, 6, 7, generator=generator) < 0.2] = torch.nan
    return predicted, original, mask


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("part", ["mse", "sam", "variance", "range"])
def test_plain_images_are_compared_as_by_a_slow_loop(part, masked, holes):
    predicted, original, mask = pair_of(holes)
    found = only(part, value_range=(0.2, 0.9))(predicted, original, mask if masked else None)
    p, t, m = predicted.double().numpy(), original.double().numpy(), mask.numpy()
    values, weights = [], []
    for one, other, here in zip(p, t, m, strict=True):
        valid = np.isfinite(other)
        counted = valid & here if masked else valid
        filled = np.where(valid, other, 0)
        slow = {
            "mse": slow_mse,
            "sam": lambda *a, ok=valid: slow_sam(*a, np.zeros(5), np.ones(5), ok),
            "variance": slow_variance,
            "range": lambda *a: slow_range(*a, np.full(5, 0.2), np.full(5, 0.9)),
        }[part]
        values.append(slow(one, filled, counted))
        weights.append(counted.sum())
    assert float(found) == pytest.approx(np.average(values, weights=weights), rel=1e-4)


@pytest.mark.parametrize("offset", [0.0, 300.0, 1e4])
def test_the_deviation_of_values_far_from_zero_does_not_cancel(offset):
    original = offset + 0.1 * images(2, 3, (32, 32)).double()
    predicted = offset + 0.5 * (original - offset)
    p, t = (x.float().double().numpy() for x in (predicted, original))
    everywhere = np.ones(p.shape[1:], bool)
    expected = np.mean([slow_variance(one, other, everywhere) for one, other in zip(p, t, strict=True)])
    assert float(only("variance")(predicted.float(), original.float())) == pytest.approx(expected, rel=1e-3)


def test_a_small_mask_does_not_make_a_small_loss():
    predicted, original, _ = pair_of(holes=False)
    mask = torch.zeros_like(original, dtype=torch.bool)
    mask[0, 0, 0, :2] = True
    expected = (predicted - original)[0, 0, 0, :2].square().mean()
    torch.testing.assert_close(only("mse")(predicted, original, mask), expected)


def test_plain_images_give_what_their_tokens_give():
    """With statistics of 0 and 1, and images of whole tokens; ranges given, because images alone have none."""
    model = model_of(standardise="none")
    batch = batch_with(True)
    prediction, _, counted, _ = seen_as_images(model, batch, False)
    for weights in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 0.1, 0.01, 0.001)):
        loss = MAESpectralLoss(*weights, value_range=(0.0, 1.0))
        expected = found_by(loss, model, batch)
        found = loss(torch.from_numpy(prediction).float(), batch.image, torch.from_numpy(counted))
        torch.testing.assert_close(found, expected.sum / expected.weight, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- the spectral angle


@pytest.mark.parametrize("size", [1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 3.1])
@pytest.mark.parametrize("length", [1e-9, 1.0, 5e4, 1e12])
@pytest.mark.parametrize(("stretch", "least"), [(0.0, 3e-6), (0.1, 1e-4)])
def test_angles_small_and_large_are_those_of_float64(size, length, stretch, least):
    """Of spectra of one length the smallest are told; a tenth longer or shorter, from 1e-4 rad on (acos: 5e-4)."""
    generator = np.random.default_rng(4)
    a = generator.normal(size=(40, 8)) + 2
    across = generator.normal(size=(40, 8))
    across -= (across * a).sum(1, keepdims=True) / (a * a).sum(1, keepdims=True) * a
    across *= np.linalg.norm(a, axis=1, keepdims=True) / np.linalg.norm(across, axis=1, keepdims=True)
    b = length * generator.uniform(1 - stretch, 1 + stretch, (40, 1)) * (math.cos(size) * a + math.sin(size) * across)
    a = length * a
    one, other = (torch.tensor(x, dtype=torch.float32).T[None, :, None, :] for x in (b, a))
    expected = np.mean(
        [angle(x, y) for x, y in zip(a.astype("f4").astype("f8"), b.astype("f4").astype("f8"), strict=True)]
    )
    assert float(only("sam")(one, other)) == pytest.approx(expected, rel=2e-3, abs=least)


def test_angles_are_those_of_torchmetrics():
    metrics = pytest.importorskip("torchmetrics.functional.image")
    predicted, original, _ = pair_of(holes=False)
    expected = metrics.spectral_angle_mapper(predicted, original)
    torch.testing.assert_close(only("sam")(predicted, original), expected, rtol=1e-4, atol=1e-5)


def gradient(predicted, original, loss=None, mask=None):
    predicted = predicted.clone().requires_grad_()
    found = (loss or MAESpectralLoss(1, 1, 1, 1, 1, value_range=(0, 1)))(predicted, original, mask)
    found.backward()
    return found.detach(), predicted.grad


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 2.0, -1.0])
def test_scaled_copies_have_finite_gradients(factor):
    _, original, _ = pair_of(holes=False)
    found, slope = gradient(factor * original, original)
    assert found.isfinite() and slope.isfinite().all()
    expected = 0 if factor > 0 else math.pi if factor < 0 else math.pi / 2
    assert float(only("sam")(factor * original, original)) == pytest.approx(expected, abs=2e-3)


def test_identity_has_no_loss_and_no_slope_of_the_angle():
    _, original, _ = pair_of(holes=False)
    found, slope = gradient(original, original, only("sam"))
    assert found < 2e-6 and slope.abs().max() < 1e-3


def test_spectra_of_zeros_have_finite_gradients_and_do_not_count():
    predicted, original, _ = pair_of(holes=False)
    original[:, :, :2] = 0
    found, slope = gradient(predicted, original, only("sam"))
    expected, _ = gradient(predicted[:, :, 2:], original[:, :, 2:], only("sam"))
    assert slope.isfinite().all() and (slope[:, :, :2] == 0).all()
    torch.testing.assert_close(found, expected)
    nothing, slope = gradient(torch.zeros_like(predicted), torch.zeros_like(original))
    assert nothing.isfinite() and slope.isfinite().all()


def test_nan_in_holes_reaches_neither_loss_nor_gradient():
    predicted, original, mask = pair_of(holes=True)
    original[0] = torch.nan
    for stuff in (torch.nan, torch.inf):
        original = torch.where(original.isfinite(), original, stuff)
        found, slope = gradient(predicted, original, mask=mask)
        assert found.isfinite() and slope.isfinite().all()
        assert (slope[~(original.isfinite() & mask)] == 0).all()


def test_predictions_in_holes_may_be_anything():
    predicted, original, mask = pair_of(holes=True)
    wild = torch.where(original.isfinite() & mask, predicted, torch.nan)
    loss = MAESpectralLoss(1, 1, 1, 1, 1, value_range=(0, 1))
    assert loss(wild, original, mask) == loss(predicted, original, mask)


def test_nothing_to_compare_is_no_loss():
    predicted, original, mask = pair_of()
    found, slope = gradient(predicted, original, mask=torch.zeros_like(mask))
    assert found == 0 and (slope == 0).all()
    found, slope = gradient(predicted, torch.full_like(original, torch.nan))
    assert found == 0 and (slope == 0).all()
    found, slope = gradient(predicted, original, MAESpectralLoss(0, 0, 0, 0, 0))
    assert found == 0 and (slope == 0).all()


def test_slopes_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(1)
    original = torch.rand(2, 4, 2, 3, generator=generator, dtype=torch.float64) + 0.2
    predicted = torch.rand(2, 4, 2, 3, generator=generator, dtype=torch.float64) + 0.2
    for part in ("mse", "sam", "variance"):
        _, slope = gradient(predicted.float(), original.float(), only(part))
        for place in [(0, 0, 0, 0), (1, 3, 1, 2), (0, 2, 1, 1)]:
            step = torch.zeros_like(predicted)
            step[place] = 0.02
            up, down = (float(only(part)((predicted + s).float(), original.float())) for s in (step, -step))
            assert float(slope[place]) == pytest.approx((up - down) / 0.04, rel=0.03, abs=2e-4)


# ---------------------------------------------------------------- errors weighed by the token's own variance


def uneven(holes):
    """Images [C,H,W] standardised: one of texture, one constant, one constant but for little, one half and half."""
    generator = torch.Generator().manual_seed(5)
    image = torch.randn(4, 2, 8, 12, generator=generator)
    image[1] = 0.7
    image[2] = 1e-4 * image[2] - 300.0  # far from zero, where squares would cancel
    image[3, :, :, :6] = -1.25
    valid = torch.ones_like(image, dtype=torch.bool)
    if holes:
        valid = torch.rand(image.shape, generator=generator) < 0.7
    return torch.where(valid, image, torch.nan), valid


def slow_normalised(prediction, target, counted):
    """Sum of squared errors of each token over its variance, and how many there are; tokens [B,M,V] in float64."""
    total = number = 0
    for p, t, chosen in zip(*(one.flatten(0, 1) for one in (prediction, target, counted)), strict=True):
        p, t = p[chosen].double().numpy(), t[chosen].double().numpy()
        variance = t.var(ddof=1) if len(t) > 1 else 0.0
        total += ((p - t) ** 2).sum() / max(variance, 0.01)
        number += len(t)
    return total / number


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("patch", [[4, 2], [1, 1]])
def test_flat_tokens_weigh_no_more_than_the_floor_allows(holes, patch):
    model = model_of(bands=2, patch_size=patch, standardise="none")
    image, valid = uneven(holes)
    batch = batch_of(image, valid).replace(key=Key(1, "mask"), all_valid=not holes)
    tokens = model.tokens(batch)
    plan = model.net.plan(tokens, batch.key, batch.index)
    target = torch.take_along_dim(tokens.values, plan.predicted[..., None], 1)
    counted = torch.ones_like(target, dtype=torch.bool)
    if tokens.valid is not None:
        counted = torch.take_along_dim(tokens.valid, plan.predicted[..., None], 1) & plan.wanted[..., None]
    for one in range(4):  # image by image: one that explodes would hide behind another
        row = batch.replace(image=batch.image[[one]], valid=batch.valid[[one]], index=batch.index[[one]])
        found = found_by(only("mse", normalise_tokens=True), model, row)
        prediction = model(tokens, plan).detach()
        expected = slow_normalised(prediction[[one]], target[[one]], counted[[one]])
        assert float(found.sum.detach() / found.weight) == pytest.approx(expected, rel=1e-4)
        plain = found_by(only("mse"), model, row)
        assert 0 < float(found.sum.detach()) <= 100.001 * float(plain.sum.detach())
        found.sum.backward()
        assert all(part.grad.isfinite().all() for part in model.parameters() if part.grad is not None)


def test_a_flat_image_does_not_swamp_the_others():
    """Off by as much, a constant image counts a hundred times as much as one of texture, not a million times."""
    texture, flat = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1)), torch.full((1, 2, 8, 8), 3.0)
    loss = only("mse", normalise_tokens=True)
    assert loss(flat + 0.1, flat) == pytest.approx(0.01 / 0.01, rel=1e-3)
    assert loss(texture + 0.1, texture) == pytest.approx(0.01 / float(texture.var()), rel=1e-3)
    nothing = torch.full_like(flat, torch.nan)
    assert loss(flat, nothing) == 0 and loss(flat, flat) == 0
