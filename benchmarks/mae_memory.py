"""Memory of a training step of each size of the spectral masked autoencoder, 30 bands of 500×500 px in float32.

"weights and AdamW" are 16 bytes a parameter (weight, gradient, two moments). "kept for backward" is what autograd keeps
of one sample's forward and loss, counted tensor by tensor on tensors without content, so it is **computed** for every
size on any machine; with recomputation (`general.recompute=true`) blocks keep their input alone. "measured" is the most
memory that a process took above what it had before the model was made, for two steps on the CPU with this batch; on a
GPU what its allocator held. bfloat16 halves most of what is kept, not the weights.

Goal: none was set; the document asks for 8 GB (tiny, small), 16 GB (medium), 24 GB (large, huge).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

SIZES = ("mae_tiny", "mae_small", "mae_base", "mae_medium", "mae_large", "mae_huge")
MEASURED = {"mae_tiny": (1, 2, 4), "mae_small": (1, 2, 4), "mae_base": (1,), "mae_medium": (1,)}
MIB = 2**20


def rows() -> list[dict[str, object]]:
    result: list[dict[str, object]] = []
    for name in SIZES:
        parameters, kept, less = computed(name)
        for batch in MEASURED.get(name, (0,)):
            held = measured(name, batch) if batch else None
            result.append(
                {
                    "model": name,
                    "parameters, million": parameters / 1e6,
                    "weights and AdamW, MiB (computed)": 16 * parameters / MIB,
                    "kept for backward a sample, MiB (computed)": kept / MIB,
                    "with recomputation, MiB (computed)": less / MIB,
                    "batch": batch or "",
                    "measured, MiB": held / MIB if held else "not measured",
                }
            )
    return result


def build(name: str, overrides: tuple[str, ...] = ()):
    from spectrain.config import load_config

    return load_config("mae", overrides=[f"model={name}", *overrides], use_personal=False)


def step_of(name: str, batch: int, device: str, recompute: bool = False):
    """Return a step's parts: model, task, batch."""
    from mae import BANDS, SIZE, bands
    from spectrain.core.batch import Batch, everywhere
    from spectrain.core.random import Key
    from spectrain.core.targets import NoTarget
    from spectrain.data.statistics import Statistics
    from spectrain.models.banded import build_banded
    from spectrain.training.processes.recompute import recompute_blocks

    cfg = build(name)
    half = (0.5,) * BANDS
    figures = Statistics((1,) * BANDS, (0,) * BANDS, half, half, (0.0,) * BANDS, (1.0,) * BANDS)
    model = build_banded(cfg.model, bands=bands(), statistics=figures, image_size=(SIZE, SIZE), seed=0).train()
    if recompute:
        recompute_blocks(model)
    task = cfg.task.build(loss=cfg.loss.build(), metric=None, plot=None)
    image = torch.full((batch, BANDS, SIZE, SIZE), 0.5, device=device)
    index = torch.arange(batch, device=device)
    seen = Batch(image, everywhere(image.shape, image.device), NoTarget(), index, True, key=Key(0, "augment"))
    return (model if device == "cpu" else model.to(device)), task, seen


def computed(name: str) -> tuple[int, int, int]:
    """Return parameters, and the bytes kept for the backward pass of a sample, without and with recomputation."""
    from torch._subclasses import FakeTensorMode

    kept = []
    for recompute in (False, True):
        with FakeTensorMode(allow_non_fake_inputs=True):
            model, task, seen = step_of(name, 1, "cpu", recompute)
            weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
            held: dict[int, int] = {}

            def keep(tensor, weights=weights, held=held):
                storage = tensor.untyped_storage()
                if storage._cdata not in weights:
                    held[storage._cdata] = storage.nbytes()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                task.loss(model, seen).loss.sum  # noqa: B018 - its graph is what is weighed
            kept.append(sum(held.values()))
            parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, kept[0], kept[1]


def measured(name: str, batch: int) -> int:
    """Return the most memory of a step in a process of its own."""
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import mae_memory; mae_memory.one({name!r}, {batch})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return int(json.loads(out.splitlines()[-1]))


def one(name: str, batch: int) -> None:
    """Take two steps and print the most bytes held (run in a process of its own)."""
    import resource

    if torch.cuda.is_available():
        run(name, batch, "cuda")
        print(torch.cuda.max_memory_allocated())
        return
    run("mae_tiny", 1, "cpu", steps=0)  # imports, buffers of libraries
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(name, batch, "cpu")
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def run(name: str, batch: int, device: str, steps: int = 2) -> None:
    model, task, seen = step_of(name, batch, device)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            found = task.loss(model, seen)
        found.loss.mean.backward()
        optimizer.step()


if __name__ == "__main__":
    from run import table

    print(table(rows()))
