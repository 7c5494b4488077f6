"""A training step of the contrastive task against its bare arithmetic.

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

import torch

# backbone, stem, images in a batch, rounds
CASES = (("resnet18", "large", 32, 15), ("resnet50", "large", 32, 15), ("resnet18", "small", 8, 5))


def rows() -> list[dict[str, object]]:
    import spectrain.demos
    from spectrain.config import load_config
    from spectrain.core.random import Key
    from spectrain.training.session import build_session
    from spectrain.training.step import optimiser_step

    folder = Path(spectrain.demos.__file__).parent
    result: list[dict[str, object]] = []
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for backbone, stem, size, rounds in CASES:
        overrides = [
            f"dataset.path={folder / 'ocean_sst.h5'}",
            f"model.stem={stem}",
            f"model.backbone={backbone}",
            f"hparams.batch_size={size}",
            f"general.device={device}",
        ]
        with tempfile.TemporaryDirectory():
            session = build_session(load_config("contrastive", overrides=overrides, use_personal=False))
        order, task, model, optimizer = session.train_order, session.task, session.parallel.forward, session.optimizer
        raws = list(session.train.loader.load(step[0] for step in order.steps(0)))
        key = Key(0, "augment")
        resident = session.prepare(raws[0], session.train, key, augment=True)

        def bare(model=model, task=task, optimizer=optimizer, resident=resident, session=session) -> None:
            optimizer.zero_grad(set_to_none=True)
            with session.autocast():
                step = task.loss(model, resident)
            step.loss.mean.backward()
            optimizer.step()

        def loop(session=session, resident=resident, raws=raws) -> None:
            real, session.prepare = session.prepare, lambda *_, **__: resident  # type: ignore[method-assign]
            try:
                optimiser_step(session, iter(raws), 1, 0, 0)
            finally:
                session.prepare = real  # type: ignore[method-assign]

        def augment(session=session, raws=raws, key=key) -> None:
            session.prepare(raws[1], session.train, key, augment=True)

        stream = endless(session)

        def with_data(session=session, stream=stream) -> None:
            optimiser_step(session, stream, 1, 0, 0)

        times = alternate({"bare": bare, "loop": loop, "augmentation": augment, "loop with data": with_data}, rounds)
        session.close()
        base = times["bare"]
        result += [
            {
                "model": f"{backbone}, {stem} stem, {size} × 2 views of 64×64×1",
                "row": name,
                "median ms": statistics.median(values) * 1e3,
                "images/s": size / statistics.median(values),
                "ratio to bare": statistics.median(a / b for a, b in zip(values, base, strict=True)),
            }
            for name, values in times.items()
        ]
    return result


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
