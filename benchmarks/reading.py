"""Reading batches of 64 in random order: each layout against one memory-mapped array with the same bytes.

    python benchmarks/reading.py

The reference is ``array[index]`` of a mapped .npy file and the same indices. Every file was read through once before,
so that the system holds all of them alike (what was written in small pieces is held in small pieces, which is slower to
read until it is fetched anew). Gzip is compared with zlib alone unpacking, on as many threads, the chunks that each
batch needs, each batch with nothing kept from the one before. Passes alternate, and a ratio is the median of the ratios
of neighbours in time, so that a machine that is busy now and then slows both.

Goal: at least 0.8 of the reference.
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

from spectrain.data.native.convert import write_native
from spectrain.data.opening import open_patches
from spectrain.data.patches import Patches
from spectrain.data.stored.unpacking import cache, threads

Shape = tuple[int, int, int]
SHAPES: tuple[tuple[Shape, str], ...] = (((1, 64, 64), "float32"), ((12, 128, 128), "uint16"))
MAPPED_BYTES = 384 * 2**20
PACKED_BYTES = 96 * 2**20
CHUNK_BYTES = 2**20
BATCH = 64
PASS_BYTES = 192 * 2**20
"""Bytes read in one timed pass of what is not compressed."""

Batches = list[NDArray[np.int64]]
Row = dict[str, object]
Pass = Callable[[], None]


def rows() -> list[Row]:
    """Return one row a layout and shape: samples/s, those of the reference, and the median ratio."""
    found: list[Row] = []
    for shape, dtype in SHAPES:
        with tempfile.TemporaryDirectory(prefix="reading-") as folder:
            found += _uncompressed(Path(folder), shape, dtype)
        with tempfile.TemporaryDirectory(prefix="reading-") as folder:
            found += _packed(Path(folder), shape, dtype)
    return found


def _images(total: int, shape: Shape, dtype: str) -> NDArray[np.generic]:
    """Return so many bytes of smooth fields with a little noise, so that gzip has to work as for real images."""
    count = total // _row_bytes(shape, dtype)
    random = np.random.default_rng(0)
    y, x = (np.mgrid[: shape[1], : shape[2]] / shape[1]).astype(np.float32)
    phase = random.random((count, shape[0], 2, 1, 1), dtype=np.float32) * 6
    field = np.sin(phase[:, :, 0] + 3 * x) + np.cos(phase[:, :, 1] + 2 * y)
    noisy = 3000 + 1000 * field + random.normal(0, 20, size=(1, *shape)).astype(np.float32)
    return noisy.round().astype(dtype) if dtype == "uint16" else (noisy / 100).round(2).astype(dtype)


def _uncompressed(folder: Path, shape: Shape, dtype: str) -> Iterator[Row]:
    """Yield rows for the layouts that are mapped."""
    images = _images(MAPPED_BYTES, shape, dtype)
    plain = folder / "plain.npy"
    np.save(plain, images)
    many = max(2, CHUNK_BYTES // _row_bytes(shape, dtype))
    paths = {
        "HDF5 contiguous": folder / "contiguous.h5",
        f"HDF5 chunks of {many}": folder / "chunked.h5",
        "HDF5 chunks of 1": folder / "one_a_chunk.h5",
    }
    for path, chunk in zip(paths.values(), (None, many, 1), strict=True):
        with h5py.File(path, "w") as file:
            file.create_dataset("train", data=images, chunks=chunk and (chunk, *shape))
    count = len(images)
    del images
    native = write_native({"train": open_patches(folder / "contiguous.h5")}, folder / "a.zarr")
    paths = {"native Zarr": native, **paths}
    batches = _batches(count, max(3, PASS_BYTES // (_row_bytes(shape, dtype) * BATCH)))
    for path in (plain, *paths.values()):
        _read_through(path)
    for layout, path in paths.items():
        yield _mapped(shape, dtype, layout, open_patches(path), plain, batches)


def _mapped(shape: Shape, dtype: str, layout: str, patches: Patches, plain: Path, batches: Batches) -> Row:
    mapped = np.load(plain, mmap_mode="r")
    if not np.array_equal(patches.read(batches[0]).image, mapped[batches[0]]):
        raise RuntimeError(f"{layout} reads something else than was written")
    ours, reference = (lambda: _read(patches, batches)), (lambda: _take(mapped, batches))
    return _row(shape, dtype, layout, BATCH * len(batches), ours, reference, repeats=15)


def _packed(folder: Path, shape: Shape, dtype: str) -> Iterator[Row]:
    """Yield rows for gzip, with many patches a chunk and with one."""
    images = _images(PACKED_BYTES, shape, dtype)
    row_bytes = _row_bytes(shape, dtype)
    for chunk in (max(2, CHUNK_BYTES // row_bytes), 1):
        path = folder / f"{chunk}.h5"
        with h5py.File(path, "w") as file:
            data = file.create_dataset("train", data=images, chunks=(chunk, *shape), compression="gzip", shuffle=True)
            packed = [data.id.read_direct_chunk((at, 0, 0, 0))[1] for at in range(0, len(images), chunk)]
        patches = open_patches(path)
        batches = _batches(len(images), 6)
        needed = [[packed[number] for number in np.unique(batch // chunk)] for batch in batches]
        pool = ThreadPoolExecutor(threads())

        def by_zlib(needed=needed, length=chunk * row_bytes, pool=pool) -> None:
            for chunks in needed:
                for _ in pool.map(lambda one: zlib.decompress(one, bufsize=length), chunks):
                    pass

        def by_reader(patches=patches, batches=batches) -> None:
            for batch in batches:
                cache.forget()
                patches.read(batch)

        layout = f"HDF5 gzip, shuffle, chunks of {chunk} (reference: zlib × {threads()} threads)"
        yield _row(shape, dtype, layout, BATCH * len(batches), by_reader, by_zlib, repeats=7)
        pool.shutdown()


def _row_bytes(shape: Shape, dtype: str) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


def _batches(count: int, number: int) -> Batches:
    random = np.random.default_rng(1)
    return [random.integers(0, count, BATCH) for _ in range(number)]


def _read(patches: Patches, batches: Batches) -> None:
    for batch in batches:
        patches.read(batch)


def _take(mapped: NDArray[np.generic], batches: Batches) -> None:
    for batch in batches:
        mapped[batch]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]


def _read_through(path: Path) -> None:
    """Make the system hold a file in the pieces in which it reads, and not in those in which it was written."""
    for one in _files(path):
        with one.open("rb", buffering=0) as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(2**22):
                pass


def _row(shape: Shape, dtype: str, layout: str, samples: int, ours: Pass, reference: Pass, repeats: int) -> Row:
    """Time both, turn and turn about, after one pass of each."""
    ours()
    reference()
    times: list[tuple[float, float]] = []
    for number in range(repeats):
        first, second = (ours, reference) if number % 2 else (reference, ours)
        start = time.perf_counter()
        first()
        middle = time.perf_counter()
        second()
        pair = (middle - start, time.perf_counter() - middle)
        times.append(pair if number % 2 else pair[::-1])
    return {
        "image": f"{shape[0]}×{shape[1]}×{shape[2]} {dtype}",
        "layout": layout,
        "samples/s": round(samples / median(mine for mine, _ in times)),
        "reference samples/s": round(samples / median(theirs for _, theirs in times)),
        "ratio": round(median(theirs / mine for mine, theirs in times), 2),
    }


def table(found: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| " + " | ".join(found[0]) + " |", "|" + "---|" * len(found[0])]
    lines += ["| " + " | ".join(map(str, row.values())) + " |" for row in found]
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, numpy {np.__version__}\n")
    print(table(rows()))
