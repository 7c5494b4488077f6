"""The HDF5 reader: the contract in every layout, the shapes and names it takes, and what it says of wrong files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from reader_contract import CASES, COUNT, HEIGHT, WIDTH, Content, ReaderContract, _assert_same

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.hdf5.chunks import ChunkedArray
from spectrain.data.hdf5.layout import LibraryArray
from spectrain.data.hdf5.patches import Hdf5Reader
from spectrain.data.opening import open_patches
from spectrain.data.stored.rows import MappedArray


class Hdf5Contract(ReaderContract):
    """The contract in one layout: what `create_dataset` is told, and which way of reading that must lead to."""

    way: type = MappedArray

    def settings(self, shape):
        return {}

    def write(self, folder, content):
        path = folder / "images.h5"
        with h5py.File(path, "w") as file:
            for name, values in (
                ("train", content.image),
                ("train_mask", content.mask),
                ("train_labels", content.labels),
            ):
                if values is not None:
                    values = values.astype("u1") if values.dtype == bool else values
                    file.create_dataset(name, data=values, **self.settings(values.shape))
        return path

    def plain(self, path):
        with h5py.File(path) as file:
            mask = file["train_mask"][()] != 0 if "train_mask" in file else None
            return Content(file["train"][()], mask, file["train_labels"][()] if "train_labels" in file else None)

    def file_to_cut(self, path):
        return path

    def test_is_read_in_the_way_meant_for_the_layout(self, path):
        assert type(open_patches(path, "train")._image) is self.way


class TestContiguous(Hdf5Contract):
    pass


class TestChunksOfWholePatches(Hdf5Contract):
    def settings(self, shape):
        return {"chunks": (min(4, shape[0]), *shape[1:])}


class TestChunksAcrossPatches(Hdf5Contract):
    way = ChunkedArray

    def settings(self, shape):
        return {"chunks": tuple(max(1, (length + 1) // 2) for length in shape)}


class TestGzip(Hdf5Contract):
    way = ChunkedArray

    def settings(self, shape):
        return {"chunks": (min(4, shape[0]), *shape[1:]), "compression": "gzip"}


class TestGzipAndShuffle(Hdf5Contract):
    way = ChunkedArray

    def settings(self, shape):
        chunks = tuple(max(1, (length + 1) // 2) for length in shape)
        return {"chunks": chunks, "compression": "gzip", "shuffle": True}


class TestGzipOnePatchAChunk(Hdf5Contract):
    way = ChunkedArray

    def settings(self, shape):
        return {"chunks": (1, *shape[1:]), "compression": "gzip", "shuffle": True}


class TestLzf(Hdf5Contract):
    way = LibraryArray

    def settings(self, shape):
        return {"chunks": (min(4, shape[0]), *shape[1:]), "compression": "lzf"}


class TestChecksummedGzip(Hdf5Contract):
    way = LibraryArray

    def settings(self, shape):
        return {"chunks": (min(4, shape[0]), *shape[1:]), "compression": "gzip", "fletcher32": True}


class TestUserBlock(Hdf5Contract):
    """Files of other programs may begin with a block that is not HDF5."""

    def write(self, folder, content):
        path = folder / "images.h5"
        with h5py.File(path, "w", userblock_size=1024):
            pass
        with h5py.File(path, "a") as file:
            for name, values in (
                ("train", content.image),
                ("train_mask", content.mask),
                ("train_labels", content.labels),
            ):
                if values is not None:
                    file.create_dataset(name, data=values)
        return path


class TestOverANetwork(Hdf5Contract):
    """Where a lost page would kill the process, bytes are read by position."""

    @pytest.fixture(autouse=True)
    def network(self, monkeypatch):
        monkeypatch.setattr("spectrain.data.stored.mapped.is_network", lambda path: True)


class TestGzipOverANetwork(TestOverANetwork):
    way = ChunkedArray

    def settings(self, shape):
        return {"chunks": (min(4, shape[0]), *shape[1:]), "compression": "gzip", "shuffle": True}


class TestBigEndian(Hdf5Contract):
    def write(self, folder, content):
        image = content.image.astype(content.image.dtype.newbyteorder(">"))
        return super().write(folder, replace(content, image=image))

    def plain(self, path):
        content = super().plain(path)
        return replace(content, image=content.image.astype(content.image.dtype.newbyteorder("=")))


class TestNeverWritten:
    """Storage is given to data when they are written: what never was holds the fill value."""

    @pytest.mark.parametrize("settings", [{}, {"chunks": (2, 4, 4)}, {"chunks": (2, 4, 2), "compression": "gzip"}])
    @pytest.mark.parametrize("userblock", [0, 512])
    def test_holds_the_fill_value(self, tmp_path, settings, userblock):
        with h5py.File(tmp_path / "a.h5", "w", userblock_size=userblock) as file:
            file.create_dataset("train", shape=(9, 4, 4), dtype="f4", fillvalue=7.0, **settings)
        assert (open_patches(tmp_path / "a.h5", "train").read(np.arange(9)).image == 7).all()

    @pytest.mark.parametrize("settings", [{"chunks": (2, 4, 4)}, {"chunks": (2, 4, 2), "compression": "gzip"}])
    def test_beside_what_was_written(self, tmp_path, settings):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("train", shape=(9, 4, 4), dtype="i2", fillvalue=-5, **settings)[4] = 3
            plain = file["train"][()]
        index = np.array([8, 4, 5, 0, 4])
        _assert_same(open_patches(tmp_path / "a.h5", "train").read(index).image[:, 0], plain[index])


@pytest.mark.parametrize("name", ["sst_l4_025deg", "sst_modis_peru_0025deg"])
def test_real_ocean_temperature(shared_data, name):
    path = shared_data / "ocean_sst" / f"{name}.h5"
    for split in ("train", "valid"):
        patches = open_patches(path, split)
        index = np.random.default_rng(0).permutation(len(patches))
        rows = patches.read(index)
        with h5py.File(path) as file:
            _assert_same(rows.image, file[split][()][index])
            _assert_same(rows.mask, file[f"{split}_mask"][()][index] != 0)
        assert patches.bands[0].unit == "degree_Celsius"
        table = patches.metadata()
        assert (table["split"] == split).all() and len(table) == len(patches)
        # the table is of these patches: it states the mean of each (of the whole window or of what was observed)
        means = open_patches(path, split).read(np.arange(len(patches))).image.mean((1, 2, 3))
        assert np.corrcoef(means, table["mean_temperature"])[0, 1] > 0.99


def test_real_ocean_colour_keeps_its_gaps_and_says_its_bands(shared_data):
    patches = open_patches(shared_data / "ocean_colour" / "olci_sns_64px.h5", "valid")
    assert [(band.name, band.unit) for band in patches.bands] == [
        ("conc_chl", "mg m-3"),
        ("conc_tsm", "g m-3"),
        ("kd489", "m-1"),
    ]
    assert 0 < np.isnan(patches.read(np.arange(63)).image).mean() < 0.3


@pytest.fixture
def file(tmp_path):
    """A file that is filled by the test and opened by `opened`."""
    with h5py.File(tmp_path / "images.h5", "w") as file:
        yield file


def opened(file, split="train", **options):
    path = file.filename
    file.close()
    return open_patches(path, split, DatasetOptions(**options))


def test_images_without_a_channel_axis_have_one_channel(file):
    file["train"] = np.arange(2 * 4 * 5.0).reshape(2, 4, 5)
    patches = opened(file)
    assert patches.shape == (2, 1, 4, 5)
    assert patches.read(np.array([1])).image.shape == (1, 1, 4, 5)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 1, 4, 5), (3, 2, 4, 5)])
@pytest.mark.parametrize("dtype", ["u1", "i4", "?"])
def test_masks_of_any_allowed_shape_and_type(file, shape, dtype):
    file["train"] = np.zeros((3, 2, 4, 5), dtype="f4")
    mask = np.random.default_rng(0).integers(0, 2, shape).astype(dtype) * (3 if dtype == "i4" else 1)
    file["train_mask"] = mask.astype(dtype)
    rows = opened(file).read(np.array([2, 0]))
    _assert_same(rows.mask, (mask[[2, 0]] != 0).reshape(2, -1, 4, 5))


def test_mask_and_labels_by_name(file):
    file["train"] = np.zeros((2, 4, 5), dtype="f4")
    file["train_ocean"] = np.ones((2, 4, 5), dtype="u1")
    file["truth"] = np.array([3, 1])
    patches = opened(file, mask_key="{split}_ocean", labels_key="truth")
    rows = patches.read(np.array([1, 0]))
    assert rows.mask.all() and rows.labels.tolist() == [1, 3]


def test_datasets_in_groups(file):
    file["a/b/train"] = np.zeros((2, 4, 5), dtype="u1")
    assert len(opened(file, "a/b/train")) == 2


def test_only_what_can_be_opened_is_listed_as_a_split(file):
    file["train"] = np.zeros((2, 4, 5), dtype="u1")
    file["clouds"] = np.zeros((2, 4, 5), dtype="?")
    file["valid"] = np.zeros((0, 4, 5), dtype="u1")
    file["flat"] = np.zeros((4, 5), dtype="u1")
    path = Path(file.filename)
    file.close()
    assert Hdf5Reader.splits(path) == ["train"]


def test_an_absent_split_lists_those_present_with_their_shapes(file):
    file["train"] = np.zeros((2, 4, 5), dtype="u1")
    file["more/valid"] = np.zeros((1, 3, 4, 5), dtype="f8")
    with pytest.raises(DataError) as caught:
        opened(file, "trian")
    for part in ("'trian'", "did you mean 'train'", "train (2, 4, 5) uint8", "more/valid (1, 3, 4, 5) float64"):
        assert part in str(caught.value)


def test_an_absent_mask_that_was_asked_for(file):
    file["train"] = np.zeros((2, 4, 5), dtype="u1")
    with pytest.raises(DataError, match=r"no dataset 'sea'(.|\n)*dataset\.mask_key"):
        opened(file, mask_key="sea")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("train", np.zeros((2, 5)), r"these are not images"),
        ("train", np.zeros((2, 1, 1, 4, 5)), r"these are not images"),
        ("train", np.zeros((2, 4, 5), dtype="c8"), r"these are not images"),
        ("train", np.zeros((0, 4, 5)), r"empty"),
        ("train_mask", np.zeros((2, 5, 4), dtype="u1"), r"masks have shape \(2, 5, 4\)"),
        ("train_mask", np.zeros((2, 4, 5), dtype="f4"), r"masks have .* float32"),
        ("train_mask", np.zeros((2, 3, 4, 5), dtype="u1"), r"masks have shape"),
        ("train_labels", np.zeros(3), r"labels have shape \(3,\)"),
        ("train_labels", np.zeros((2, 4, 4)), r"labels have shape"),
        ("train_labels", np.array([b"a", b"b"]), r"labels have .* type"),
    ],
)
def test_wrong_shapes_and_types_are_named(file, name, values, message):
    file["train"] = np.zeros((2, 2, 4, 5), dtype="f4")
    if name == "train":
        del file["train"]
    file[name] = values
    with pytest.raises(DataError, match=message) as caught:
        opened(file)
    assert f"images.h5: {name}" in str(caught.value)


def test_a_damaged_chunk_is_named_by_its_patches(file):
    file.create_dataset("train", data=np.random.default_rng(0).random((9, 4, 5)), chunks=(3, 4, 5), compression="gzip")
    place = file["train"].id.get_chunk_info(1)
    path = file.filename
    file.close()
    with open(path, "r+b") as raw:  # noqa: PTH123
        raw.seek(place.byte_offset)
        raw.write(bytes(place.size))
    patches = open_patches(path, "train")
    assert patches.read(np.array([0, 8])).image.shape == (2, 1, 4, 5)
    with pytest.raises(DataError, match=r"'train' cannot be unpacked(.|\n)*patches 3 to 5"):
        patches.read(np.arange(9))


@pytest.mark.parametrize("settings", [{"chunks": (3, 4, 5)}, {"chunks": (3, 2, 5), "compression": "gzip"}])
def test_an_index_that_points_so_far_that_ends_overflow_is_refused(file, settings):
    file.create_dataset("train", data=np.random.default_rng(0).random((9, 4, 5)), **settings)
    there = file["train"].id.get_chunk_info(1).byte_offset.to_bytes(8, "little")
    path = Path(file.filename)
    file.close()
    raw = path.read_bytes()
    assert raw.count(there) == 1
    path.write_bytes(raw.replace(there, (2**63 - 1).to_bytes(8, "little")))
    with pytest.raises(DataError, match="its index places data up to byte 92233720368547"):
        open_patches(path, "train")


def test_a_chunk_that_unpacks_to_another_length_is_damaged(file):
    import zlib

    file.create_dataset("train", shape=(4, 4, 5), dtype="f4", chunks=(2, 4, 5), compression="gzip")
    file["train"].id.write_direct_chunk((2, 0, 0), zlib.compress(b"short"))
    with pytest.raises(DataError, match="5 bytes in place of 160"):
        opened(file).read(np.array([3]))


def test_chunks_whose_filters_were_skipped(file):
    data = np.arange(4 * 4 * 5, dtype="f4").reshape(4, 4, 5)
    file.create_dataset("train", data=data, chunks=(2, 4, 5), compression="gzip", shuffle=True)
    file["train"].id.write_direct_chunk((2, 0, 0), data[2:].tobytes(), filter_mask=0b11)
    _assert_same(opened(file).read(np.array([3, 0])).image[:, 0], data[[3, 0]])


def test_a_file_that_is_being_written_says_so(tmp_path):
    path = tmp_path / "images.h5"
    with h5py.File(path, "w", locking=True) as file:
        file["train"] = np.zeros((2, 4, 5))
        file.flush()
        with pytest.raises(DataError, match="open for writing"):
            Hdf5Reader.open(path, "train", DatasetOptions())


def test_virtual_data_are_read_by_the_library(tmp_path):
    case = CASES["one float band"]
    with h5py.File(tmp_path / "part.h5", "w") as part:
        part["images"] = case.image
    layout = h5py.VirtualLayout(shape=case.image.shape, dtype="f4")
    layout[:] = h5py.VirtualSource(tmp_path / "part.h5", "images", shape=case.image.shape)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file.create_virtual_dataset("train", layout)
    patches = open_patches(tmp_path / "images.h5", "train")
    assert patches.shape == (COUNT, 1, HEIGHT, WIDTH)
    _assert_same(patches.read(np.array([1, 9])).image, case.image[[1, 9]])
