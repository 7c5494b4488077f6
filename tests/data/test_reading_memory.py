"""Private memory of reading does not grow with the data: 10 GB in sparse files, which take no room on the disk."""

from __future__ import annotations

import os
import subprocess
import sys

import google_crc32c
import h5py
import numpy as np
import pytest

from spectrain.core.bands import Bands
from spectrain.data.native.format import Manifest, StoredFile, StoredShape

SHAPE = (12, 64, 64)
ROW_BYTES = 2 * 12 * 64 * 64
COUNT = 10**10 // ROW_BYTES
GROWTH_MB = 48
"""A batch is 6 MB; the rest is the interpreter's."""

READ = """
import sys
import numpy as np
from spectrain.data.opening import open_patches

def private_mb():
    # what only this process holds and the system cannot take back; pages of a mapped file are neither
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Anonymous")) / 1000

patches = open_patches(sys.argv[1], sys.argv[2])
step = int(sys.argv[3])
random = np.random.default_rng(0)
patches.read(random.integers(0, len(patches), 64))
before = most = private_mb()
read = 0
for start in range(0, len(patches) - 64, 64 * step):
    index = np.arange(start, start + 64) if step == 1 else random.integers(0, len(patches), 64)
    read += patches.read(index).image.nbytes
    if start % (64 * 16 * step) == 0:
        most = max(most, private_mb())
print(read, most - before)
"""


def sparse_hdf5(folder):
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.CONTIGUOUS)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(file.id, b"all", h5py.h5t.STD_U16LE, h5py.h5s.create_simple((COUNT, *SHAPE)), plan)
    return path


def sparse_native(folder):
    """Return a folder in the native form whose shards are one sparse file under many names."""
    rows = 96 * 2**20 // ROW_BYTES
    index = np.stack([np.arange(rows) * ROW_BYTES, np.full(rows, ROW_BYTES)], 1).astype("<u8").tobytes()
    path = folder / "a.zarr"
    (path / "x").mkdir(parents=True)
    shard = path / "x" / "c.0.0.0.0"
    with shard.open("wb") as file:
        file.truncate(rows * ROW_BYTES)
        file.seek(0, 2)
        file.write(index + google_crc32c.value(index).to_bytes(4, "little"))
    names = [f"x/c.{number}.0.0.0" for number in range(-(-COUNT // rows))]
    for name in names[1:]:
        os.link(shard, path / name)
    files = {name: StoredFile(shard.stat().st_size, 0) for name in names}
    manifest = Manifest(Bands.unnamed(12), {"x": StoredShape((COUNT, *SHAPE), "uint16", rows)}, files)
    (path / "manifest.json").write_text(manifest.to_text())
    (path / "zarr.json").write_text("{}")
    return path


@pytest.mark.parametrize("make", [sparse_hdf5, sparse_native])
@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.slow, id="all of it"), pytest.param(20, id="a part")]
)
def test_private_memory_is_flat(tmp_path, make, step):
    path = make(tmp_path)
    assert sum(file.stat().st_blocks for file in path.parent.rglob("*")) * 512 < 20 * 2**20
    output = subprocess.run(
        [sys.executable, "-c", READ, str(path), "all", str(step)], capture_output=True, text=True, check=True
    ).stdout
    read, growth = output.split()
    assert int(read) > 0.95e10 / step
    assert float(growth) < GROWTH_MB
