"""HDF5, Zarr, npy and Parquet files that lead elsewhere, say that they are enormous, or hold code."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from hostile_reading import reads, refused
from kinds import KINDS, images, read_patches

from spectrain.data.opening import open_patches
from spectrain.data.patch_table import read_patch_table


class Payload:
    """Pickled, it makes a file where it is loaded."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def read_all(path):
    return open_patches(path, "train").read(np.arange(2))


def written(kind, folder):
    """Return the path of a small file; Zarr starts threads, which a process that is forked must not have."""
    found = reads(lambda: (folder / "path").write_text(str(KINDS[kind].write(folder))), seconds=60)
    assert found.kind == "fine", found.text
    return Path((folder / "path").read_text())


@pytest.fixture
def elsewhere(tmp_path):
    """A file that somebody else owns."""
    (tmp_path / "secret").mkdir()
    with h5py.File(tmp_path / "secret" / "other.h5", "w") as file:
        file["train"] = images()
    return tmp_path / "secret" / "other.h5"


@pytest.mark.parametrize("way", ["link", "raw", "virtual"])
def test_hdf5_that_takes_its_values_from_another_file(tmp_path, elsewhere, way):
    path = tmp_path / "mine" / "a.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        if way == "link":
            file["train"] = h5py.ExternalLink(str(elsewhere), "train")
        elif way == "raw":
            file.create_dataset("train", (4, 4, 4), "u1", external=[("/etc/passwd", 0, 64)])
        else:
            layout = h5py.VirtualLayout(images().shape, "u2")
            layout[...] = h5py.VirtualSource(str(elsewhere), "train", images().shape)
            file.create_virtual_dataset("train", layout)
    assert "a.h5" in refused(lambda: read_all(path))


def test_hdf5_with_links_in_a_circle_or_to_nothing(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["train"] = images()
        file["valid"], file["a"], file["b"] = h5py.SoftLink("/no"), h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file.create_group("g")["up"] = file["/"]
    reads_fine = reads(lambda: read_all(path))
    assert reads_fine.kind == "fine", reads_fine.text
    assert "a.h5" in refused(lambda: open_patches(path, "valid"))
    assert "a.h5" in refused(lambda: open_patches(path, "a"))


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((10**9, 3, 64, 64), {"chunks": (1, 3, 64, 64)}),
        ((10**9, 3, 64, 64), {"chunks": (1, 3, 64, 64), "compression": "gzip"}),
        ((10, 3, 10**5, 10**5), {"chunks": (1, 1, 64, 64), "compression": "gzip"}),
        ((10**12, 1, 1, 1), {"chunks": (10**6, 1, 1, 1)}),
        ((10**6, 3, 10**4, 10**4), {"chunks": (1, 1, 100, 100)}),
    ],
)
def test_hdf5_of_absurd_shape(tmp_path, shape, layout):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("train", shape, "u2", **layout)
    found = reads(lambda: read_patches(path))
    assert found.kind in ("fine", "refused"), f"{found.kind}: {found.text}"
    assert found.kind == "fine" or "a.h5" in found.text


def test_hdf5_with_a_filter_that_is_not_there(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("train", data=images(), chunks=(1, 2, 6, 5), compression="gzip")
    data = path.read_bytes()
    name = b"deflate\0"
    at = data.index(name)
    start = data.rindex(struct.pack("<H", 1), 0, at)
    path.write_bytes(data[:start] + struct.pack("<H", 32099) + data[start + 2 :])
    assert "a.h5" in refused(lambda: read_all(path))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**12, 2, 6, 5]},
        {"shape": [5, 2, 10**9, 10**9]},
        {"shape": [5, -2, 6, 5]},
        {"shape": "all"},
        {"shape": [5, 2, 6, 5] * 20},
        {"shape": [10**40, 2, 6, 5]},
        {"chunks": [10**9, 2, 6, 5]},
        {"chunks": [0, 2, 6, 5]},
        {"chunks": [1, 2, 10**9, 10**9]},
        {"shape": [float("inf"), 2, 6, 5]},
        {"dtype": "object"},
        {"dtype": "|O"},
        {"dtype": "V4000000000"},
        {"pickle": True},
        {"fill_value": "9" * 10**5},
        {"attributes": "[" * 10**6},
    ],
    ids=lambda change: "-".join(f"{key} {str(value)[:20]}" for key, value in change.items()),
)
def test_zarr_of_absurd_metadata(tmp_path, version, change):
    path = written("zarr_group" if version == 3 else "zarr_v2", tmp_path)
    file = path / "train" / "x" / ("zarr.json" if version == 3 else ".zarray")
    record = json.loads(file.read_bytes())
    for key, value in change.items():
        if key == "chunks" and version == 3:
            record["chunk_grid"]["configuration"]["chunk_shape"] = value
        elif key == "dtype":
            record["data_type" if version == 3 else "dtype"] = value
        elif key == "pickle" and version == 3:
            record["codecs"] = [{"name": "numcodecs.pickle"}]
        elif key == "pickle":
            record["compressor"] = {"id": "pickle", "protocol": 5}
        else:
            record[key] = value
    text = json.dumps(record)
    file.write_text(text.replace(json.dumps("[" * 10**6), "[" * 10**6))
    found = reads(lambda: read_patches(path))
    assert found.kind in ("fine", "refused"), f"{found.kind}: {found.text}"
    assert found.kind == "fine" or "a.zarr" in found.text


def test_zarr_chunks_are_never_unpickled(tmp_path):
    import pickle

    path, marker = written("zarr_v2", tmp_path), tmp_path / "ran"
    array = path / "train" / "x"
    record = json.loads((array / ".zarray").read_bytes())
    for field in ("compressor", "filters"):
        pickled = {"id": "pickle", "protocol": 5}
        changed = {**record, field: [pickled] if field == "filters" else pickled}
        (array / ".zarray").write_text(json.dumps(changed))
        for chunk in array.iterdir():
            if not chunk.name.startswith("."):
                chunk.write_bytes(pickle.dumps(Payload(marker)))
        assert "a.zarr" in refused(lambda: read_patches(path))
        assert not marker.exists()


@pytest.mark.parametrize(
    "header",
    [
        {"descr": "|O", "fortran_order": False, "shape": (2, 6, 5)},
        {"descr": "<u2", "fortran_order": False, "shape": (2, 10**9, 10**9)},
        {"descr": "<u2", "fortran_order": False, "shape": (-2, 6, 5)},
        {"descr": "<u2", "fortran_order": False, "shape": (10**30, 6, 5)},
        {"descr": [("a", "<u2", (10**6, 10**6))], "fortran_order": False, "shape": (2, 6, 5)},
        {"descr": "<u2", "fortran_order": False, "shape": (1,) * 100},
        {"descr": "V" + "9" * 30, "fortran_order": False, "shape": (2, 6, 5)},
    ],
    ids=str,
)
def test_npy_of_absurd_header(tmp_path, header):
    path = KINDS["npy_pairs"].write(tmp_path)
    text = (str(header) + "\n").encode()
    marker = tmp_path / "ran"
    body = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text
    import pickle

    (path / "train" / "images" / "p1.npy").write_bytes(body + pickle.dumps(Payload(marker)))
    assert "p1.npy" in refused(lambda: read_patches(path))
    assert not marker.exists()


def test_npy_with_a_header_that_runs_code(tmp_path):
    path, marker = KINDS["npy_pairs"].write(tmp_path), tmp_path / "ran"
    text = f"__import__('os').system('touch {marker}')\n".encode()
    for version, length in ((b"\1\0", "<H"), (b"\2\0", "<I"), (b"\3\0", "<I")):
        content = b"\x93NUMPY" + version + struct.pack(length, len(text)) + text
        (path / "train" / "images" / "p1.npy").write_bytes(content + bytes(120))
        assert "p1.npy" in refused(lambda: read_patches(path))
    (path / "train" / "images" / "p1.npy").write_bytes(b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + b"{" * 9000)
    assert "p1.npy" in refused(lambda: read_patches(path))
    assert not marker.exists()


def test_parquet_with_pickled_metadata_and_broken_ones(tmp_path):
    """pandas and pyarrow keep types of columns in metadata, which are only looked at as JSON."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    table = pa.Table.from_pandas(pd.DataFrame({"patch_id": ["a"]}))
    for pandas in (b"{", b'{"columns": [{"name": null}]}', b"[" * 10**6, b'{"index_columns": ["no"], "columns": []}'):
        pq.write_table(table.replace_schema_metadata({b"pandas": pandas, b"geo": b"{"}), path)
        found = reads(lambda: read_patch_table(path))
        assert found.kind == "fine" or (found.kind == "refused" and "a.parquet" in found.text), found.text
