"""What is shown and what is asked: never the same, never what is missing, and decided by the sample alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_contract import batch_of, images, part_of, statistics

from spectrain.core.bands import Bands
from spectrain.core.errors import ConfigError
from spectrain.core.random import Key
from spectrain.losses.mae_spectral import MAESpectralLoss
from spectrain.models.banded import build_banded
from spectrain.models.masking import draw_plan
from spectrain.models.tokens import Grid
from spectrain.tasks.mae import MaskedAutoencoding

KEY = Key(3, "train/mask", epoch=2)
MASKINGS = ("random", "tube", "spectral")
grids = st.builds(Grid.of, st.integers(2, 12), st.integers(2, 9), st.integers(2, 9), st.just(1), st.just(1))
ratios = st.floats(0.01, 0.99)
samples = st.lists(st.integers(0, 10_000), min_size=1, max_size=5).map(torch.tensor)


def units_of(grid: Grid, masking: str) -> int:
    return {"random": grid.tokens, "tube": grid.places, "spectral": grid.groups}[masking]


def unit(token: torch.Tensor, grid: Grid, masking: str) -> torch.Tensor:
    return {"random": token, "tube": token % grid.places, "spectral": token // grid.places}[masking]


def chosen(tokens: torch.Tensor, ok: torch.Tensor | None) -> list[list[int]]:
    """The tokens of each row that count."""
    keep = torch.ones_like(tokens, dtype=torch.bool) if ok is None else ok
    return [sorted(row[mask].tolist()) for row, mask in zip(tokens, keep, strict=True)]


@pytest.mark.parametrize(("ratio", "visible"), [(0.8, 480), (0.9, 240), (0.75, 600), (0.5, 1200)])
def test_the_number_of_visible_tokens_is_rounded_and_not_cut_off(ratio, visible):
    plan = draw_plan(Grid.of(30, 500, 500, 25, 5), KEY, torch.arange(2), ratio=ratio)
    assert plan.visible.shape == (2, visible)
    assert plan.predicted.shape == (2, 2400 - visible)


@settings(deadline=None, max_examples=60)
@given(grids, ratios, samples, st.sampled_from(MASKINGS))
def test_every_token_is_either_visible_or_hidden_and_units_stay_whole(grid, ratio, index, masking):
    plan = draw_plan(grid, KEY, index, masking=masking, ratio=ratio)
    whole, units = grid.tokens // units_of(grid, masking), units_of(grid, masking)
    assert plan.seen is None and plan.wanted is None
    assert plan.visible.shape[1] == whole * min(max(1, round(units * (1 - ratio))), units - 1)
    both = torch.cat((plan.visible, plan.predicted), 1)
    assert (both.sort(1).values == torch.arange(grid.tokens)).all()
    for row in range(len(index)):
        seen, hidden = (set(unit(part[row], grid, masking).tolist()) for part in (plan.visible, plan.predicted))
        assert seen and hidden and not seen & hidden


@settings(deadline=None, max_examples=100)
@given(grids, ratios, samples, st.sampled_from(MASKINGS), st.floats(0, 1), st.integers(0, 99))
def test_invalid_tokens_are_neither_and_the_ratio_is_of_the_valid_ones(grid, ratio, index, masking, share, seed):
    valid = torch.rand(len(index), grid.tokens, generator=torch.Generator().manual_seed(seed)) < share
    plan = draw_plan(grid, KEY, index, masking=masking, ratio=ratio, valid=valid)
    full = draw_plan(grid, KEY, index, masking=masking, ratio=ratio)
    assert (plan.visible.shape, plan.predicted.shape) == (full.visible.shape, full.predicted.shape)
    rows = zip(chosen(plan.visible, plan.seen), chosen(plan.predicted, plan.wanted), valid, strict=True)
    for seen, wanted, ok in rows:
        here = ok.nonzero().flatten()
        assert sorted(seen + wanted) == here.tolist()
        units = unit(here, grid, masking).unique().numel()
        shown = unit(torch.tensor(seen, dtype=torch.int64), grid, masking).unique()
        assert shown.numel() == (min(max(1, round(units * (1 - ratio))), max(units - 1, 1)) if units else 0)
        assert not set(shown.tolist()) & set(unit(torch.tensor(wanted, dtype=torch.int64), grid, masking).tolist())


@settings(deadline=None, max_examples=60)
@given(grids, ratios, samples, st.sampled_from(MASKINGS), st.floats(0.01, 1), st.sampled_from([None, 0.2, 0.8, 1.0]))
def test_some_of_the_hidden_tokens_are_asked(grid, ratio, index, masking, decode_ratio, share):
    valid = None if share is None else torch.rand(len(index), grid.tokens) < share
    options = {"masking": masking, "ratio": ratio, "valid": valid}
    every = draw_plan(grid, KEY, index, **options)
    some = draw_plan(grid, KEY, index, decode_ratio=decode_ratio, **options)
    assert torch.equal(some.visible, every.visible)
    assert some.predicted.shape[1] == max(1, round(every.predicted.shape[1] * decode_ratio))
    for asked, hidden in zip(chosen(some.predicted, some.wanted), chosen(every.predicted, every.wanted), strict=True):
        assert set(asked) <= set(hidden) and len(asked) == min(len(hidden), some.predicted.shape[1])


@settings(deadline=None, max_examples=40)
@given(grids, st.sampled_from(MASKINGS), st.booleans(), st.sampled_from([1.0, 0.4]))
def test_a_sample_decides_alone(grid, masking, holes, decode_ratio):
    index = torch.tensor([5, 17, 4, 900])
    valid = torch.rand(4, grid.tokens) < 0.7 if holes else None

    def drawn(rows, key=KEY):
        part = None if valid is None else valid[rows]
        plan = draw_plan(grid, key, index[rows], masking=masking, valid=part, decode_ratio=decode_ratio)
        return chosen(plan.visible, plan.seen), chosen(plan.predicted, plan.wanted)

    seen, asked = drawn([0, 1, 2, 3])
    assert (seen, asked) == drawn([0, 1, 2, 3])
    for row in range(4):
        assert ([seen[row]], [asked[row]]) == drawn([row])
    reverse = drawn([3, 2, 1, 0])
    assert (seen[::-1], asked[::-1]) == reverse


def test_validity_that_is_known_and_validity_that_is_looked_up_show_the_same():
    grid, index = Grid.of(12, 40, 40, 5, 3), torch.arange(3)
    for masking in MASKINGS:
        for ratio in (0.1, 0.5, 0.8, 0.9):
            known = draw_plan(grid, KEY, index, masking=masking, ratio=ratio)
            looked_up = draw_plan(
                grid, KEY, index, masking=masking, ratio=ratio, valid=torch.ones(3, grid.tokens, dtype=torch.bool)
            )
            assert chosen(known.visible, None) == chosen(looked_up.visible, looked_up.seen)
            assert chosen(known.predicted, None) == chosen(looked_up.predicted, looked_up.wanted)


@pytest.mark.parametrize(("places", "ratio"), [(550, 0.07), (950, 0.07), (125, 0.18)])
def test_halves_are_rounded_alike_on_the_host_and_on_the_device(places, ratio):
    """In float32 these were one token off: it was neither visible nor predicted."""
    grid, index = Grid.of(1, places, 1, 1, 1), torch.arange(2)
    plan = draw_plan(grid, KEY, index, ratio=ratio, valid=torch.ones(2, places, dtype=torch.bool))
    assert plan.seen.all() and plan.wanted.all()


def test_another_epoch_sample_seed_or_purpose_draws_anew():
    grid, index = Grid.of(6, 20, 20, 2, 2), torch.tensor([1])
    keys = [KEY, KEY.at(epoch=3), KEY.at(seed=4), KEY.at(purpose="valid/mask"), KEY.at(view=1)]
    drawn = [tuple(draw_plan(grid, key, index).visible[0].tolist()) for key in keys]
    drawn.append(tuple(draw_plan(grid, KEY, torch.tensor([2])).visible[0].tolist()))
    assert len(set(drawn)) == len(drawn)


def test_every_token_is_visible_equally_often():
    grid = Grid.of(3, 4, 4, 1, 1)
    for masking in MASKINGS:
        plan = draw_plan(grid, KEY, torch.arange(6000), masking=masking, ratio=0.6)
        often = torch.bincount(plan.visible.flatten(), minlength=48) / 6000
        assert (often - plan.visible.shape[1] / 48).abs().max() < 0.03


def test_one_unit_cannot_be_masked():
    grid = Grid.of(3, 4, 4, 1, 3)
    with pytest.raises(ConfigError, match="one unit to mask"):
        draw_plan(grid, KEY, torch.arange(2), masking="spectral")
    draw_plan(grid, KEY, torch.arange(2), masking="tube")


@pytest.mark.parametrize("decoder", ["full", "cross"])
@pytest.mark.parametrize("masking", MASKINGS)
def test_an_empty_image_weighs_nothing_and_everything_stays_finite(decoder, masking):
    model = build_banded(
        part_of(
            "mae_spectral",
            embed_dim=16,
            encoder_depth=1,
            encoder_num_heads=2,
            decoder_depth=1,
            decoder_num_heads=2,
            patch_size=[4, 2],
            decoder=decoder,
            masking=masking,
        ),
        bands=Bands.unnamed(4),
        statistics=statistics(4),
        image_size=(16, 16),
        seed=1,
    )
    valid = torch.ones(3, 4, 16, 16, dtype=torch.bool)
    valid[1] = False
    image = torch.where(valid, images(3, 4, (16, 16)), torch.nan)
    task = MaskedAutoencoding(MAESpectralLoss(spectral_sum_weight=1.0))
    found = task.loss(model.train(), batch_of(image, valid)).loss
    found.sum.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    rest = task.loss(model, batch_of(image, valid).replace(index=torch.tensor([0, -1, 2]))).loss
    assert found.weight == rest.weight
    torch.testing.assert_close(found.sum, rest.sum)
    alone = task.loss(model, batch_of(image[1:2], valid[1:2])).loss
    assert alone.weight == 0 and alone.sum == 0
    assert model(batch_of(image, valid)).isfinite().all()
    assert model.features(batch_of(image, valid))[0][1].isfinite().all()
