"""A training step of the spectral masked autoencoder, 30 bands of 500×500 px, against the published form.

Tokens are 5 bands by 25×25 px: 2400 of them, 480 visible. "published" is the published computation written anew
(`tests/models/published_mae.py`): all tokens embedded by a 3-D convolution, a product each for queries, keys and
values, scores stored, all tokens predicted, its loss of two terms and its metric. "full" is ours of the same
dimensions with its default loss (squared error, angle, variance, range); "published loss" has the published two terms;
"cross" lets hidden tokens look at the visible ones only, which is another method (CrossMAE). All take a fused AdamW
step. Rows of one model alternate, in float32 on a CPU; on a GPU in bfloat16 and compiled, with decoder heads of 64, and
the batch stays resident.

GFLOP is counted by torch's own counter, forward and backward, and stands beside the floor of a dense decoder worked out
from the dimensions. "of peak" is that floor per second over what a large matrix product reaches on the same machine,
just before.

Goal: ≥ 2.5 × the published form on a CPU; ≥ 50 % of peak for large and huge on an H100, 40 % base, 30 % small, medium.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "models"))

SIZE, BANDS, PATCH, GROUP, VISIBLE, TOKENS = 500, 30, 25, 5, 480, 2400
VALUES = PATCH * PATCH * GROUP
# name, (dim, depth, heads, decoder dim, depth, heads), MLP ratio, batches, rounds
ON_CPU = (
    ("mae_tiny", (192, 12, 3, 96, 8, 3), 4.0, (1, 2, 4), 5),
    ("mae_small", (384, 12, 6, 192, 8, 6), 4.0, (1, 2), 4),
    ("mae_tiny_published", (128, 4, 4, 64, 2, 2), 2.0, (1,), 9),
    ("mae_small_published", (256, 8, 8, 128, 4, 4), 2.0, (1,), 7),
)
ON_GPU = (
    ("mae_tiny", (192, 12, 3, 96, 8, 3), 4.0, (32,), 20),
    ("mae_small", (384, 12, 6, 192, 8, 3), 4.0, (32,), 20),
    ("mae_base", (768, 12, 12, 384, 8, 6), 4.0, (32,), 20),
    ("mae_medium", (512, 16, 16, 256, 8, 4), 4.0, (32,), 20),
    ("mae_large", (1024, 24, 16, 512, 8, 8), 4.0, (16,), 10),
    ("mae_huge", (1280, 32, 16, 640, 8, 10), 4.0, (8,), 10),
)


def rows() -> list[dict[str, object]]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [row for case in (ON_GPU if device.type == "cuda" else ON_CPU) for row in of_model(*case, device=device)]


def of_model(
    name: str, sizes: tuple[int, ...], ratio: float, batches: tuple[int, ...], rounds: int, device: torch.device
) -> list[dict[str, object]]:
    result: list[dict[str, object]] = []
    for batch in batches:
        peak = matmul_peak(device)
        steps = {"full": ours(sizes, ratio, batch, device, decoder="full")}
        if device.type == "cpu":
            steps = {"published": published(sizes, ratio, batch), **steps}
        if batch == 1:
            steps["published loss"] = ours(sizes, ratio, batch, device, decoder="full", published_loss=True)
            steps["cross"] = ours(sizes, ratio, batch, device, decoder="cross")
        counted = {row: flops(step) for row, step in steps.items()}
        times = alternate(steps, rounds)
        floor = floor_of(sizes, ratio) * batch
        for row, seconds in times.items():
            dense = row != "cross"
            faster = [a / b for a, b in zip(times["published"], seconds, strict=True)] if "published" in times else []
            result.append(
                {
                    "model": name,
                    "batch": batch,
                    "row": row,
                    "median ms": statistics.median(seconds) * 1e3,
                    "samples/s": batch / statistics.median(seconds),
                    "× published": statistics.median(faster) if faster else "",
                    "GFLOP counted": counted[row] / 1e9,
                    "GFLOP floor": floor / 1e9 if dense else "",
                    "of peak": floor / statistics.median(seconds) / peak if dense else "",
                }
            )
        del steps
    return result


def bands():
    from spectrain.core.bands import Band, Bands

    return Bands(Band(f"{nm} nm", wavelength=float(nm)) for nm in [*range(450, 740, 10), 850])


def images(batch: int, device: torch.device):
    return torch.rand(batch, BANDS, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).to(device)


def ours(sizes, ratio, batch, device, *, decoder, published_loss=False) -> Callable[[], None]:
    from spectrain.core.batch import Batch, everywhere
    from spectrain.core.random import Key
    from spectrain.core.targets import NoTarget
    from spectrain.losses.mae_spectral import MAESpectralLoss
    from spectrain.models.any_bands import AnyBands
    from spectrain.models.mae_layers import Dimensions
    from spectrain.models.mae_spectral import MAESpectral
    from spectrain.tasks.mae import MaskedAutoencoding

    torch.manual_seed(0)
    figures = SimpleNamespace(mean=[0.5] * BANDS, std=[0.3] * BANDS, minimum=[0.0] * BANDS, maximum=[1.0] * BANDS)
    model = AnyBands(MAESpectral(Dimensions(*sizes, mlp_ratio=ratio), decoder=decoder), bands(), figures, "none")
    model = model.to(device).train()
    loss = MAESpectralLoss(1, 0, 0, 0, 1, spectral_sum_normalised=False) if published_loss else MAESpectralLoss()
    task = MaskedAutoencoding(loss)
    if device.type == "cuda":
        model.compile()
        task.compile()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    image, index = images(batch, device), torch.arange(batch, device=device)
    epoch = 0

    def step() -> None:
        nonlocal epoch
        epoch += 1
        optimizer.zero_grad(set_to_none=True)
        seen = Batch(image, everywhere(image.shape, device), NoTarget(), index, True, key=Key(0, "augment", epoch))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            found = task.loss(model, seen)
        found.loss.mean.backward()
        optimizer.step()

    return step


def published(sizes, ratio, batch) -> Callable[[], None]:
    from published_mae import PublishedMae

    torch.manual_seed(0)
    model = PublishedMae(SIZE, BANDS, PATCH, GROUP, *sizes, ratio=ratio)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    image = images(batch, torch.device("cpu"))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        prediction, mask = model(image, torch.rand(batch, TOKENS), VISIBLE)
        loss = model.loss(image, prediction, mask)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            ((model.unpatchify(prediction) - image) ** 2).mean().item()

    return step


def floor_of(sizes: tuple[int, ...], ratio: float) -> float:
    """Operations a sample of forward and backward with a dense decoder: embedding of visible tokens, head of hidden."""
    dim, depth, _, decoder_dim, decoder_depth, _ = sizes

    def blocks(tokens: int, width: int, count: int) -> float:
        return count * 2 * (tokens * (4 + 2 * ratio) * width**2 + 2 * tokens**2 * width)

    embed = 2 * VISIBLE * VALUES * dim
    forward = embed + blocks(VISIBLE, dim, depth) + 2 * VISIBLE * dim * decoder_dim
    forward += blocks(TOKENS, decoder_dim, decoder_depth) + 2 * (TOKENS - VISIBLE) * decoder_dim * VALUES
    return 3 * forward - embed  # images need no gradient


def flops(step: Callable[[], None]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def matmul_peak(device: torch.device) -> float:
    """Return the operations a second of a large matrix product."""
    side, kind = (8192, torch.bfloat16) if device.type == "cuda" else (2048, torch.float32)
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    seconds = []
    for _ in range(12):
        begin = synchronised()
        one @ other
        seconds.append(synchronised() - begin)
    return 2 * side**3 / statistics.median(seconds[2:])


def alternate(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            begin = synchronised()
            step()
            if number:
                times[name].append(synchronised() - begin)
    return times


def synchronised() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    from run import table

    print(table(rows()))
