"""One optimiser step: forward and backward of its micro-batches, one division, clipping, update. No host waits here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..core.batch import RawBatch
from ..core.distributed import rank, world_size
from ..core.loss_sum import LossSum
from ..core.random import Key
from ..tasks.base import Step
from .micro_batches import join, join_views, split_views
from .optimizers import step_unless_empty
from .processes.recompute import frozen_running_statistics
from .session import Session, iter_parameters


def optimiser_step(session: Session, raws: Iterator[RawBatch], count: int, epoch: int, step: int) -> dict[str, LossSum]:
    """Train on ``count`` micro-batches and return this process's losses by name, "loss" first.

    Accumulated micro-batches and processes give the gradient of one whole batch: losses are sums, and the summed
    gradient is divided once by the summed weight.

    Args:
        session: the training.
        raws: where the micro-batches come from.
        count: how many belong to this step.
        epoch: for the random numbers of the samples.
        step: optimiser step since the start, for layers that draw from torch's generator (dropout).
    """
    session.optimizer.zero_grad(set_to_none=True)
    if count > 1 and not session.task.additive:
        losses = _coupled_backward(session, [next(raws) for _ in range(count)], epoch, step)
    else:
        losses = _additive_backward(session, raws, count, epoch, step)
    weight = losses["loss"].weight.detach().to(torch.float32).clone()
    if world_size() > 1:
        dist.all_reduce(weight)
    _divide(session, weight)
    if session.cfg.hparams.gradient_clipping > 0:
        nn.utils.clip_grad_norm_(iter_parameters(session.model), session.cfg.hparams.gradient_clipping)
    step_unless_empty(session.optimizer, weight)
    return losses


def _additive_backward(
    session: Session, raws: Iterator[RawBatch], count: int, epoch: int, step: int
) -> dict[str, LossSum]:
    """Backpropagate each micro-batch's sum as it comes."""
    losses: dict[str, LossSum] = {}
    for micro in range(count):
        batch = session.training_batch(next(raws), session.train, epoch)
        _seed_layers(session, epoch, step, micro)
        with session.parallel.last_backward(micro == count - 1):
            with session.autocast(), _activations_in_host_memory(session):
                result = session.task.loss(session.parallel.forward, batch)
            result.loss.sum.backward()  # type: ignore[no-untyped-call]
        _add(losses, result)
    return losses


def _coupled_backward(session: Session, raws: list[RawBatch], epoch: int, step: int) -> dict[str, LossSum]:
    """Gradient caching (Gao et al. 2021) for a loss that couples the samples of a batch.

    First all outputs without a graph; then the loss of all of them and its gradient with respect to the outputs;
    then each micro-batch once more, with its share of that gradient. Memory is that of one micro-batch.
    """
    task, module = session.task, session.model
    batches = [session.training_batch(raw, session.train, epoch) for raw in raws]
    outputs = []
    with torch.no_grad(), frozen_running_statistics(module):
        for micro, batch in enumerate(batches):
            _seed_layers(session, epoch, step, micro)
            with session.autocast():
                outputs.append(task.outputs(module, batch))
    whole = join_views(outputs, task.views).requires_grad_()
    result = task.loss_of(whole, join(batches))
    result.loss.sum.backward()  # type: ignore[no-untyped-call]
    assert whole.grad is not None
    shares = split_views(whole.grad, [len(output) for output in outputs], task.views)
    for micro, (batch, share) in enumerate(zip(batches, shares, strict=True)):
        _seed_layers(session, epoch, step, micro)
        with session.parallel.last_backward(micro == len(batches) - 1):
            with session.autocast():
                again = task.outputs(session.parallel.forward, batch)
            again.backward(share.to(again.dtype))  # type: ignore[no-untyped-call]
    losses: dict[str, LossSum] = {}
    _add(losses, result)
    return losses


def _divide(session: Session, weight: Tensor) -> None:
    """Divide the summed gradients by the total weight; DDP and FSDP averaged them over processes, undone here."""
    scale = world_size() / weight.clamp(min=1)
    grads = [parameter.grad for parameter in iter_parameters(session.model) if parameter.grad is not None]
    local = [grad.to_local() if hasattr(grad, "to_local") else grad for grad in grads]
    torch._foreach_mul_(local, scale)


def _seed_layers(session: Session, epoch: int, step: int, micro: int) -> None:
    """Seed torch's generator for layers that draw from it (dropout), so that a resumed step draws the same.

    It is the one stream that belongs to a step and process, not to a sample: torch's layers know no samples.
    """
    stream = Key(session.cfg.general.seed, "dropout", epoch).word()
    torch.manual_seed((stream + (step << 20) + (micro << 10) + rank()) & ((1 << 63) - 1))


def _activations_in_host_memory(session: Session) -> contextlib.AbstractContextManager[object]:
    """On a GPU, keep what backward needs in host memory where accumulated batches run as one (see `build_session`)."""
    if session.joined and session.device.type == "cuda":
        return torch.autograd.graph.save_on_cpu(pin_memory=True)
    return contextlib.nullcontext()


def _add(losses: dict[str, LossSum], result: Step) -> None:
    for name, loss in {"loss": result.loss, **result.parts}.items():
        losses[name] = losses[name] + loss.detach() if name in losses else loss.detach()
