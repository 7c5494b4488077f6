"""Less memory for a batch that must go through as one: a block keeps its input alone, and runs again in backward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import Tensor, is_grad_enabled, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from .batchnorm import has_batch_norm
from .parallel import blocks_of


def recompute_blocks(module: nn.Module) -> None:
    """Let each block of a model (those it names by ``fsdp_blocks``) be computed again in backward; in place.

    The result is the same (Chen et al. 2016), for about a third more arithmetic: random numbers are drawn again alike,
    and batch norm counts a batch in its running statistics once. Nothing changes in evaluation, nor in the names of
    the weights.
    """
    for block in blocks_of(module):
        block.forward = partial(_again, block, block.forward)


def _again(block: nn.Module, forward: Any, *inputs: Tensor) -> Any:
    if not (block.training and is_grad_enabled()):
        return forward(*inputs)
    if not has_batch_norm(block):
        return checkpoint(forward, *inputs, use_reentrant=False)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=partial(_contexts, block))


def _contexts(
    block: nn.Module,
) -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
    """Return what the first run and the second one happen in."""
    return contextlib.nullcontext(), frozen_running_statistics(block)


@contextlib.contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Keep batch norm from counting a batch that is seen twice; it still normalises by the batch.

    By a momentum of 0, and not by switching the tracking off: then it would save other tensors for backward than the
    first time, which `torch.utils.checkpoint` refuses.
    """
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.track_running_stats]
    held = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, held, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
