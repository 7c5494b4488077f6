"""Private memory of reading, against the size of the data (sparse files: they take no disk).

A process opens the data, reads batches of 64 at random positions through the loader, and reports the growth of its
private memory (what is not shared with the page cache) over the time before the data were opened.

Goal: flat; at most 1 GiB above model and batch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

READ = """
import json, sys
import numpy as np, torch
from pathlib import Path
from spectrain.config.schema import DatasetOptions
from spectrain.data.loader import Loader
from spectrain.data.opening import open_patches
from spectrain.data.order import TrainOrder

def private():
    fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(fields[name].split()[0]) for name in ("Private_Dirty", "Anonymous")) / 2048

options = DatasetOptions()
before = private()
patches = open_patches(sys.argv[1], "train", options)
order = TrainOrder(len(patches), 64, seed=0)
with Loader(patches) as loader:
    for number, _ in enumerate(loader.load(step[0] for step in order.steps(0))):
        if number == 400:
            break
print(json.dumps([len(patches), private() - before]))
"""


def rows() -> list[dict[str, object]]:
    import h5py

    result: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for gigabytes in (0.5, 2.0, 10.0):
            path = Path(folder) / f"{gigabytes}.h5"
            count = int(gigabytes * 1e9 / (12 * 64 * 64 * 2))
            with h5py.File(path, "w") as file:
                # late allocation with the fill never written: the file is a hole of this size
                shape = (count, 12, 64, 64)
                plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                plist.set_layout(h5py.h5d.CONTIGUOUS)
                plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
                plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
                space = h5py.h5s.create_simple(shape)
                h5py.h5d.create(file.id, b"train", h5py.h5t.NATIVE_UINT16, space, plist)
            output = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
            patches, growth = json.loads(output.stdout.splitlines()[-1])
            result.append({"data GB": gigabytes, "patches": patches, "private memory grows by MiB": growth})
            path.unlink()
    return result


if __name__ == "__main__":
    from run import table

    print(table(rows()))
