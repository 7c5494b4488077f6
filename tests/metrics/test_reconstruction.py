"""Metrics of reconstructions against libraries and slow loops, with holes, masks, padding and nothing to compare."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate1d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import spectral_angle_mapper

from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import SpectrainError
from spectrain.core.reconstruction import Reconstruction
from spectrain.core.registry import lookup
from spectrain.core.targets import NoTarget
from spectrain.metrics import reconstruction
from spectrain.metrics.reconstruction import (
    ReconstructionSums,
    image_rows,
    mse,
    mse_by_band,
    psnr,
    spectral_angle,
    ssim,
)
from spectrain.metrics.reconstruction_tables import ReconstructionTables

NAMES = ["mse_masked", "sam_masked", "psnr_masked", "ssim_masked", "mse", "sam", "psnr", "ssim"]
RANGE = 3.0


def images(batch=2, bands=3, height=16, width=20, seed=0, dtype=torch.float32):
    """A target with structure, and a noisy copy."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(batch, bands, height, width, generator=generator, dtype=torch.float64)
    target = target + torch.linspace(0, 2, width, dtype=torch.float64)
    prediction = target + 0.2 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    return prediction.to(dtype), target.to(dtype)


def random_mask(share, batch=2, bands=3, height=16, width=20, seed=1):
    return torch.rand(batch, bands, height, width, generator=torch.Generator().manual_seed(seed)) < share


def holed(image, valid):
    return torch.where(valid, image, math.nan)


def composed(batch=2, bands=3, height=16, width=20, seed=0, holes=True, masks=True):
    """A reconstruction as a task makes it: the target's own values where they were seen, NaN in the holes."""
    prediction, target = images(batch, bands, height, width, seed)
    shape = (batch, bands, height, width)
    valid = random_mask(0.995, *shape, seed + 2) if holes else None
    masked = random_mask(0.5, *shape, seed + 3) if masks else None
    if masked is not None:
        prediction = torch.where(masked, prediction, target)
    if valid is not None:
        prediction, target = holed(prediction, valid), holed(target, valid)
    return Reconstruction(prediction, target, valid, masked, RANGE, Bands.unnamed(bands))


def batch_of(output, index=None):
    image = torch.zeros_like(output.target)
    index = torch.arange(len(image), device=image.device) if index is None else torch.tensor(index)
    return Batch(image, everywhere(image.shape, image.device), NoTarget(), index, all_valid=True)


def rows_of(output, rows):
    """The same reconstruction, of some of its images."""
    parts = (None if part is None else part[rows] for part in _tensors(output))
    return Reconstruction(*parts, output.data_range, output.bands)


def metrics_of(*outputs, **options):
    sums = ReconstructionSums(**options)
    for output in outputs:
        output, index = output if isinstance(output, tuple) else (output, None)
        sums.update(output, batch_of(output, index))
    return sums.compute(sums.sums())


def _tensors(output):
    return output.prediction, output.target, output.valid, output.masked


def slow_angle(prediction, target, valid, pixels):
    """Loops over the pixels of one image, in float64, by the arc cosine."""
    angles = []
    for y, x in np.argwhere(pixels):
        keep = valid[:, y, x]
        a, b = prediction[keep, y, x].astype(float), target[keep, y, x].astype(float)
        if not np.any(b):
            continue
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b) if np.any(a) else 0
        angles.append(math.acos(np.clip(cosine, -1, 1)))
    return np.mean(angles) if angles else math.nan


def slow_ssim(prediction, target, valid, centres, data_range=RANGE):
    """Loops over the windows of one image, in float64."""
    side = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(side, side) / side.sum() ** 2
    of_bands = []
    for band in range(len(prediction)):
        found = []
        for y in range(5, prediction.shape[1] - 5):
            for x in range(5, prediction.shape[2] - 5):
                window = (band, slice(y - 5, y + 6), slice(x - 5, x + 6))
                if centres[band, y, x] and valid[window].all():
                    a, b = prediction[window].astype(float), target[window].astype(float)
                    mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
                    cov = (weights * (a - mean_a) * (b - mean_b)).sum()
                    var_a, var_b = ((weights * (v - m) ** 2).sum() for v, m in ((a, mean_a), (b, mean_b)))
                    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
                    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
                    found.append(light * (2 * cov + c2) / (var_a + var_b + c2))
        of_bands += [np.mean(found)] if found else []
    return np.mean(of_bands) if of_bands else math.nan


# the libraries


@pytest.mark.parametrize("bands", [1, 2, 12])
def test_ssim_is_that_of_scikit_image(bands):
    prediction, target = images(2, bands, 23, 31, dtype=torch.float64)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": RANGE}
    expected = [
        np.mean([structural_similarity(a, b, **options) for a, b in zip(one.numpy(), other.numpy(), strict=True)])
        for one, other in zip(prediction, target, strict=True)
    ]
    assert ssim(prediction, target, None, RANGE).tolist() == pytest.approx(expected, abs=1e-12)
    assert ssim(prediction.float(), target.float(), None, RANGE).tolist() == pytest.approx(expected, abs=1e-5)


def test_ssim_keeps_its_digits_far_from_zero():
    prediction, target = images(dtype=torch.float64)
    prediction, target = 300 + 0.01 * prediction, 300 + 0.01 * target
    exact = ssim(prediction, target, None, 0.03)
    assert ssim(prediction.float(), target.float(), None, 0.03).tolist() == pytest.approx(exact.tolist(), abs=2e-3)


def test_psnr_is_that_of_scikit_image():
    prediction, target = images(dtype=torch.float64)
    expected = [
        peak_signal_noise_ratio(b.numpy(), a.numpy(), data_range=RANGE) for a, b in zip(prediction, target, strict=True)
    ]
    assert psnr(mse(prediction, target, None), RANGE).tolist() == pytest.approx(expected)
    assert psnr(torch.tensor([0.0, math.nan, RANGE**2]), RANGE).tolist() == pytest.approx(
        [math.inf, math.nan, 0], nan_ok=True
    )


@pytest.mark.parametrize("bands", [2, 3, 30])
def test_the_angle_is_that_of_torchmetrics(bands):
    prediction, target = images(3, bands, dtype=torch.float64)
    expected = spectral_angle_mapper(prediction, target, reduction="none").mean(dim=(1, 2))
    assert spectral_angle(prediction, target, None, None).tolist() == pytest.approx(expected.tolist(), rel=1e-9)


# slow references


@pytest.mark.parametrize("bands", [1, 4])
def test_masked_versions_equal_loops(bands):
    shape = (2, bands, 15, 17)
    prediction, target = images(*shape)
    valid, selected = random_mask(0.995, *shape), random_mask(0.3, *shape, seed=2)
    valid[0, 0, :, 3] = False
    pixels = selected.any(dim=1)
    one, other = holed(prediction, valid), holed(target, valid)
    arrays = [x.numpy() for x in (prediction, target, valid, selected, pixels)]
    for row, (a, b, v, s, p) in enumerate(zip(*arrays, strict=True)):
        assert float(mse(one, other, selected & valid)[row]) == pytest.approx(((a - b)[s & v] ** 2).mean(), rel=1e-6)
        assert float(spectral_angle(one, other, valid, pixels)[row]) == pytest.approx(slow_angle(a, b, v, p), rel=1e-4)
        assert float(ssim(one, other, valid, RANGE, selected)[row]) == pytest.approx(
            slow_ssim(a, b, v, s), abs=1e-5, nan_ok=True
        )


def test_one_hole_takes_away_all_windows_that_hold_it():
    prediction, target = images(1, 2, 24, 24, dtype=torch.float64)
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[0, 1, 20, 4] = False
    side = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    side /= side.sum()

    def blur(image):
        return correlate1d(correlate1d(image, side, axis=0), side, axis=1)

    maps = []
    for a, b in zip(prediction[0].numpy(), target[0].numpy(), strict=True):
        mean_a, mean_b = blur(a), blur(b)
        variances, cov = blur(a * a) + blur(b * b) - mean_a**2 - mean_b**2, blur(a * b) - mean_a * mean_b
        c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
        light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        maps.append((light * (2 * cov + c2) / (variances + c2))[5:-5, 5:-5])
    keep = np.ones((14, 14), dtype=bool)
    keep[10:, :5] = False  # centres 15 and more, up to 9
    expected = (maps[0].mean() + maps[1][keep].mean()) / 2
    assert float(ssim(holed(prediction, valid), target, valid, RANGE)) == pytest.approx(expected, abs=1e-12)


def test_sums_by_band_make_a_table():
    prediction, target = images(2, 3)
    chosen = random_mask(0.5)
    chosen[0, 1] = False
    sums, counts = mse_by_band(holed(prediction, chosen), target, chosen)
    assert (sums.shape, sums.dtype, sums[0, 1], counts[0, 1]) == ((2, 3), torch.float64, 0, 0)
    for row in range(2):
        for band in range(3):
            errors = (prediction - target)[row, band][chosen[row, band]].double()
            assert float(sums[row, band]) == pytest.approx(float(errors.square().sum()), rel=1e-5)
            assert counts[row, band] == len(errors)
    assert mse_by_band(prediction, target, None)[1].tolist() == [[320.0] * 3] * 2


@pytest.mark.parametrize("values", [1, 700])
def test_the_parts_that_bands_are_cut_into_do_not_matter(values, monkeypatch):
    output = composed(2, 7)
    whole = image_rows(output)
    monkeypatch.setattr(reconstruction, "_VALUES", values)
    for name, found in image_rows(output).items():
        torch.testing.assert_close(found, whole[name], rtol=1e-5, atol=1e-6)


# the angle


def test_the_angle_does_not_depend_on_length_and_is_exact_when_small():
    target = torch.tensor([3.0, 4.0, 0.0]).view(1, 3, 1, 1)
    turned = torch.tensor([3.0, 4.0, 5e-5]).view(1, 3, 1, 1)
    for scale in (1e-30, 1.0, 1e30):
        assert float(spectral_angle(scale * turned, target, None, None)) == pytest.approx(1e-5, rel=1e-4)
    assert float(spectral_angle(-target, target, None, None)) == pytest.approx(math.pi, rel=1e-6)
    assert float(spectral_angle(target.double() * 2, target.double(), None, None)) == 0


def test_spectra_without_direction():
    target = torch.ones(1, 2, 1, 3)
    prediction = torch.ones(1, 2, 1, 3)
    target[..., 0] = 0  # left out
    prediction[..., 1] = 0  # a right angle
    assert float(spectral_angle(prediction, target, None, None)) == pytest.approx(math.pi / 4)
    none = torch.zeros(1, 2, 1, 3, dtype=torch.bool)
    assert math.isnan(spectral_angle(prediction, target, none, None))
    assert math.isnan(spectral_angle(prediction, 0 * target, None, None))
    assert math.isnan(spectral_angle(prediction, target, None, none[:, 0]))


def test_one_band_has_angles_of_sign_only():
    prediction, target = torch.tensor([[1.0, -1, 2, 0]]).view(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    assert float(spectral_angle(prediction, target, None, None)) == pytest.approx((math.pi + math.pi / 2) / 4)


# nothing to compare, and holes


@settings(deadline=None, max_examples=40)
@given(
    bands=st.sampled_from([1, 2, 5]),
    height=st.integers(9, 16),
    width=st.integers(9, 16),
    valid_share=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    masked_share=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 99),
    garbage=st.sampled_from([math.nan, math.inf, -1e30]),
)
def test_what_stands_in_holes_does_not_matter(bands, height, width, valid_share, masked_share, seed, garbage):
    shape = (2, bands, height, width)
    prediction, target = images(*shape, seed)
    valid, masked = random_mask(valid_share, *shape, seed), random_mask(masked_share, *shape, seed + 1)
    prediction = torch.where(masked, prediction, target)
    clean = Reconstruction(prediction, target, valid, masked, RANGE, Bands.unnamed(bands))
    dirty = Reconstruction(
        torch.where(valid, prediction, garbage),
        torch.where(valid, target, garbage),
        valid,
        masked,
        RANGE,
        Bands.unnamed(bands),
    )
    found, expected = image_rows(dirty), image_rows(clean)
    for name in NAMES:
        assert torch.equal(found[name].isnan(), expected[name].isnan()), name
        torch.testing.assert_close(found[name], expected[name], equal_nan=True, rtol=1e-4, atol=1e-5)
    nothing = ~(valid & masked).flatten(1).any(dim=1)
    assert torch.equal(found["mse_masked"].isnan(), nothing)
    assert torch.equal(found["sam_masked"].isnan(), nothing)
    finite = [found[name][~found[name].isnan()] for name in ("ssim", "ssim_masked")]
    assert all((values <= 1 + 1e-5).all() and (values >= -1).all() for values in finite)


@pytest.mark.parametrize(("height", "width"), [(10, 30), (30, 10), (1, 1)])
def test_images_smaller_than_the_window_have_no_ssim(height, width):
    prediction, target = images(2, 3, height, width)
    assert ssim(prediction, target, None, RANGE).isnan().tolist() == [True, True]
    assert not math.isnan(ssim(*images(1, 1, 11, 11), None, RANGE))


def test_masked_and_composited_are_told_apart():
    output = composed(holes=False)
    rows = image_rows(output)
    assert list(rows) == NAMES
    share = output.masked.double().mean(dim=(1, 2, 3))
    assert rows["mse"].tolist() == pytest.approx((rows["mse_masked"] * share).tolist())
    assert (rows["psnr"] > rows["psnr_masked"]).all()
    chosen = output.masked[0]
    expected = float((output.prediction - output.target)[0][chosen].square().mean())
    assert float(rows["mse_masked"][0]) == pytest.approx(expected, rel=1e-6)


def test_without_a_mask_everything_is_masked():
    rows = image_rows(composed(masks=False))
    for name in NAMES[:4]:
        assert torch.equal(rows[name], rows[name.removesuffix("_masked")])


def test_without_ssim_none_is_found():
    output = composed()
    assert list(image_rows(output, ssim=False)) == [name for name in NAMES if "ssim" not in name]
    assert metrics_of(output, ssim=False) == {
        name: value for name, value in metrics_of(output).items() if "ssim" not in name
    }


# the sums


def test_the_metrics_are_means_over_images():
    output = composed(4)
    rows = image_rows(output)
    found = metrics_of(output)
    assert list(found) == NAMES
    for name, value in found.items():
        kept = rows[name][~rows[name].isnan()]
        assert value == pytest.approx(float(kept.mean()), rel=1e-12)


def test_two_batches_equal_one():
    output = composed(5)
    rows = torch.arange(5)
    halves = metrics_of(rows_of(output, rows[:2]), rows_of(output, rows[2:]))
    assert halves == pytest.approx(metrics_of(output), rel=1e-6)


def test_sums_of_processes_add_up_whatever_their_bands():
    outputs = [composed(2, 3), composed(3, 7, 12, 14, seed=5)]
    parts = []
    for output in outputs:
        sums = ReconstructionSums()
        sums.update(output, batch_of(output))
        parts.append(sums.sums())
    together = ReconstructionSums().compute({name: parts[0][name] + parts[1][name] for name in parts[0]})
    assert together == pytest.approx(metrics_of(*outputs), rel=1e-12)
    assert all(value.dtype == torch.float64 and value.dim() == 0 for part in parts for value in part.values())
    assert parts[0].keys() == parts[1].keys()


def test_padding_does_not_count_whatever_it_holds():
    output = composed(4, holes=False)
    output.prediction[1] = math.nan
    expected = metrics_of(rows_of(output, torch.tensor([0, 2, 3])))
    assert metrics_of((output, [4, -1, 5, 6])) == pytest.approx(expected, rel=1e-6)
    assert all(math.isfinite(value) for value in expected.values())


def test_an_image_with_nothing_to_compare_does_not_count():
    output = composed(3)
    output.masked[0] = False
    output.valid[1] = False
    rows = image_rows(output)
    found = metrics_of(output)
    assert found["mse_masked"] == pytest.approx(float(rows["mse_masked"][2]))
    assert found["mse"] == pytest.approx(float(rows["mse"][[0, 2]].mean()), rel=1e-9)
    for nothing in (metrics_of(), metrics_of((output, [-1, -1, -1])), metrics_of(rows_of(output, torch.tensor([1])))):
        assert list(nothing) == NAMES
        assert all(math.isnan(value) for value in nothing.values())


def test_no_error_counts_as_a_hundred_decibels():
    output = composed(2, holes=False, masks=False)
    output.prediction[0] = output.target[0]
    assert math.isinf(image_rows(output)["psnr"][0])
    assert metrics_of(output)["psnr"] == pytest.approx((100 + float(image_rows(output)["psnr"][1])) / 2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_model_gives_nan_not_the_mean_of_the_others(value):
    output = composed(3, holes=False)
    output.prediction[1, 0][output.masked[1, 0]] = value
    assert all(math.isnan(found) for found in metrics_of(output).values())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_compared_in_float32(dtype):
    prediction, target = (image.to(dtype) for image in images())
    for function in (lambda a, b: mse(a, b, None), lambda a, b: ssim(a, b, None, RANGE)):
        assert torch.equal(function(prediction, target), function(prediction.float(), target.float()))


def test_metrics_hold_no_graph():
    output = composed()
    output.prediction.requires_grad_()
    sums = ReconstructionSums()
    sums.update(output, batch_of(output))
    assert not any(value.requires_grad for value in sums.sums().values())


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("masks", [False, True])
def test_nothing_is_read_from_the_device(holes, masks):
    """A tensor on the device "meta" has no value: whatever asks for one fails."""
    here = composed(holes=holes, masks=masks)
    parts = (None if part is None else part.to("meta") for part in _tensors(here))
    output = Reconstruction(*parts, RANGE, here.bands)
    sums = ReconstructionSums()
    for _ in range(2):
        sums.update(output, batch_of(output))
    assert all(value.is_meta for value in sums.sums().values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_without_waiting():
    here = composed(3, 5)
    parts = (None if part is None else part.cuda() for part in _tensors(here))
    output, sums = Reconstruction(*parts, RANGE, here.bands), ReconstructionSums()
    batch = batch_of(output)
    ReconstructionSums().update(output, batch)
    torch.cuda.set_sync_debug_mode("error")
    try:
        sums.update(output, batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert sums.compute(sums.sums()) == pytest.approx(metrics_of(here), rel=1e-4)


def test_parts_of_other_shapes_are_refused():
    prediction, target = images()
    bands = Bands.unnamed(3)
    with pytest.raises(ValueError, match=r"prediction \(1, 3, 16, 20\) and target"):
        Reconstruction(prediction[:1], target, None, None, RANGE, bands)
    with pytest.raises(ValueError, match=r"masked \(2, 1, 16, 20\)"):
        Reconstruction(prediction, target, None, random_mask(0.5)[:, :1], RANGE, bands)
    with pytest.raises(ValueError, match="2 bands for 3 channels"):
        Reconstruction(prediction, target, None, None, RANGE, Bands.unnamed(2))
    for data_range in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="data range"):
            Reconstruction(prediction, target, None, None, data_range, bands)


def test_other_outputs_are_refused_with_a_way_out():
    output = composed()
    with pytest.raises(SpectrainError, match="choose metric=none"):
        ReconstructionSums().update(torch.zeros(2, 4), batch_of(output))


def test_is_found_by_name():
    part = lookup("metric", "reconstruction")
    output = composed()
    for with_ssim in (True, False):
        sums = part.from_config(part.Config(ssim=with_ssim)).start()
        sums.update(output, batch_of(output))
        assert ("ssim" in sums.compute(sums.sums())) is with_ssim


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("masks", [False, True])
def test_tables_have_the_same_means_as_sums_alone(holes, masks):
    tables, sums = ReconstructionTables(True), ReconstructionSums(True)
    for seed, index in ((0, [0, 1, 2]), (1, [3, 4, -1])):
        output = composed(batch=3, holes=holes, masks=masks, seed=seed)
        for one in (tables, sums):
            one.update(output, batch_of(output, index))
    means = tables.compute(tables.sums())
    assert means == sums.compute(sums.sums())
    assert tables.images()["index"] == [0, 1, 2, 3, 4]
    for name, mean in means.items():
        assert np.mean(tables.images()[name]) == pytest.approx(mean, rel=1e-12)


def test_tables_of_anything_else_than_a_reconstruction_are_refused():
    with pytest.raises(SpectrainError, match="needs a task that reconstructs images"):
        ReconstructionTables(True).update(torch.rand(2, 3), batch_of(composed()))
