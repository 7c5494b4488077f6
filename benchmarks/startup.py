"""Start-up, as whole processes, against `import torch` in the same rounds.

Goals: `--help` under 0.5 s; the first optimiser step of a small run of our own models under 2 × `import torch`. The run
has no probes: the metadata that they ask for come through pandas, which takes a third of a second to import.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
FIRST_STEP = """
import os, sys, time
begin = time.perf_counter()
from spectrain.training import loop
real = loop.optimiser_step
def once(*arguments):
    losses = real(*arguments)
    sys.stdout.flush()
    os._exit(0)
loop.optimiser_step = once
import spectrain.demos
spectrain.demos.run("contrastive", ["hparams.batch_size=8", "model.feat_dim=16", "metric.probe=[]"])
"""


def seconds(command: list[str], folder: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def rows() -> list[dict[str, object]]:
    python = sys.executable
    commands = {
        "python -c 'import torch'": [python, "-c", "import torch"],
        "spectrain --help": [str(Path(python).with_name("spectrain")), "--help"],
        "to the end of the first step (ResNet-18, large stem, 8 × 64×64×1)": [python, "-c", FIRST_STEP],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS + 1):
            for name, command in commands.items():
                taken = seconds(command, folder)
                if number:  # the first round warms the file cache
                    times[name].append(taken)
    base = times["python -c 'import torch'"]
    return [
        {
            "process": name,
            "median s": statistics.median(values),
            "min s": min(values),
            "ratio to import torch": statistics.median(a / b for a, b in zip(values, base, strict=True)),
        }
        for name, values in times.items()
    ]


if __name__ == "__main__":
    from run import table

    print(table(rows()))
