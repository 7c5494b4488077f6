"""The bytes of a shard, as Zarr defines them."""

from __future__ import annotations

import io

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectrain.core.errors import DataError
from spectrain.data.native.shards import MISSING, file_crc32c, index_bytes, read_index, write_shard


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck), database=None)
@given(
    rows=st.integers(1, 9),
    spare=st.integers(0, 5),
    width=st.integers(1, 12),
    dtype=st.sampled_from(["u1", "<i2", "<f8"]),
)
def test_what_is_written_is_read_by_plain_zarr_and_by_its_index(tmp_path, rows, spare, width, dtype):
    values = np.random.default_rng(rows).integers(0, 99, (rows, width)).astype(dtype)
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(
        store, shape=(rows, width), dtype=dtype, chunks=(1, width), shards=(rows + spare, width), compressors=None
    )
    file = io.BytesIO()
    crc = write_shard(file, values, rows + spare)
    zarr.core.sync.sync(store.set("c/0/0", zarr.core.buffer.cpu.Buffer.from_bytes(file.getvalue())))
    assert np.array_equal(array[...], values)
    path = tmp_path / "shard"
    path.write_bytes(file.getvalue())
    assert crc == google_crc32c.value(file.getvalue()) == file_crc32c(path)
    index = read_index(path, len(file.getvalue()), rows + spare)
    assert index[:rows].tolist() == [[row * values[0].nbytes, values[0].nbytes] for row in range(rows)]
    assert (index[rows:] == MISSING).all()


def test_the_crc_of_a_file_does_not_depend_on_how_it_is_read(tmp_path):
    content = np.random.default_rng(0).bytes(9 * 2**20 + 5)
    (tmp_path / "a").write_bytes(content)
    assert file_crc32c(tmp_path / "a") == google_crc32c.value(content)


def test_an_index_is_checked(tmp_path):
    path = tmp_path / "shard"
    with path.open("wb") as file:
        write_shard(file, np.zeros((3, 4), "u1"), 3)
    size = path.stat().st_size
    assert size == 12 + index_bytes(3)
    with pytest.raises(DataError, match="damaged"):
        read_index(path, size - 16, 2)
    with pytest.raises(DataError, match=f"has {size} bytes and must have {size + 1}"):
        read_index(path, size + 1, 3)
    with pytest.raises(DataError, match=f"has {size} bytes and must have {index_bytes(50)}"):
        read_index(path, size, 50)
    with pytest.raises(DataError, match="No such file"):
        read_index(tmp_path / "none", size, 3)
