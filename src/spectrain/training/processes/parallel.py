"""Processes that train together: start and end of the group, DDP or FSDP2 around a model, full states out of it.

Applied to a model from outside. Gradients come out averaged over processes in both forms; the loop multiplies by the
world size once, so that the step's gradient is the sum over processes divided by the total weight.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...core.distributed import rank, world_size
from ...core.errors import RunError, first_line
from ...core.launched import launched_world, meeting_place


@contextlib.contextmanager
def process_group(device_type: str) -> Iterator[None]:
    """Join the processes that torchrun or srun started, for the length of the block; nothing to do for one.

    Raises:
        RunError: they do not find each other.
    """
    process, _, world = launched_world()
    if world == 1 or dist.is_initialized():
        yield
        return
    backend = "nccl" if device_type == "cuda" else "gloo"
    place = meeting_place()
    try:
        dist.init_process_group(backend, init_method=place or "env://", rank=process, world_size=world)
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        raise RunError(
            f"process {process} of {world} does not find the others: {first_line(error)}",
            where=place or "MASTER_ADDR and MASTER_PORT",
            fix="set MASTER_ADDR to the host of the first process and MASTER_PORT to a free port of it, for all",
        ) from error
    try:
        yield
        # The main process is still writing its report when the others are done; who leaves first cuts its connections.
        dist.barrier()
    finally:
        dist.destroy_process_group()


# torch renamed the switch in 2.15
_DDP_OPTIONS = inspect.signature(nn.parallel.DistributedDataParallel).parameters
_LOCAL_BUFFERS: dict[str, Any] = (
    {"forward_sync_buffers": False} if "forward_sync_buffers" in _DDP_OPTIONS else {"broadcast_buffers": False}
)


class Parallel:
    """A model with its parallelism: ``forward`` is what to call, ``module`` what to save.

    Args:
        module: the model, already on its device.
        kind: "ddp", "fsdp", or "auto" (DDP where there are several processes).
        device: where it lives.
    """

    def __init__(self, module: nn.Module, kind: str, device: torch.device) -> None:
        self.module = module
        self.kind = "none" if world_size() == 1 else ("ddp" if kind == "auto" else kind)
        self.forward: nn.Module = module
        if self.kind == "ddp":
            # Buffers need no broadcast: synchronised batch norm keeps them equal, and unsynchronised means local.
            ids = [device.index] if device.type == "cuda" else None
            self.forward = nn.parallel.DistributedDataParallel(module, device_ids=ids, **_LOCAL_BUFFERS)
        elif self.kind == "fsdp":
            from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

            module.to(memory_format=torch.contiguous_format)  # FSDP shards no channels-last weights
            for block in blocks_of(module):
                fully_shard(block)
            fully_shard(module)
            for method in ("features", "pooled"):  # parameters are gathered for them as for a forward
                register_fsdp_forward_method(module, method)

    def suit(self, optimizer: torch.optim.Optimizer) -> None:
        """Turn off what the optimiser cannot do on sharded parameters: torch has no fused SGD for them."""
        if self.kind == "fsdp" and isinstance(optimizer, torch.optim.SGD):
            for options in (optimizer.defaults, *optimizer.param_groups):
                options["fused"] = False

    @contextlib.contextmanager
    def last_backward(self, last: bool) -> Iterator[None]:
        """Exchange gradients in this block only where ``last``: earlier micro-batches keep theirs."""
        if last or self.kind == "none":
            yield
        elif isinstance(self.forward, nn.parallel.DistributedDataParallel):
            with self.forward.no_sync():
                yield
        else:
            self.module.set_requires_gradient_sync(False)  # type: ignore[operator]
            try:
                yield
            finally:
                self.module.set_requires_gradient_sync(True)  # type: ignore[operator]

    def model_state(self) -> dict[str, Any]:
        """Return the whole state of the unwrapped model, on the CPU for FSDP; every process must call it."""
        if self.kind != "fsdp":
            state: dict[str, Any] = self.module.state_dict()
            return state
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        return get_model_state_dict(self.module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return the whole optimiser state by parameter name, whatever the parallelism; every process must call it."""
        if self.kind == "fsdp" and optimizer.state:
            from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

            options = StateDictOptions(full_state_dict=True, cpu_offload=True)
            whole: dict[str, Any] = _plain(get_optimizer_state_dict(self.module, optimizer, options=options))
            return whole
        names: dict[Any, str] = {parameter: name for name, parameter in self.module.named_parameters()}
        groups = [
            {
                **{key: value for key, value in group.items() if key != "params"},
                "params": [names[p] for p in group["params"]],
            }
            for group in optimizer.param_groups
        ]
        states = {names[parameter]: dict(state) for parameter, state in optimizer.state.items()}
        record: dict[str, Any] = _plain({"state": states, "param_groups": groups})
        return record

    def load_optimizer_state(self, optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
        """Load what `optimizer_state` returned, from a private copy: ``load_state_dict`` keeps what it is given."""
        if not saved["state"]:
            return
        saved = copy.deepcopy(saved)
        if self.kind == "fsdp":
            from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

            options = StateDictOptions(full_state_dict=True)
            set_optimizer_state_dict(self.module, optimizer, saved, options=options)
            return
        order = {
            name: number for number, name in enumerate(n for group in saved["param_groups"] for n in group["params"])
        }
        optimizer.load_state_dict(
            {
                "state": {order[name]: state for name, state in saved["state"].items()},
                "param_groups": [
                    {**group, "params": [order[name] for name in group["params"]]} for group in saved["param_groups"]
                ],
            }
        )
        _lay_out_like_parameters(optimizer)


def _lay_out_like_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Give moments the memory layout of their parameter.

    Those of a run with another ``general.channels_last``, or with FSDP, have another, and fused updates on a CPU go
    through memory without a look at it: each weight would be moved by the moments of some other.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def blocks_of(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the repeated blocks of a model, each a unit of FSDP; a model says which by ``fsdp_blocks``."""
    for child in module.modules():
        blocks = getattr(child, "fsdp_blocks", None)
        if blocks is not None:
            yield from blocks()


def _plain(value: Any) -> Any:
    """Turn tuples into lists and drop nothing, so that the state holds only what a checkpoint may hold."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def agree(value: float, device: torch.device) -> float:
    """Return the largest ``value`` of all processes, so that they decide alike; a collective call."""
    if world_size() == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return float(tensor.item())


def is_main() -> bool:
    """Say whether this process writes the files."""
    return rank() == 0
