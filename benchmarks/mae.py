"""A training step of the spectral masked autoencoder, 30 bands of 500×500 px, against the published form.

Tokens are 5 bands by 25×25 px: 2400 of them, 480 visible. "published" is the published computation written anew
(`tests/models/published_mae.py`): all tokens embedded by a 3-D convolution, a product each for queries, keys and
values, scores stored, all tokens predicted, its loss of two terms and its metric. "full" is ours of the same
dimensions with its default loss (squared error, angle, variance, range); "published loss" has the published two terms;
"cross" lets hidden tokens look at the visible ones only, which is another method (CrossMAE). All take a fused AdamW
step. Rows of one model alternate, in float32 on a CPU; on a GPU in bfloat16 and compiled, with decoder heads of 64, and
the batch stays resident.

"published, memory kept" is the published form in a process of its own whose C library does not give memory back to the
system after each step (glibc's mallopt, M_MMAP_THRESHOLD 1 GiB and M_TRIM_THRESHOLD none), and alternates with the
others. By default most of what the published form loses on a CPU are page faults of that memory: about 750,000 a step
for tiny and 1,600,000 for small at batch 1, 1.4 s and 2.8 s of system time. Ours gains nothing by it, within noise (933
and 2,002 ms instead of 870 and 1,883), so that against the published form with memory kept (1,117 and 2,153 ms instead
of 2,056 and 3,848) the ratio was only 1.2 and 1.1 (one run each). With memory kept, attention by materialised scores is
bound here by the same matrix products as the fused form, which saves memory but no arithmetic.

On a GPU there are further rows. "full, holes" is "full" with a tenth of the pixels missing in blobs, the same in all
bands. "resident" and "end to end" are of large and huge, in the session that `spectrain train mae` builds: a window of
steps on a batch that stays, and one with everything, from an empty loader on: cubes on disk (float32, in the page
cache) read by the real loader, the recipe's augmentation, the loop's own optimiser step. The windows alternate; within
one no step waits for the device.
**No GPU row has been measured yet.** `python benchmarks/mae.py --toy` runs the same code in seconds on any machine, on
images of 50×50 px, where its figures mean nothing.

GFLOP is counted by torch's own counter, forward and backward, and stands beside the floor of a dense decoder worked out
from the dimensions. "of peak" is that floor per second over what a large matrix product reaches on the same machine,
just before.

Goal: ≥ 2.5 × the published form on a CPU; ≥ 50 % of peak for large and huge on an H100, 40 % base, 30 % small, medium;
end to end ≥ 0.9 of resident for large and huge.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "models"))

SIZE, TOY_SIZE, BANDS, PATCH, GROUP = 500, 50, 30, 25, 5
VALUES = PATCH * PATCH * GROUP
MISSING = 0.1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
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
END_TO_END = ("mae_large", "mae_huge")
TOY = (("mae_tiny", (192, 12, 3, 96, 8, 3), 4.0, (1,), 2),)


@dataclass(frozen=True)
class Case:
    """One model at one batch size on square images: what every row of it shares."""

    name: str
    sizes: tuple[int, ...]
    ratio: float
    batch: int
    rounds: int
    device: torch.device
    size: int = SIZE

    @property
    def tokens(self) -> int:
        return (self.size // PATCH) ** 2 * (BANDS // GROUP)

    @property
    def visible(self) -> int:
        return self.tokens // 5


def rows(toy: bool = False) -> list[dict[str, object]]:
    """Return all rows of this machine; ``toy`` takes each kind of row, a GPU's too, at a size that says nothing."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device.type == "cuda"
    result: list[dict[str, object]] = []
    for name, sizes, ratio, batches, rounds in TOY if toy else ON_GPU if gpu else ON_CPU:
        for batch in batches:
            case = Case(name, sizes, ratio, batch, rounds, device, TOY_SIZE if toy else SIZE)
            result += of_case(case, holes=gpu or toy)
            if toy or (gpu and name in END_TO_END):
                result += end_to_end(case)
    return [{key: row.get(key, "") for key in dict.fromkeys(k for one in result for k in one)} for row in result]


def of_case(case: Case, *, holes: bool) -> list[dict[str, object]]:
    batch = case.batch
    result: list[dict[str, object]] = []
    with contextlib.ExitStack() as stack:
        peak = matmul_peak(case.device)
        steps = {"full": ours(case)}
        if holes:
            steps["full, holes"] = ours(case, holes=True)
        if case.device.type == "cpu":
            steps = {"published": published(case), **steps}
        if batch == 1:
            steps["published loss"] = ours(case, published_loss=True)
            steps["cross"] = ours(case, decoder="cross")
        counted = {row: flops(step) for row, step in steps.items()}
        if case.device.type == "cpu" and batch == 1 and sys.platform == "linux":
            steps["published, memory kept"] = stack.enter_context(memory_kept(case))
            counted["published, memory kept"] = counted["published"]
        times = alternate(steps, case.rounds)
        floor = floor_of(case) * batch
        for row, seconds in times.items():
            dense = row != "cross"
            faster = [a / b for a, b in zip(times["published"], seconds, strict=True)] if "published" in times else []
            result.append(
                {
                    "model": case.name,
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
    return result


def end_to_end(case: Case) -> list[dict[str, object]]:
    """Return a row of steps on a batch that stays, and one of the same session fed from the disk."""
    from spectrain.config import load_config
    from spectrain.core.random import Key
    from spectrain.training.session import build_session
    from spectrain.training.step import optimiser_step

    window = 2 * case.rounds
    with tempfile.TemporaryDirectory() as folder:
        overrides = [
            f"dataset.path={write_cubes(Path(folder), case, window)}",
            "dataset.train_key=all",
            "dataset.valid_key=null",
            f"model={case.name}",
            f"model.decoder_num_heads={case.sizes[5]}",
            f"hparams.batch_size={case.batch}",
            f"general.device={case.device.type}",
        ]
        session = build_session(load_config("mae", overrides=overrides, use_personal=False))
        first = next(session.train.loader.load(micro for step in session.train_order.steps(0) for micro in step))
        resident = session.prepare(first, session.train, Key(0, "augment"), augment=True)
        epochs = itertools.count()

        def bare() -> None:
            for _ in range(window):
                session.optimizer.zero_grad(set_to_none=True)
                with session.autocast():
                    step = session.task.loss(session.parallel.forward, resident)
                step.loss.mean.backward()
                session.optimizer.step()

        def whole() -> None:
            steps = itertools.islice(session.train_order.steps(epoch := next(epochs)), window)
            stream = session.train.loader.load(micro for step in steps for micro in step)
            for number in range(window):
                optimiser_step(session, stream, 1, epoch, number)

        times = alternate({"resident": bare, "end to end": whole}, 3)
        session.close()
    result = []
    for name, seconds in times.items():
        each = statistics.median(seconds) / window
        share = statistics.median(a / b for a, b in zip(times["resident"], seconds, strict=True))
        result.append(
            {
                "model": case.name,
                "batch": case.batch,
                "row": name,
                "median ms": each * 1e3,
                "samples/s": case.batch / each,
                "of resident": share,
            }
        )
    return result


def write_cubes(folder: Path, case: Case, steps: int) -> Path:
    """Write cubes enough for four steps, and a list that names each so often that an epoch has ``steps``."""
    import h5py
    import numpy as np

    rng = np.random.default_rng(0)
    lines = ["hs_file,participant"]
    for number in range(4 * case.batch):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file["cube"] = rng.random((BANDS, case.size, case.size), dtype=np.float32)
            file["wavelength_nm"] = np.array([band.wavelength for band in bands()], np.float32)
        lines.append(f"{number}.h5,{number // 2}")
    lines += lines[1:] * (-(-steps // 4) - 1)
    (folder / "cubes.csv").write_text("\n".join(lines) + "\n")
    return folder / "cubes.csv"


def bands():
    from spectrain.core.bands import Band, Bands

    return Bands(Band(f"{nm} nm", wavelength=float(nm)) for nm in [*range(450, 740, 10), 850])


def images(case: Case):
    drawn = torch.rand(case.batch, BANDS, case.size, case.size, generator=torch.Generator().manual_seed(0))
    return drawn.to(case.device)


def observed(case: Case):
    """Return where a batch was observed, bool [B,C,H,W] (a view): all but blobs of some tens of pixels."""
    coarse = torch.rand(case.batch, 1, *[max(2, case.size // 20)] * 2, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(coarse, (case.size, case.size), mode="bicubic").to(case.device)
    ordered = smooth.flatten(1).sort(1).values
    limit = ordered[:, int(MISSING * ordered.shape[1])]
    return (smooth >= limit.view(-1, 1, 1, 1)).expand(-1, BANDS, -1, -1)


def ours(case: Case, *, decoder="full", published_loss=False, holes=False) -> Callable[[], None]:
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
    net = MAESpectral(Dimensions(*case.sizes, mlp_ratio=case.ratio), decoder=decoder)
    device = case.device
    model = AnyBands(net, bands(), figures, "none").to(device).train()
    loss = MAESpectralLoss(1, 0, 0, 0, 1, spectral_sum_normalised=False) if published_loss else MAESpectralLoss()
    task = MaskedAutoencoding(loss)
    if device.type == "cuda":
        model.compile()
        task.compile()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    image, index = images(case), torch.arange(case.batch, device=device)
    valid = observed(case) if holes else everywhere(image.shape, device)
    epoch = 0

    def step() -> None:
        nonlocal epoch
        epoch += 1
        optimizer.zero_grad(set_to_none=True)
        seen = Batch(image, valid, NoTarget(), index, not holes, key=Key(0, "augment", epoch))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            found = task.loss(model, seen)
        found.loss.mean.backward()
        optimizer.step()

    return step


def published(case: Case) -> Callable[[], None]:
    from published_mae import PublishedMae

    torch.manual_seed(0)
    model = PublishedMae(case.size, BANDS, PATCH, GROUP, *case.sizes, ratio=case.ratio)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    image = images(case)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        prediction, mask = model(image, torch.rand(case.batch, case.tokens), case.visible)
        loss = model.loss(image, prediction, mask)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            ((model.unpatchify(prediction) - image) ** 2).mean().item()

    return step


@contextlib.contextmanager
def memory_kept(case: Case) -> Iterator[Callable[[], None]]:
    """Give the step of the published form in a process of its own, since mallopt cannot be undone."""
    told = json.dumps([case.name, case.sizes, case.ratio, case.batch, case.size])
    command = [sys.executable, str(Path(__file__).resolve()), "--memory-kept", told]
    env = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def step() -> None:
        child.stdin.write("step\n")
        child.stdin.flush()
        if child.stdout.readline() != "done\n":
            raise RuntimeError(f"the process with memory kept ended with {child.wait()}")

    try:
        yield step
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()


def steps_with_memory_kept(told: str) -> None:
    """Be that process: a step for each line that comes."""
    library = ctypes.CDLL(None)
    if not (library.mallopt(M_MMAP_THRESHOLD, 1 << 30) and library.mallopt(M_TRIM_THRESHOLD, -1)):
        raise RuntimeError("the C library does not take these thresholds")
    name, sizes, ratio, batch, size = json.loads(told)
    step = published(Case(name, tuple(sizes), ratio, batch, 0, torch.device("cpu"), size))
    for _ in sys.stdin:
        step()
        print("done", flush=True)


def floor_of(case: Case) -> float:
    """Operations a sample of forward and backward with a dense decoder: embedding of visible tokens, head of hidden."""
    dim, depth, _, decoder_dim, decoder_depth, _ = case.sizes
    tokens, visible = case.tokens, case.visible

    def blocks(tokens: int, width: int, count: int) -> float:
        return count * 2 * (tokens * (4 + 2 * case.ratio) * width**2 + 2 * tokens**2 * width)

    embed = 2 * visible * VALUES * dim
    forward = embed + blocks(visible, dim, depth) + 2 * visible * dim * decoder_dim
    forward += blocks(tokens, decoder_dim, decoder_depth) + 2 * (tokens - visible) * decoder_dim * VALUES
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
    if sys.argv[1:2] == ["--memory-kept"]:
        steps_with_memory_kept(sys.argv[2])
    else:
        from run import table

        print(table(rows(toy=sys.argv[1:] == ["--toy"])))
