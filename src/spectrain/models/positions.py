"""Where a token is, in the image and in the spectrum: by functions of numbers, not by tables of a fixed size."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

from ..core.bands import Band, Bands

CODE = 48
"""Numbers that describe a band: 4 flags, 32 for its centre, 12 for its width."""

_SLOWEST = 100.0
"""Codes change over 6 to 600 tokens. With the 10 000 of MAE half of the numbers are the same all over an image, and the
loss after 350 steps of the demo a tenth higher."""

_FLAGS, _CENTRE, _WIDTH = 4, 16, 6
_SHORTEST, _LONGEST = 200.0, 20000.0  # nm: from the ultraviolet to the thermal infrared


def grid_code(rows: Tensor, columns: Tensor, dim: int) -> Tensor:
    """Return the sine-cosine code [h*w, dim] of a grid of places (Vaswani et al. 2017, in two dimensions as in MAE).

    Args:
        rows: float [h], where each row of tokens is, in units of a token's side.
        columns: float [w], likewise.
        dim: a multiple of 4.
    """
    if dim % 4:
        raise ValueError(f"positions need a multiple of 4 numbers a token, got {dim}")
    wave = 1.0 / _SLOWEST ** (torch.arange(dim // 4, device=rows.device, dtype=torch.float32) / (dim // 4))
    by_row = rows[:, None] * wave
    by_column = columns[:, None] * wave
    y = torch.cat((by_row.sin(), by_row.cos()), 1)[:, None, :].expand(-1, len(columns), -1)
    x = torch.cat((by_column.sin(), by_column.cos()), 1)[None, :, :].expand(len(rows), -1, -1)
    return torch.cat((x, y), 2).flatten(0, 1)


def band_codes(bands: Bands) -> Tensor:
    """Return what describes each band, float32 [C, CODE]; the same for the same band in any set.

    A band with a wavelength is described by sines and cosines of the logarithm of its centre and, where it is known,
    of its width: bands that are near in the spectrum have near codes. A band without one (radar, temperature) has
    the code of its name: signs drawn from a hash, so that any name has one, and two names hardly the same.
    """
    return torch.stack([_code(band) for band in bands])


def _code(band: Band) -> Tensor:
    code = torch.zeros(CODE)
    if band.wavelength is None:
        code[2] = 1.0
        digest = hashlib.blake2b(band.name.lower().encode(), digest_size=8).digest()
        bits = int.from_bytes(digest, "little")
        signs = [1.0 if bits >> place & 1 else -1.0 for place in range(CODE - _FLAGS)]
        code[_FLAGS:] = torch.tensor(signs) * math.sqrt(0.5)  # as large as sines are
        return code
    code[0] = 1.0
    share = math.log(band.wavelength / _SHORTEST) / math.log(_LONGEST / _SHORTEST)
    code[_FLAGS : _FLAGS + 2 * _CENTRE] = _waves(share, _CENTRE, 0.5, 128.0)
    if band.width is not None and band.width > 0:
        code[1] = 1.0
        code[_FLAGS + 2 * _CENTRE :] = _waves(math.log(band.width) / math.log(1000.0), _WIDTH, 0.25, 4.0)
    return code


def _waves(share: float, count: int, slowest: float, fastest: float) -> Tensor:
    """Return sines and cosines [2*count] of a share of the axis, from ``slowest`` to ``fastest`` cycles along it."""
    cycles = slowest * (fastest / slowest) ** (torch.arange(count, dtype=torch.float64) / (count - 1))
    angle = 2 * math.pi * share * cycles
    return torch.cat((angle.sin(), angle.cos())).float()
