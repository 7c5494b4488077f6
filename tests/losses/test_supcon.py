"""The contrastive loss against a double loop, against cross-entropy, and at its edges."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from spectrain.core.registry import lookup
from spectrain.losses.supcon import SupConLoss

TEMPERATURES = [0.07, 0.5]


def slow_loss(features, temperature, labels=None, mask=None, mode="all", base=0.07):
    """The published definition as a loop over anchors, in float64."""
    batch, views, _ = features.shape
    if labels is not None:
        mask = labels.view(-1, 1) == labels.view(1, -1)
    elif mask is None:
        mask = torch.eye(batch)
    place = [(view, sample) for view in range(views) for sample in range(batch)]
    losses = []
    for view, sample in place if mode == "all" else place[:batch]:
        anchor = features[sample, view].double()
        others = [key for key in place if key != (view, sample)]
        if not others:
            losses.append(0.0 * anchor.sum())
            continue
        logits = torch.stack([anchor @ features[s, v].double() for v, s in others]) / temperature
        log_prob = logits - torch.logsumexp(logits, 0)
        weight = torch.tensor([float(mask[sample, s]) for _, s in others], dtype=torch.float64)
        total = weight.sum()
        losses.append(-(temperature / base) * (weight * log_prob).sum() / (total if total > 1e-6 else 1.0))
    return torch.stack(losses).mean()


def nt_xent(rows, temperature):
    """SimCLR's loss of two views by torch's cross-entropy: the partner is the class."""
    count = rows.shape[0]
    similarity = rows @ rows.T / temperature
    similarity = similarity.masked_fill(torch.eye(count, dtype=torch.bool), -math.inf)
    return F.cross_entropy(similarity, torch.arange(count).roll(count // 2))


def unit(batch, views, dim=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(batch, views, dim, generator=generator, dtype=dtype), dim=2)


def view_major(features):
    return features.transpose(0, 1).flatten(0, 1)


def both(function, features, *args, **options):
    """Value and gradient."""
    features = features.clone().requires_grad_()
    value = function(features, *args, **options)
    (gradient,) = torch.autograd.grad(value, features)
    return value.detach(), gradient


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("mode", ["all", "one"])
@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("kind", ["none", "labels", "mask"])
def test_equals_the_double_loop(temperature, mode, views, kind):
    features = unit(5, views)
    labels = torch.tensor([0, 1, 0, 2, 1]) if kind == "labels" else None
    mask = (unit(5, 1, 5).squeeze(1) > 0.1).double() if kind == "mask" else None
    criterion = SupConLoss(temperature, mode)
    value, gradient = both(criterion, features, labels, mask)
    expected, expected_gradient = both(slow_loss, features, temperature, labels, mask, mode)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_simclr_equals_cross_entropy_times_the_scale(temperature):
    features = unit(16, 2)
    value, gradient = both(SupConLoss(temperature), features)
    expected, expected_gradient = both(lambda f: nt_xent(view_major(f), temperature), features)
    torch.testing.assert_close(value, expected * temperature / 0.07)
    torch.testing.assert_close(gradient, expected_gradient * temperature / 0.07)


def test_labels_that_are_all_different_are_simclr():
    features = unit(6, 2)
    criterion = SupConLoss(0.1)
    torch.testing.assert_close(criterion(features, torch.arange(6)), criterion(features))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 10**6), st.sampled_from(["all", "one"]))
def test_sum_form_equals_the_published_form(batch, views, seed, mode):
    features = unit(batch, views, seed=seed)
    labels = torch.randint(0, 3, (batch,), generator=torch.Generator().manual_seed(seed))
    criterion = SupConLoss(0.2, mode)
    for given_labels in (None, labels):
        part = criterion.sums(view_major(features), views, None if given_labels is None else given_labels.repeat(views))
        assert part.weight == (batch if mode == "one" else batch * views)
        torch.testing.assert_close(part.mean, criterion(features, given_labels))


def test_gradient_is_the_derivative():
    features = unit(3, 2).requires_grad_()
    labels = torch.tensor([0, 0, 1])
    assert torch.autograd.gradcheck(lambda f: SupConLoss(0.5)(f, labels), features)


@pytest.mark.parametrize("batch", [2, 32])
def test_a_collapsed_encoder_gives_the_logarithm_of_the_others(batch):
    features = unit(1, 1, dtype=torch.float32).expand(batch, 2, -1)
    assert SupConLoss()(features).item() == pytest.approx(math.log(2 * batch - 1), rel=1e-5)


def test_one_sample_gives_zero_and_no_gradient():
    value, gradient = both(SupConLoss(), unit(1, 2))
    assert abs(value) < 1e-12
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("views", [1, 2])
def test_anchors_without_positives_count_and_add_nothing(views):
    features = unit(3, views)
    labels = torch.tensor([0, 0, 1])
    value, gradient = both(SupConLoss(), features, labels)
    torch.testing.assert_close(value, slow_loss(features, 0.07, labels))
    assert gradient.isfinite().all()
    value, gradient = both(SupConLoss(), features, torch.arange(3))
    assert (value == 0) == (views == 1)
    assert gradient.isfinite().all()


def test_nothing_to_compare_with_is_finite():
    value, gradient = both(SupConLoss(), unit(1, 1))
    assert value == 0
    assert gradient.isfinite().all()
    empty = torch.zeros(0, 2, 4, requires_grad=True)
    assert SupConLoss()(empty) == 0
    part = SupConLoss().sums(empty.flatten(0, 1), 2)
    assert part.sum == 0
    assert part.weight == 0


@pytest.mark.parametrize("kind", ["none", "labels"])
@pytest.mark.parametrize("mode", ["all", "one"])
def test_padding_is_neither_anchor_nor_negative(kind, mode):
    features = unit(6, 2)
    labels = torch.tensor([0, 1, 0, 1, 0, 1]) if kind == "labels" else None
    real = torch.tensor([True, True, False, True, True, False])
    criterion = SupConLoss(0.2, mode)
    holed = features.clone()
    holed[~real] = math.nan

    def padded(rows):
        return criterion.sums(view_major(rows), 2, None if labels is None else labels.repeat(2), real.repeat(2)).mean

    value, gradient = both(padded, holed)
    expected, expected_gradient = both(criterion, features[real], None if labels is None else labels[real])
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient[real], expected_gradient)
    assert not gradient[~real].any()


def test_a_batch_of_padding_alone_weighs_nothing():
    rows = torch.full((4, 3), math.nan, requires_grad=True)
    part = SupConLoss().sums(rows, 2, real=torch.zeros(4, dtype=torch.bool))
    part.sum.backward()
    assert part.sum == 0
    assert part.weight == 0
    assert not rows.grad.any()


def test_unlabelled_samples_have_only_their_own_views():
    features = unit(4, 2)
    labels = torch.tensor([0, -1, 0, -1])
    own_class = torch.tensor([0, 1, 0, 2])
    part = SupConLoss().sums(view_major(features), 2, labels.repeat(2))
    torch.testing.assert_close(part.mean, SupConLoss()(features, own_class))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    features = unit(16, 2, 128).to(dtype)
    value, gradient = both(SupConLoss(), features)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(value, SupConLoss()(features.float()))
    assert gradient.isfinite().all()


def test_autocast_does_not_lower_the_precision():
    features = unit(16, 2, 64, dtype=torch.float32)
    expected = SupConLoss()(features), SupConLoss().sums(view_major(features), 2).sum
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = SupConLoss()(features), SupConLoss().sums(view_major(features), 2).sum
    assert got[0] == expected[0]
    assert got[1] == expected[1]


def test_large_logits_do_not_overflow():
    value, gradient = both(SupConLoss(1e-3), 100 * unit(4, 2, dtype=torch.float32))
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_more_than_one_feature_axis_is_flattened():
    features = unit(4, 2, 12)
    assert SupConLoss()(features.reshape(4, 2, 3, 4)) == SupConLoss()(features)


def test_mistakes_are_named():
    features, criterion = unit(4, 2), SupConLoss()
    with pytest.raises(ValueError, match="not both"):
        criterion(features, torch.arange(4), torch.eye(4))
    with pytest.raises(ValueError, match="3 labels for 4 samples"):
        criterion(features, torch.arange(3))
    with pytest.raises(ValueError, match=r"\[4, 4\]"):
        criterion(features, mask=torch.eye(3))
    with pytest.raises(ValueError, match="at least 3 dimensions"):
        criterion(features[:, 0])
    with pytest.raises(ValueError, match="V = 3"):
        criterion.sums(view_major(features), 3)
    with pytest.raises(ValueError, match="labels are one a row"):
        criterion.sums(view_major(features), 2, torch.arange(4))
    with pytest.raises(ValueError, match="real are one a row"):
        criterion.sums(view_major(features), 2, real=torch.ones(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="all, one, not 'two'"):
        SupConLoss(contrast_mode="two")
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="above 0"):
            SupConLoss(temperature)


def test_is_found_by_name():
    part = lookup("loss", "supcon")
    criterion = part.from_config(part.Config(temperature=0.1, contrast_mode="one", base_temperature=0.2))
    assert (criterion.temperature, criterion.contrast_mode, criterion.base_temperature) == (0.1, "one", 0.2)
