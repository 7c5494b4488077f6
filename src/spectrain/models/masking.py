"""Which tokens the encoder sees and which are to be predicted, by random numbers that belong to the sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core.errors import ConfigError, Problem
from ..core.random import Key, uniform
from .tokens import Grid

Masking = Literal["random", "tube", "spectral"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is shown and what is asked. Shapes depend on the grid and the ratio alone, so compiled code fits them all.

    Attributes:
        visible: int64 [B,K], tokens that the encoder sees.
        seen: bool [B,K], False where a place is only filled up (the image has invalid tokens); None where none is.
        predicted: int64 [B,M], tokens to predict.
        wanted: bool [B,M], as ``seen``.
    """

    visible: Tensor
    seen: Tensor | None
    predicted: Tensor
    wanted: Tensor | None


def draw_plan(
    grid: Grid,
    key: Key,
    index: Tensor,
    *,
    masking: Masking = "random",
    ratio: float = 0.8,
    decode_ratio: float = 1.0,
    valid: Tensor | None = None,
) -> Plan:
    """Draw what the samples ``index`` [B] show, in the stream ``key``. Nothing waits for the device.

    ``random`` hides each token by itself, ``tube`` all bands of a place together, ``spectral`` whole band groups.
    Of U such units ``round(U * (1 - ratio))`` are visible (not cut off: 2400 tokens at 0.8 show 480), at least one,
    and at least one is hidden. Invalid tokens are neither, and the ratio is of the valid ones.

    Args:
        grid: of the images.
        key: the stream.
        index: int64 [B].
        masking: what is hidden together.
        ratio: share that is hidden.
        decode_ratio: share of the hidden tokens that is predicted, drawn anew each time; at least one.
        valid: bool [B,L]; None where every token is.

    Raises:
        ConfigError: there is only one unit, so that nothing is left to predict, or to see.
    """
    units, unit_of = _units(grid, masking, index.device)
    if units < 2:
        what = f"images of {grid.groups} x {grid.places} tokens (band groups x places) hold one unit to mask, not two"
        fix = "make tokens smaller (model.patch_size), or choose another model.masking"
        raise ConfigError([Problem("model.masking", f"model.masking={masking}", what, fix)])
    noise = uniform(key, index, units)
    visible_units = min(max(1, round(units * (1 - ratio))), units - 1)
    count = visible_units * (grid.tokens // units)
    asked = max(1, round((grid.tokens - count) * decode_ratio))
    if valid is None:
        order = _order(noise) if unit_of is None else _by_unit(noise, grid.tokens // units, masking, grid)
        predicted = order[:, count:]
        if unit_of is not None and asked < predicted.shape[1]:  # a unit's tokens are together: take some of all
            predicted = _shuffled(predicted, key, index)
        return Plan(order[:, :count], None, predicted[:, :asked], None)
    token_valid = valid
    unit_valid = token_valid if unit_of is None else _any_of(token_valid, grid, masking)
    rank = _order(_order(noise + 2.0 * ~unit_valid))
    number = unit_valid.sum(1, keepdim=True)
    shown = (number.double() * (1 - ratio)).round().clamp(min=1)  # as Python rounds above, to the last bit
    unit_shown = rank < torch.minimum(shown, (number - 1).clamp(min=1))
    shown_tokens = unit_shown if unit_of is None else unit_shown[:, unit_of]
    see, hide = shown_tokens & token_valid, ~shown_tokens & token_valid
    # visible first, hidden last, what is invalid between; the draw decides among the hidden
    place = uniform(key.at(purpose=f"{key.purpose}/decode"), index, grid.tokens)
    order = _order(torch.where(see, place - 2, torch.where(hide, place + 2, place)))
    visible, predicted = order[:, :count], order[:, grid.tokens - asked :]
    return Plan(visible, see.gather(1, visible), predicted, hide.gather(1, predicted))


def _order(noise: Tensor) -> Tensor:
    """Return the order of each row, the same on every device: of 2400 draws of 24 bits two are equal in 1 row of 6."""
    return noise.argsort(dim=1, stable=True)


def _units(grid: Grid, masking: Masking, device: torch.device) -> tuple[int, Tensor | None]:
    """Return how many units there are, and the unit of each token; None where each token is one."""
    if masking == "random":
        return grid.tokens, None
    token = torch.arange(grid.tokens, device=device)
    if masking == "tube":
        return grid.places, token % grid.places
    return grid.groups, token // grid.places


def _by_unit(noise: Tensor, size: int, masking: Masking, grid: Grid) -> Tensor:
    """Return all tokens [B,L], unit after unit in the order of the draw."""
    order = _order(noise)[:, :, None]
    within = torch.arange(size, device=noise.device)
    tokens = order + within * grid.places if masking == "tube" else order * grid.places + within
    return tokens.flatten(1)


def _any_of(valid: Tensor, grid: Grid, masking: Masking) -> Tensor:
    """Return which units hold a valid token."""
    return valid.view(-1, grid.groups, grid.places).any(dim=1 if masking == "tube" else 2)


def _shuffled(tokens: Tensor, key: Key, index: Tensor) -> Tensor:
    place = uniform(key.at(purpose=f"{key.purpose}/decode"), index, tokens.shape[1])
    return tokens.gather(1, _order(place))
