"""Memory of accumulated micro-batches against the one big batch that they equal.

One optimiser step of the contrastive task on 256 images x 2 views, each case in a process of its own; memory is the
growth of the peak over what the process held before its first step. "loss" is that of the first step: exact cases
agree with the big batch. Exact is `general.sync_batchnorm=true`, the default: batch norm sees the whole step, whose
accumulated batches run as one, with blocks computed again in backward. With `false` each micro-batch is normalised by
itself, and gradient caching needs the memory of one.
"""

from __future__ import annotations

import json
import subprocess
import sys

CASES = [
    ("one batch of 256", ["hparams.batch_size=256"]),
    *(
        (
            f"{count} × {256 // count}, {words}",
            [
                f"hparams.batch_size={256 // count}",
                f"hparams.accumulate_grad_batches={count}",
                f"general.sync_batchnorm={sync}",
            ],
        )
        for sync, words in (("true", "exact (recomputed)"), ("false", "norms by themselves (cached)"))
        for count in (4, 16)
    ),
]
MODELS = [("resnet18", "small", 32), ("resnet50", "large", 64)]

STEP = """
import json, resource, sys, tempfile, time
from pathlib import Path
import h5py, numpy as np, torch
from spectrain.config import load_config
from spectrain.training.session import build_session
from spectrain.training.step import optimiser_step

backbone, stem, size, *words = json.loads(sys.argv[1])
torch.set_num_threads(2)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "a.h5"
    with h5py.File(path, "w") as file:
        file["train"] = np.random.default_rng(0).normal(size=(256, 1, size, size)).astype(np.float32)
    session = build_session(load_config("contrastive", overrides=[
        f"dataset.path={path}", "dataset.valid_key=null", f"model.backbone={backbone}", f"model.stem={stem}",
        f"augmentation.crop={size * 5 // 8}", "show_prediction=none", *words], use_personal=False))
    order = session.train_order
    steps = next(order.steps(0))
    raws = list(session.train.loader.load(steps))
    cuda = torch.cuda.is_available()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.perf_counter()
    found = optimiser_step(session, iter(raws), order.micro_batches, 0, 0)["loss"]
    loss = float(found.sum / found.weight)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    gpu = torch.cuda.max_memory_allocated() / 2**20 if cuda else None
    session.close()
print("ROW", json.dumps([peak, seconds, loss, gpu]))
"""


def rows() -> list[dict[str, object]]:
    result: list[dict[str, object]] = []
    for backbone, stem, size in MODELS:
        first = 0.0
        for name, words in CASES:
            case = json.dumps([backbone, stem, size, *words])
            output = subprocess.run(
                [sys.executable, "-c", STEP, case], capture_output=True, text=True, check=True
            ).stdout
            line = next(line for line in output.splitlines() if line.startswith("ROW "))
            peak, seconds, loss, gpu = json.loads(line[4:])
            first = first or peak
            row = {
                "model": f"{backbone}, {stem} stem, {size} px",
                "step": name,
                "peak MiB": round(peak),
                "share": round(peak / first, 2),
                "s": round(seconds, 1),
                "loss": f"{loss:.5f}",
            }
            result.append(row if gpu is None else {**row, "GPU MiB": round(gpu)})
    return result


if __name__ == "__main__":
    from run import table

    print(table(rows()))
