"""A training step of the contrastive task, of segmentation and of regression against its bare arithmetic.

"bare" is forward, loss, backward and optimiser on a batch that is resident and already augmented; "loop" is our
optimiser step on the same batch, fed by no loader; "loop with data" is everything, end to end: read through the loader
(0 workers, a prefetch thread), augmented, trained. The augmentation has its own row too. The rows alternate.

The small stem keeps the full resolution in the first stage: about sixteen times the arithmetic of the large one.

Goal: loop ≤ 1.05 × bare (augmentation shown apart).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

# what it is, recipe, options, images in a batch, rounds
CASES = (
    ("resnet18, large stem, 32 × 2 views of 64×64×1", "contrastive", ("resnet18", "large"), 32, 15),
    ("resnet50, large stem, 32 × 2 views of 64×64×1", "contrastive", ("resnet50", "large"), 32, 15),
    ("resnet18, small stem, 8 × 2 views of 64×64×1", "contrastive", ("resnet18", "small"), 8, 5),
    ("Unet on resnet18, 8 × 128×128×10", "segmentation", ("Unet", "resnet18"), 8, 9),
    ("Unet on resnet50, 4 × 256×256×10", "segmentation", ("Unet", "resnet50"), 4, 5),
    ("U-Net of regression, 1 % labelled, 4 × 128×128×14", "regression", ("unet", "0.01"), 4, 5),
)
SPARSE = 0.01
"""Share of labelled pixels that a laser leaves, at most."""


def rows() -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        return [row for case in CASES for row in of_case(*case, Path(folder))]


def options_of(recipe: str, chosen: tuple[str, str], name: str, folder: Path) -> list[str]:
    import spectrain.demos

    if recipe == "contrastive":
        data = Path(spectrain.demos.__file__).parent / "ocean_sst.h5"
        return [f"dataset.path={data}", f"model.backbone={chosen[0]}", f"model.stem={chosen[1]}"]
    side, _, bands = (int(number) for number in name.rsplit(" ", 1)[-1].split("×"))
    if recipe == "regression":
        return [f"dataset.path={labelled(folder, side, bands, measured=float(chosen[1]))}", f"model={chosen[0]}"]
    return [f"dataset.path={labelled(folder, side, bands)}", f"model.arch={chosen[0]}", f"model.encoder={chosen[1]}"]


def labelled(folder: Path, side: int, bands: int, measured: float | None = None) -> Path:
    """Images of 16 bits and a mask, or a value at a share of the pixels: what they show does not matter here."""
    import h5py

    path, draw = folder / f"{side} {bands} {measured}.h5", np.random.default_rng(0)
    if not path.exists():
        with h5py.File(path, "w") as file:
            for split, count in (("train", 32), ("valid", 8)):
                file[split] = draw.integers(0, 3000, (count, bands, side, side)).astype(np.uint16)
                here = draw.random((count, side, side)) < (0.2 if measured is None else measured)
                values = np.where(here, draw.normal(100, 30, here.shape), np.nan).astype(np.float32)
                file[f"{split}_labels"] = here.astype(np.uint8) if measured is None else values
    return path


def of_case(
    name: str, recipe: str, chosen: tuple[str, str], size: int, rounds: int, folder: Path
) -> list[dict[str, object]]:
    from spectrain.config import load_config
    from spectrain.core.random import Key
    from spectrain.training.session import build_session
    from spectrain.training.step import optimiser_step

    device = "cuda" if torch.cuda.is_available() else "cpu"
    overrides = [*options_of(recipe, chosen, name, folder), f"hparams.batch_size={size}", f"general.device={device}"]
    session = build_session(load_config(recipe, overrides=overrides, use_personal=False))
    order, task, model, optimizer = session.train_order, session.task, session.parallel.forward, session.optimizer
    raws = list(session.train.loader.load(step[0] for step in order.steps(0)))
    key = Key(0, "augment")
    resident = session.prepare(raws[0], session.train, key, augment=True)

    def bare() -> None:
        optimizer.zero_grad(set_to_none=True)
        with session.autocast():
            step = task.loss(model, resident)
        step.loss.mean.backward()
        optimizer.step()

    def loop() -> None:
        real, session.prepare = session.prepare, lambda *_, **__: resident  # type: ignore[method-assign]
        try:
            optimiser_step(session, iter(raws), 1, 0, 0)
        finally:
            session.prepare = real  # type: ignore[method-assign]

    def augment() -> None:
        session.prepare(raws[1], session.train, key, augment=True)

    stream = endless(session)

    def with_data() -> None:
        optimiser_step(session, stream, 1, 0, 0)

    times = alternate({"bare": bare, "loop": loop, "augmentation": augment, "loop with data": with_data}, rounds)
    session.close()
    base = times["bare"]
    return [
        {
            "model": name,
            "row": row,
            "median ms": statistics.median(values) * 1e3,
            "images/s": size / statistics.median(values),
            "ratio to bare": statistics.median(a / b for a, b in zip(values, base, strict=True)),
        }
        for row, values in times.items()
    ]


def endless(session):
    epoch = 0
    while True:
        yield from session.train.loader.load(step[0] for step in session.train_order.steps(epoch))
        epoch += 1


def alternate(actions: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 2):
        for name, action in actions.items():
            synchronise()
            begin = time.perf_counter()
            action()
            synchronise()
            if number >= 2:
                times[name].append(time.perf_counter() - begin)
    return times


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    from run import table

    print(table(rows()))
