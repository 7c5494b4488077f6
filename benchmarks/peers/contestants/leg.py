"""What every contestant shares: its options, its clock, its judge, and the line of figures that it ends with."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BEGUN = float(os.environ.get("PEERS_BEGUN") or time.monotonic())
"""When the driver started this process, on the clock of the machine."""


def options() -> dict[str, Any]:
    """Return what the driver gave; sets torch's threads where torch is to be used."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def end(figures: dict[str, Any]) -> None:
    """Print the figures as the line that the driver reads."""
    print("FIGURES " + json.dumps(figures), flush=True)


def epochs(steps: int, given: dict[str, Any]) -> int:
    """Return the epochs that these steps are: spectrain trains whole ones, the others a number of steps.

    Raises:
        ValueError: spectrain would do more than they.
    """
    found, rest = divmod(steps, given["images"] // given["batch"])
    if rest:
        raise ValueError(f"{steps} steps are {found} epochs and {rest} steps")
    return found


class Clock:
    """Times the steps of a training after the first ``warm`` ones, whatever happens between them.

    Args:
        batch: samples in a step.
        warm: steps that are not counted.
        steps: steps that are.
    """

    def __init__(self, batch: int, warm: int, steps: int) -> None:
        self.batch, self.warm, self.steps = batch, warm, steps
        self.done, self.waited_s, self.first = 0, 0.0, 0.0
        self._from = self._to = (0.0, 0.0, 0.0)

    @property
    def total(self) -> int:
        return self.warm + self.steps

    def step(self, waited_s: float | None = None) -> None:
        """Note the end of an optimiser step; ``waited_s`` so far, where `waiting` does not count it."""
        self.done += 1
        now = time.monotonic(), cpu_s(), self.waited_s if waited_s is None else waited_s
        if self.done == 1:
            self.first = now[0] - BEGUN
        if self.done == self.warm:
            self._from = now
        if self.done == self.total:
            self._to = now

    def waiting(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Yield what the loader does, and count how long it takes to."""
        batches = iter(loader)
        while True:
            begin = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.waited_s += time.monotonic() - begin
            yield batch

    def figures(self) -> dict[str, float]:
        """Return samples/s, CPU a sample (with workers), the share of time that was waited, and the first step."""
        if self.done < self.total:
            raise RuntimeError(f"{self.done} steps of {self.total} were taken")
        wall, cpu, waited = (b - a for a, b in zip(self._from, self._to, strict=True))
        samples = self.batch * self.steps
        return {
            "samples_per_s": samples / wall,
            "cpu_ms": cpu / samples * 1e3,
            "wait_share": waited / wall,
            "first_step_s": self.first,
        }


def cpu_s() -> float:
    """Return the CPU seconds of this process and of the workers that it has now."""
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    spent = time.process_time()
    for child in own.read_text().split() if own.exists() else []:
        fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def shapes(module: Any) -> list[str]:
    """Return the shapes of a state dict, sorted: contestants train the same model where these are alike."""
    return sorted(str(list(value.shape)) for value in module.state_dict().values() if value.ndim)


def ious(predicted: Any, labels: Any) -> dict[str, float]:
    """Return the IoU of class 1, and the mean over classes 0 and 1, of class maps [N,H,W]; 255 does not count."""
    counted = labels != 255
    found = []
    for each in (0, 1):
        one, other = (predicted == each) & counted, labels == each
        found.append(float((one & other).sum() / max(1, (one | other).sum())))
    return {"iou": found[1], "miou": sum(found) / 2}


def neighbours(train: Any, train_values: Any, test: Any, test_values: Any, count: int = 20) -> float:
    """Return R² of values that the mean of the nearest embeddings (by cosine) predicts; arrays [N,D] and [N]."""
    import numpy as np

    train, test = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (train, test))
    nearest = np.argsort(-(test @ train.T), axis=1)[:, :count]
    rest = test_values - train_values[nearest].mean(axis=1)
    return float(1 - (rest**2).mean() / test_values.var())


def rate(batches: Iterable[Any], batch: int, warm: int, seconds: float) -> dict[str, float]:
    """Return samples/s and CPU ms a sample of what yields batches, over about so many seconds after ``warm`` ones."""
    done, begin, cpu = 0, 0.0, 0.0
    for number, _ in enumerate(batches, start=1):
        if number == warm:
            begin, cpu = time.monotonic(), cpu_s()
        elif number > warm:
            done += batch
            if time.monotonic() - begin > seconds:
                break
    wall, spent = time.monotonic() - begin, cpu_s() - cpu
    return {"samples_per_s": done / wall, "cpu_ms": spent / done * 1e3}
