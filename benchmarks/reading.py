"""Reading batches in random order, warm: each layout against one memory-mapped array with the same bytes.

Run ``python benchmarks/reading.py``. Each layout is read with the same random batches, alternating with the reference
batch list by batch list, and each ratio is the median of the ratios of neighbours in time, so that a machine that is
busy now and then slows both. Gzip is compared with zlib alone, unpacking the same chunks on as many threads.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import h5py
import numpy as np
from numpy.typing import NDArray

from spectrain.data.native_convert import write_native
from spectrain.data.opening import open_patches
from spectrain.data.patches import Patches
from spectrain.data.unpacking import cache, threads

SHAPES: tuple[tuple[tuple[int, int, int], str], ...] = (((1, 64, 64), "float32"), ((12, 128, 128), "uint16"))
TOTAL_BYTES = 384 * 2**20
PACKED_BYTES = 48 * 2**20
BATCH = 64
READ_BYTES = 192 * 2**20
"""Bytes read in one timed pass."""
REPEATS = 15

Batches = list[NDArray[np.int64]]


def rows() -> list[dict[str, str | float]]:
    """Return one row a layout and shape: samples/s, those of the reference, and the median ratio."""
    found: list[dict[str, str | float]] = []
    with tempfile.TemporaryDirectory(prefix="reading-") as folder:
        for shape, dtype in SHAPES:
            found += _uncompressed(Path(folder), shape, dtype)
            found += _packed(Path(folder), shape, dtype)
    return found


def _images(count: int, shape: tuple[int, int, int], dtype: str) -> NDArray[np.generic]:
    """Return smooth fields with a little noise, so that gzip has something to do as in real images."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[: shape[1], : shape[2]] / shape[1]
    phase = random.random((count, shape[0], 2, 1, 1), dtype=np.float32) * 6
    field = np.sin(phase[:, :, 0] + 3 * x.astype(np.float32)) + np.cos(phase[:, :, 1] + 2 * y.astype(np.float32))
    noisy = 3000 + 1000 * field + random.normal(0, 20, size=(1, *shape)).astype(np.float32)
    return noisy.round().astype(dtype) if dtype == "uint16" else (noisy / 100).round(2).astype(dtype)


def _uncompressed(folder: Path, shape: tuple[int, int, int], dtype: str) -> Iterator[dict[str, str | float]]:
    """Yield rows for the layouts that are mapped."""
    row_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    count = TOTAL_BYTES // row_bytes
    images = _images(count, shape, dtype)
    name = f"{shape[0]}x{shape[1]}x{shape[2]} {dtype}"
    file = folder / "plain.npy"
    np.save(file, images)
    per_chunk = max(1, 2**20 // row_bytes)
    with h5py.File(folder / "contiguous.h5", "w") as h5:
        h5["train"] = images
    with h5py.File(folder / "chunked.h5", "w") as h5:
        h5.create_dataset("train", data=images, chunks=(per_chunk, *shape))
    with h5py.File(folder / "one_a_chunk.h5", "w") as h5:
        h5.create_dataset("train", data=images, chunks=(1, *shape))
    native = write_native({"train": open_patches(folder / "contiguous.h5", "train")}, folder / f"{dtype}.zarr")
    layouts = {
        "native Zarr": open_patches(native, "train"),
        "HDF5 contiguous": open_patches(folder / "contiguous.h5", "train"),
        f"HDF5 chunks of {per_chunk}": open_patches(folder / "chunked.h5", "train"),
        "HDF5 chunks of 1": open_patches(folder / "one_a_chunk.h5", "train"),
    }
    del images
    mapped = np.load(file, mmap_mode="r")
    batches = _batches(count, max(3, READ_BYTES // (row_bytes * BATCH)))
    samples = BATCH * len(batches)
    for layout, patches in layouts.items():
        for batch in batches[:2]:
            assert patches.read(batch).image.tobytes() == mapped[batch].tobytes()
        yield _row(
            name, layout, samples, lambda patches=patches: _read(patches, batches), lambda: _take(mapped, batches)
        )


def _packed(folder: Path, shape: tuple[int, int, int], dtype: str) -> Iterator[dict[str, str | float]]:
    """Yield the row for gzip: every chunk once, against zlib unpacking the same chunks."""
    row_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    count = PACKED_BYTES // row_bytes
    per_chunk = max(1, 2**20 // row_bytes)
    images = _images(count, shape, dtype)
    path = folder / f"packed_{dtype}.h5"
    with h5py.File(path, "w") as h5:
        h5.create_dataset("train", data=images, chunks=(per_chunk, *shape), compression="gzip", shuffle=True)
        chunks = [h5["train"].id.read_direct_chunk((at, 0, 0, 0))[1] for at in range(0, count, per_chunk)]
    patches = open_patches(path, "train")
    batches = [np.arange(at, min(at + BATCH, count)) for at in range(0, count, BATCH)]
    chunk_bytes = per_chunk * row_bytes

    def by_zlib() -> None:
        with ThreadPoolExecutor(threads()) as pool:
            for _ in pool.map(lambda chunk: zlib.decompress(chunk, bufsize=chunk_bytes), chunks):
                pass

    def by_reader() -> None:
        cache.forget()
        _read(patches, batches)

    name = f"{shape[0]}x{shape[1]}x{shape[2]} {dtype}"
    layout = f"HDF5 gzip+shuffle, chunks of {per_chunk}, in order (against zlib on {threads()} threads)"
    yield _row(name, layout, count, by_reader, by_zlib)


def _batches(count: int, number: int) -> Batches:
    random = np.random.default_rng(1)
    return [random.integers(0, count, BATCH) for _ in range(number)]


def _read(patches: Patches, batches: Batches) -> None:
    for batch in batches:
        patches.read(batch)


def _take(mapped: NDArray[np.generic], batches: Batches) -> None:
    for batch in batches:
        mapped[batch]


def _row(
    shape: str, layout: str, samples: int, ours: Callable[[], None], reference: Callable[[], None]
) -> dict[str, str | float]:
    """Time both, turn and turn about, after one pass each to warm up."""
    ours(), reference()
    times: list[tuple[float, float]] = []
    for number in range(REPEATS):
        first, second = (ours, reference) if number % 2 else (reference, ours)
        start = time.perf_counter()
        first()
        middle = time.perf_counter()
        second()
        pair = (middle - start, time.perf_counter() - middle)
        times.append(pair if number % 2 else pair[::-1])
    return {
        "shape": shape,
        "layout": layout,
        "samples_per_s": round(samples / median(mine for mine, _ in times)),
        "reference_per_s": round(samples / median(theirs for _, theirs in times)),
        "ratio": round(median(theirs / mine for mine, theirs in times), 2),
    }


def table(found: list[dict[str, str | float]]) -> str:
    """Return the rows as a Markdown table."""
    keys = list(found[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    lines += [
        "| " + " | ".join(f"{row[key]:,}" if isinstance(row[key], int) else str(row[key]) for key in keys) + " |"
        for row in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, numpy {np.__version__}, batches of {BATCH}\n")
    print(table(rows()))
