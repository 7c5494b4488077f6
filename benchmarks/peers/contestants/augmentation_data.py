"""Images for the augmentation: standardised noise of no meaning, with blobs missing where that is asked for."""

from __future__ import annotations

from typing import Any


def images(given: dict[str, Any]) -> Any:
    """Return float32 [B,C,H,W] without a hole."""
    import torch

    # as in a training, which has freed large tensors: from then on the C library keeps memory instead of returning it
    torch.ones(30 << 20, dtype=torch.uint8)
    return torch.randn(given["shape"], generator=torch.Generator().manual_seed(0))


def holes(given: dict[str, Any]) -> Any:
    """Return bool [B,1,H,W], True where a tenth of the pixels is missing, in squares."""
    import torch

    batch, _, height, width = given["shape"]
    drawn = torch.rand(batch, 1, height // 8, width // 8, generator=torch.Generator().manual_seed(1))
    return (drawn < 0.1).repeat_interleave(8, 2).repeat_interleave(8, 3)
