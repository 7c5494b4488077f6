"""Where the window of an augmented image lies that becomes the view: drawn for each sample, or in the middle."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor

from ..core.errors import DataError
from ..core.random import Key, uniform
from ..core.window import Window


def drawn_window(size: tuple[int, int] | None, whole: tuple[int, int], key: Key, index: Tensor) -> Window | None:
    """Return windows at whole pixels, every place equally likely; None where the view is the whole image.

    Args:
        size: (height, width) of the window in px, None for the whole.
        whole: (H, W) of the images.
        key: the stream.
        index: int64 [B], the samples.

    Raises:
        DataError: the window is larger than the image.
    """
    if not _smaller(size, whole):
        return None
    room = [there - taken + 1 for there, taken in zip(whole, size, strict=True)]
    y, x = uniform(key, index, 2).unbind(1)
    return Window((y * room[0]).to(torch.int64), (x * room[1]).to(torch.int64), size)


def middle_window(size: tuple[int, int] | None, whole: tuple[int, int], index: Tensor) -> Window | None:
    """Return the windows in the middle (of an odd rest, half a pixel above and left); else as `drawn_window`."""
    if not _smaller(size, whole):
        return None
    top, left = ((there - taken) // 2 for there, taken in zip(whole, size, strict=True))
    return Window(torch.full_like(index, top), torch.full_like(index, left), size)


def _smaller(size: tuple[int, int] | None, whole: tuple[int, int]) -> TypeGuard[tuple[int, int]]:
    """Say whether there is a window other than the whole image."""
    if size is None or size == whole:
        return False
    if size[0] > whole[0] or size[1] > whole[1]:
        most = min(whole) if size[0] == size[1] else f"[{whole[0]}, {whole[1]}]"
        raise DataError(
            f"a window of {size[0]} x {size[1]} px does not fit into images of {whole[0]} x {whole[1]} px",
            where="augmentation.size",
            fix=f"set it to {most} or less",
        )
    return True
