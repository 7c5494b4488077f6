"""Windows of stored images: equal to slices of the plain array, whatever the layout, and nothing else is read."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest
from cube_files import CUBE, pixels, write_cube
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_contract import in_child

from spectrain.core.errors import DataError
from spectrain.data.hdf5.cubes import read_cube
from spectrain.data.hdf5.images import Hdf5Images, cube_images
from spectrain.data.stored.mapped_images import MappedImages

LAYOUTS = {
    "contiguous": ({}, MappedImages),
    "chunks": ({"chunks": (2, 7, 9)}, Hdf5Images),
    "gzip": ({"chunks": (3, 8, 8), "compression": "gzip", "shuffle": True}, Hdf5Images),
    "lzf": ({"chunks": True, "compression": "lzf"}, Hdf5Images),
}
SIZES = [(4, 5), (6, CUBE[2]), (CUBE[1], 3), CUBE[1:], (1, 1)]


def images_of(paths):
    cubes = [read_cube(path, None, None, None) for path in paths]
    return cube_images(cubes, [cube.image for cube in cubes])


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS)
def stored(request, tmp_path):
    """Three cubes in files, how they are read, and as plain arrays."""
    layout, way = request.param
    arrays = [pixels(seed=seed) for seed in range(3)]
    paths = [write_cube(tmp_path / f"{n}.h5", array, layout=layout) for n, array in enumerate(arrays)]
    images = images_of(paths)
    assert type(images) is way
    return images, arrays, paths


@pytest.mark.parametrize("size", SIZES)
def test_any_windows_in_any_order_equal_slices(stored, size):
    images, arrays, _ = stored
    place = st.tuples(st.integers(0, 2), st.integers(0, CUBE[1] - size[0]), st.integers(0, CUBE[2] - size[1]))

    @settings(deadline=None, max_examples=25, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(place, max_size=6))
    def check(chosen):
        got = images.take(np.array(chosen, dtype=np.int64).reshape(-1, 3), size)
        assert got.shape == (len(chosen), CUBE[0], *size) and got.dtype == np.uint16
        for one, (image, row, column) in zip(got, chosen, strict=True):
            assert np.array_equal(one, arrays[image][:, row : row + size[0], column : column + size[1]])

    check()


def test_images_of_several_sizes(tmp_path):
    arrays = [pixels((2, 9, 7)), pixels((2, 5, 12))]
    for layout in ({}, {"chunks": (1, 4, 4)}):
        images = images_of(
            [write_cube(tmp_path / f"{n}{len(layout)}.h5", a, layout=layout) for n, a in enumerate(arrays)]
        )
        got = images.take(np.array([[1, 0, 5], [0, 4, 0]]), (5, 7))
        assert np.array_equal(got, [arrays[1][:, :, 5:], arrays[0][:, 4:]])


def test_types_of_other_machines_and_never_written_data(tmp_path):
    array = pixels(dtype=">f4")
    images = images_of([write_cube(tmp_path / "a.h5", array)])
    assert images.dtype == np.float32 and np.array_equal(
        images.take(np.array([[0, 2, 3]]), (4, 4))[0], array[:, 2:6, 3:7]
    )
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("cube", CUBE, "f4", fillvalue=7)
    assert (images_of([tmp_path / "b.h5"]).take(np.array([[0, 2, 3]]), (4, 4)) == 7).all()


def test_over_a_network(stored, monkeypatch):
    monkeypatch.setattr("spectrain.data.stored.mapped.is_network", lambda path: True)
    images, arrays, _ = stored
    assert np.array_equal(images.take(np.array([[2, 3, 1]]), (4, 5))[0], arrays[2][:, 3:7, 1:6])


def test_pickled_and_forked_after_reading(stored):
    images, arrays, _ = stored
    places = np.array([[1, 3, 1], [0, 0, 0]])

    def same(one):
        assert np.array_equal(one.take(places, (4, 5))[0], arrays[1][:, 3:7, 1:6])

    for copy in (pickle.loads(pickle.dumps(images)), images, pickle.loads(pickle.dumps(images))):
        same(copy)
    assert in_child(lambda: same(images)) == "fine"


def test_files_cut_while_open_are_found_and_kill_nobody(stored):
    images, _, paths = stored
    places = np.array([[2, 16, 20]])

    def cut_and_read():
        images.take(places, (4, 5))
        os.truncate(paths[2], 700)
        for look in (images.check, lambda: images.take(places, (4, 5))):
            with pytest.raises(DataError, match="cut short") as caught:
                look()
            assert str(paths[2]) in str(caught.value)
        images.take(np.array([[0, 0, 0]]), (4, 5))

    assert in_child(cut_and_read) == "fine"


def test_a_process_holds_few_files_open(tmp_path, monkeypatch):
    monkeypatch.setattr("spectrain.data.stored.library_images.OPEN", 3)
    arrays = [pixels(seed=seed) for seed in range(8)]
    images = images_of(
        [write_cube(tmp_path / f"{n}.h5", one, layout={"chunks": (3, 4, 4)}) for n, one in enumerate(arrays)]
    )
    for _ in range(2):
        got = images.take(np.array([[n, 1, 1] for n in range(8)]), (2, 2))
        assert np.array_equal(got, [one[:, 1:3, 1:3] for one in arrays])
    (opened,) = images._opened.values()
    assert list(opened.handles) == [5, 6, 7]


def test_a_damaged_chunk_is_named(tmp_path):
    path = write_cube(tmp_path / "a.h5", layout={"chunks": (3, 10, 13), "compression": "gzip"})
    with h5py.File(path) as file:
        place = file["cube"].id.get_chunk_info(3)
    with path.open("r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(bytes(place.size))
    images = images_of([path])
    images.take(np.array([[0, 0, 0]]), (10, 13))
    with pytest.raises(DataError, match=r"cannot be read(.|\n)*a\.h5: cube, pixels from row 12, column 15"):
        images.take(np.array([[0, 12, 15]]), (4, 4))


MEASURE = """
import sys
import numpy as np
from spectrain.config.schema import DatasetOptions
from spectrain.data.opening import open_patches

patches = open_patches(sys.argv[1], "all", DatasetOptions(window=64))
place, = np.flatnonzero((patches.cut.places == [0, 1024, 2048]).all(1))
got = patches.read(np.array([place])).image
assert got.shape == (1, 4, 64, 64) and (got == 5).all(), got
with open("/proc/self/smaps") as file:
    lines = file.read().splitlines()
at = next(n for n, line in enumerate(lines) if line.endswith(sys.argv[1]))
print(next(int(line.split()[1]) for line in lines[at:] if line.startswith("Rss:")))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="Linux tells what is in memory")  # noqa: PTH110
def test_of_a_large_contiguous_cube_only_the_window_is_read(tmp_path):
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:  # 512 MiB in a sparse file, of which one window is written
        held = file.create_dataset("cube", (4, 4096, 8192), "f4")
        held[:, 1024:1088, 2048:2112] = 5
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 16 * 1024  # kB: a page each for 256 lines, and what the system reads around them
