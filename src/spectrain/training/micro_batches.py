"""Micro-batches whose samples are compared with each other, joined into the one batch that the loss sees."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.targets import ClassLabel, NoTarget


def join_views(parts: list[Tensor], views: int) -> Tensor:
    """Join view-major parts [V*b, ...] into one view-major tensor [V*sum(b), ...]."""
    return torch.cat([torch.cat([part.chunk(views)[view] for part in parts]) for view in range(views)])


def split_views(whole: Tensor, lengths: list[int], views: int) -> list[Tensor]:
    """Undo `join_views`, for parts of ``lengths`` rows."""
    pieces = [torch.split(view, [length // views for length in lengths]) for view in whole.chunk(views)]
    return [torch.cat([piece[number] for piece in pieces]) for number in range(len(lengths))]


def join(batches: list[Batch]) -> Batch:
    """Join what a coupled loss looks at: index and target; the images stay behind."""
    views = batches[0].views
    index = join_views([batch.index for batch in batches], views)
    labels = [batch.target.y for batch in batches if isinstance(batch.target, ClassLabel)]
    target = ClassLabel(join_views(labels, views)) if labels else NoTarget()
    empty = index.new_zeros((len(index), 0, 0, 0), dtype=torch.float32)
    return Batch(empty, empty.bool(), target, index, all_valid=True, views=views)
