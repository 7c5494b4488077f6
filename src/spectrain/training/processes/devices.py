"""Which device, precision and parallelism a training uses, decided from the configuration and what is present."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch

from ...core.errors import RunError, first_line


def resolve_device(name: str | int, local_rank: int = 0, device_ids: Sequence[int] = ()) -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``N``.

    ``auto`` is the process's own GPU where there is one, otherwise the CPU; with ``device_ids`` each process of a
    machine takes the GPU at its place in the list. A device that was named and is absent is a `RunError` that lists
    those present: nothing falls back silently.
    """
    text, key = str(name).strip().lower(), "general.device"
    if device_ids and text in ("auto", "cuda"):
        text, key = f"cuda:{device_ids[local_rank % len(device_ids)]}", "general.device_ids"
        name = text
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if text == "cpu" or (text == "auto" and count == 0):
        return torch.device("cpu")
    if text in ("auto", "cuda") and count:
        return torch.device("cuda", local_rank % count)
    number = text.removeprefix("cuda:")
    if number.isdigit() and int(number) < count:
        return torch.device("cuda", int(number))
    present = ["cpu", *(f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(count))]
    raise RunError(
        f"the device {name!r} is not there",
        where=key,
        fix=f"present are {', '.join(present)}; general.device=auto takes the best of them",
    )


def use_device(device: torch.device) -> None:
    """Make a GPU this process's own, and let cuDNN try which of its kernels is the fastest for each shape.

    Batches have one shape, so each is tried once. Which one wins may differ from start to start, and with it the last
    bits of a result; a CPU has no such choice.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True


def autocast_dtype(use_amp: str | bool, device: torch.device) -> torch.dtype | None:
    """Return bfloat16 where mixed precision is on, otherwise None; ``auto`` is on for CUDA only."""
    wanted = device.type == "cuda" if use_amp == "auto" else bool(use_amp)
    return torch.bfloat16 if wanted else None


def autocast(device: torch.device, dtype: torch.dtype | None) -> contextlib.AbstractContextManager[Any]:
    """Return the mixed-precision block of a type, or one that does nothing where it is None."""
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def wants_compile(compile_option: str | bool, device: torch.device) -> bool:
    """Say whether the model is compiled; ``auto`` is on for CUDA only (compiling pays late on a CPU)."""
    return device.type == "cuda" if compile_option == "auto" else bool(compile_option)


def set_threads(threads: int) -> int:
    """Set torch's intra-op threads (0 leaves torch's default) and return how many there are."""
    if threads > 0:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def memory_advice(error: BaseException) -> RunError | None:
    """Return a clear error for "out of memory", or None where ``error`` is something else."""
    text = str(error)
    if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in text:
        return None
    return RunError(
        "the device ran out of memory",
        where=first_line(error),
        fix="lower hparams.batch_size (and raise hparams.accumulate_grad_batches by the same factor to keep the "
        "step's batch), take a smaller model, or set general.use_amp=true on a GPU",
    )


def advice_on(error: BaseException) -> RunError | None:
    """Return a clear error for what torch says of a step that cannot be taken, or None where it is something else."""
    if "Expected more than 1 value per channel when training" in str(error):
        return RunError(
            "batch norm is left with one value a channel, which has no deviation",
            where="hparams.batch_size",
            fix="raise it, or give larger images: the model makes these into one pixel",
        )
    return memory_advice(error)


def hardware_facts(device: torch.device) -> dict[str, Any]:
    """Return what `run.json` says of the device of this process."""
    facts: dict[str, Any] = {"device": str(device), "threads": torch.get_num_threads()}
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts
