"""The few facts about other processes that losses and layers need, and the one differentiable gather.

Gradient scale, decided here once: the loss of a step is the *sum* over processes. So the backward of a gather adds up
what every process contributes to a row, without dividing; the loop divides by the total weight.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes in this training; 1 where none were started together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of the process, 0 to ``world_size() - 1``."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


class _Gather(torch.autograd.Function):
    """Concatenate equal-shaped tensors of all processes along the first axis, in order of rank."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].contiguous().clone()  # autograd may hand the same tensor to another node
        dist.all_reduce(grad)  # sum over processes: see the module's first lines
        return grad.chunk(world_size())[rank()]


class _SumOver(torch.autograd.Function):
    """All-reduce (sum) whose backward is an all-reduce (sum) too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].clone()
        dist.all_reduce(grad)
        return grad


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows [B, ...] of all processes as [world * B, ...], with gradient to every process's own rows.

    Every process must hold the same number of rows. With one process it returns its argument.
    """
    if world_size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the elementwise sum over processes, differentiable. With one process it returns its argument."""
    if world_size() == 1:
        return values
    total: Tensor = _SumOver.apply(values)
    return total
