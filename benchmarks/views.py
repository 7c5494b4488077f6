"""Views of images a second: the published per-sample chain against the batched warp, side by side on one thread.

The chain is written from the description of the published system: flip, rotate, crop with jitter, resize, noise,
remove the mean, on one image of 64 x 64 px after another, by scikit-image. It knows no missing values; "with validity"
it takes the image (0 in its holes) and its validity through rotate and resize, and divides. Both make two views of each
image; a ratio is the median of the ratios of neighbours in time. Goals: 15 times at the published defaults, 9 times
with validity and noise.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.transform import resize, rotate

from spectrain.augment.warp_augmentation import WarpAugmentation
from spectrain.core.bands import Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.random import Key
from spectrain.core.targets import NoTarget

SIZE, CROP, JITTER = 64, 40, 5
ROUNDS = 15
PUBLISHED = WarpAugmentation.Config(crop=CROP, jitter=JITTER, demean="image", corners="zero", published=True)
HOLES = replace(PUBLISHED, corners="reflect", published=False, noise=0.1)

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One row: what is compared, on how many images a round (ours, theirs)."""

    name: str
    config: WarpAugmentation.Config
    bands: int
    missing: float
    goal: str
    ours: int
    theirs: int
    keep_validity: bool = False


CASES = (
    Case("published defaults", PUBLISHED, 1, 0.0, "15", 512, 24),
    Case("validity (30 % missing) and noise; chain with noise", HOLES, 1, 0.3, "9", 256, 24),
    Case("validity (30 % missing) and noise; chain with validity and noise", HOLES, 1, 0.3, "9", 256, 16, True),
    Case("published defaults", PUBLISHED, 12, 0.0, "", 64, 4),
    Case("validity (30 % missing) and noise; chain with noise", HOLES, 12, 0.3, "", 32, 4),
    Case("published defaults", PUBLISHED, 200, 0.0, "", 8, 1),
)


def rows() -> list[dict[str, str]]:
    """Return one row a case: views a second of both, and how many times faster ours are."""
    torch.set_num_threads(1)
    # as in a training, which has freed large tensors: from then on the C library keeps memory instead of returning it
    torch.ones(30 << 20, dtype=torch.uint8)
    return [measured(case) for case in CASES]


def measured(case: Case) -> dict[str, str]:
    batch = batch_of(case)
    augmentation = WarpAugmentation.from_config(case.config, bands=Bands.unnamed(case.bands))
    images = batch.image[: case.theirs].permute(0, 2, 3, 1).contiguous().numpy()
    valid = batch.valid[: case.theirs].permute(0, 2, 3, 1).numpy() if case.keep_validity else None
    sigma = float(case.config.noise) if not isinstance(case.config.noise, list) else 0.0
    generator = np.random.default_rng(0)

    def ours(epoch: int) -> None:
        for view in (0, 1):
            augmentation(batch, Key(0, "augment", epoch, view))

    def theirs(epoch: int) -> None:
        for row, image in enumerate(images):
            for _ in range(2):
                chain(image, None if valid is None else valid[row], generator, sigma)

    pairs = alternated(ours, theirs)
    rates = [(2 * case.ours / mine, 2 * case.theirs / other) for mine, other in pairs]
    return {
        "case": case.name,
        "bands": str(case.bands),
        "chain, views/s": f"{statistics.median(other for _, other in rates):,.0f}",
        "warp, views/s": f"{statistics.median(mine for mine, _ in rates):,.0f}",
        "ratio": f"{statistics.median(mine / other for mine, other in rates):.1f}",
        "goal": case.goal,
    }


def alternated(ours: Callable[[int], None], theirs: Callable[[int], None]) -> list[tuple[float, float]]:
    """Return the seconds of each in every round, after one round for warming up."""
    pairs = []
    for turn in range(ROUNDS + 1):
        start = time.perf_counter()
        ours(turn)
        middle = time.perf_counter()
        theirs(turn)
        pairs.append((middle - start, time.perf_counter() - middle))
    return pairs[1:]


def batch_of(case: Case) -> Batch:
    """Return images with a share of their pixels missing, in all bands together."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((case.ours, case.bands, SIZE, SIZE), generator=generator)
    valid = everywhere(image.shape, image.device)
    if case.missing:
        valid = (torch.rand((case.ours, 1, SIZE, SIZE), generator=generator) >= case.missing).expand_as(image)
    return Batch(image, valid, NoTarget(), torch.arange(case.ours), all_valid=not case.missing)


def chain(image: Image, valid: NDArray[np.bool_] | None, generator: np.random.Generator, noise: float) -> Image:
    """Return one view of [H,W,C] by the published chain at its defaults; with ``valid``, holes are left out."""
    flips, angle = generator.integers(0, 2, 2), np.float32(generator.uniform(0, 360))
    centre = [size // 2 + int(generator.integers(-JITTER, JITTER + 1)) for size in image.shape[:2]]

    def moved(values: Image) -> Image:
        values = values[:, ::-1] if flips[0] else values
        values = values[::-1] if flips[1] else values
        values = rotate(values, angle).astype(np.float32)
        (top, left), (bottom, right) = ([max(c - CROP // 2, 0) for c in centre], [c + CROP // 2 for c in centre])
        return resize(values[top:bottom, left:right], values.shape).astype(np.float32)

    if valid is None:
        view = moved(image)
        if noise:
            view += generator.normal(0.0, noise, view.shape).astype(np.float32)
        view -= view.mean()
        return view
    weight = moved(valid.astype(np.float32))
    kept = weight >= 0.5
    view = moved(np.where(valid, image, np.float32(0))) / np.maximum(weight, 0.5)
    view += generator.normal(0.0, noise, view.shape).astype(np.float32)
    view = np.where(kept, view - view[kept].mean(), np.float32(0))
    return view


def main() -> None:
    """Print the table as Markdown."""
    table = rows()
    print("| " + " | ".join(table[0]) + " |")
    print("|" + " --- |" * len(table[0]))
    for row in table:
        print("| " + " | ".join(row.values()) + " |")


if __name__ == "__main__":
    main()
