"""Plain Zarr groups: the contract in every layout that Zarr has, and what is said of those that cannot be read."""

from __future__ import annotations

import json
import os
import warnings

import numcodecs
import numpy as np
import pytest
import zarr
from reader_contract import CASES, COUNT, HEIGHT, WIDTH, Content, ReaderContract, _assert_same, in_child
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches, recognise
from spectrain.data.stored import loose_files
from spectrain.data.stored.rows import MappedArray
from spectrain.data.zarr.chunks import PackedArray


def write_group(path, arrays, layout=lambda shape: {"chunks": (1, *shape[1:])}, version=3, attributes=None):
    """Write arrays by name; ``layout`` says how an array of a shape is stored."""
    group = zarr.open_group(path, mode="a", zarr_format=version, attributes=attributes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # codecs that are not of the specification
        for name, values in arrays.items():
            if values is not None:
                stored = group.create_array(name, shape=values.shape, dtype=values.dtype, **layout(values.shape))
                stored[...] = values
    return path


class ZarrContract(ReaderContract):
    """The contract in one layout, and which way of reading that must lead to."""

    way: type = PackedArray
    version = 3
    told = True  # a cut file is seen without unpacking it

    def layout(self, shape):
        return {"chunks": (1, *shape[1:]), "compressors": BloscCodec(cname="lz4", clevel=9)}

    def write(self, folder, content):
        arrays = {"x": content.image, "mask": content.mask, "y": content.labels}
        path = write_group(folder / "a.zarr", {}, version=self.version)
        write_group(path / "train", arrays, self.layout, self.version)
        return path

    def plain(self, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            group = zarr.open_group(path, mode="r")["train"]
            read = {name: group[name][...] for name in group.array_keys()}
        return Content(read["x"], read.get("mask"), read.get("y"))

    def file_to_cut(self, path):
        files = [file for file in (path / "train" / "x").rglob("*") if file.is_file() and "z" not in file.name]
        return max(
            files,
            key=lambda file: [
                int(part) for part in file.relative_to(path).as_posix().replace(".", "/").split("/") if part.isdigit()
            ],
        )

    def test_the_stamp_follows_a_file_that_is_written_anew(self, path):
        before = open_patches(path, "train").stamp()
        assert before and open_patches(path, "train").stamp() == before
        os.utime(self.file_to_cut(path), (1, 1))
        assert open_patches(path, "train").stamp() != before

    def test_is_read_in_the_way_meant_for_the_layout(self, path):
        assert type(open_patches(path, "train")._image) is self.way

    def test_a_file_cut_before_it_is_opened_is_found(self, path):
        if self.told:
            return super().test_a_file_cut_before_it_is_opened_is_found(path)
        file = self.file_to_cut(path)
        os.truncate(file, file.stat().st_size // 2)
        with pytest.raises(DataError, match="cut short") as caught:
            open_patches(path, "train").read(np.array([COUNT - 1]))
        assert str(file) in str(caught.value)


class TestBlosc(ZarrContract):
    pass


class TestPlainChunks(ZarrContract):
    way = MappedArray

    def layout(self, shape):
        return {"chunks": (1, *shape[1:]), "compressors": None}


class TestMoreChunkFilesThanMayBeOpen(TestPlainChunks):
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(loose_files, "MOST_MAPPED", 2)


class TestOneChannelAChunk(ZarrContract):
    def layout(self, shape):
        return {"chunks": (1, 1, *shape[2:]) if len(shape) == 4 else (1, *shape[1:])}

    told = False  # zstd, which says nothing of its length


class TestPlainChunksAcrossPatches(ZarrContract):
    def layout(self, shape):
        return {"chunks": tuple(max(1, (length + 1) // 2) for length in shape), "compressors": None}


class TestGzipOfSeveralPatches(ZarrContract):
    told = False

    def layout(self, shape):
        return {"chunks": (min(4, shape[0]), *shape[1:]), "compressors": GzipCodec()}


class TestShards(ZarrContract):
    way = MappedArray

    def layout(self, shape):
        return {"chunks": (1, *shape[1:]), "shards": (4, *shape[1:]), "compressors": None}


class TestPackedShardsOfHalfPatches(ZarrContract):
    def layout(self, shape):
        chunks = (2, *(max(1, (length + 1) // 2) for length in shape[1:]))
        return {"chunks": chunks, "shards": (4, *(2 * one for one in chunks[1:])), "compressors": ZstdCodec()}


class TestOtherCodecs(ZarrContract):
    """Of numcodecs, and two behind each other, and transposed."""

    told = False

    def layout(self, shape):
        from zarr.codecs import Crc32cCodec, TransposeCodec
        from zarr.codecs.numcodecs import LZMA

        turned = TransposeCodec(order=tuple(reversed(range(len(shape)))))
        return {"chunks": (1, *shape[1:]), "filters": turned, "compressors": [LZMA(), Crc32cCodec()]}


class TestSecondVersion(ZarrContract):
    version = 2

    def layout(self, shape):
        return {"chunks": (1, *shape[1:]), "compressors": numcodecs.Blosc("lz4", 9)}


class TestSecondVersionInFortranOrderWithAFilter(ZarrContract):
    version, told = 2, False

    def layout(self, shape):
        return {
            "chunks": (2, *shape[1:]),
            "order": "F",
            "filters": [numcodecs.Shuffle(2)],
            "compressors": numcodecs.Zlib(),
        }


def test_a_group_of_images_alone_is_one_split(tmp_path):
    case = CASES["mask and label maps"]
    write_group(tmp_path / "a.zarr", {"x": case.image, "y": case.labels})
    patches = open_patches(tmp_path / "a.zarr", "all")
    _assert_same(patches.read(np.array([4, 1])).image, case.image[[4, 1]])
    assert patches.metadata()["patch_id"].tolist()[:2] == ["all/0", "all/1"]
    with pytest.raises(DataError, match="there is no split 'train'"):
        open_patches(tmp_path / "a.zarr", "train")


def test_val_is_valid_and_images_without_channels_are_of_one(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    for number, name in enumerate(("train", "val")):
        write_group(tmp_path / "a.zarr" / name, {"x": np.full((3, 4, 5), number, "uint8")})
    assert recognise(tmp_path / "a.zarr").splits(tmp_path / "a.zarr") == ["train", "valid"]
    valid = open_patches(tmp_path / "a.zarr", "valid")
    assert valid.shape == (3, 1, 4, 5) and (valid.read(np.arange(3)).image == 1).all()
    assert len(open_patches(tmp_path / "a.zarr", "val")) == 3


def test_labels_are_read_without_images(tmp_path):
    case = CASES["mask and label maps"]
    write_group(tmp_path / "a.zarr", {"x": case.image, "y": case.labels}, lambda shape: {"chunks": (1, *shape[1:])})
    patches = open_patches(tmp_path / "a.zarr", "all")
    patches._image = None
    _assert_same(patches.labels(np.array([6, 2])), case.labels[[6, 2]])


def test_other_names_of_labels_and_bands_from_attributes(tmp_path):
    case = CASES["mask and label maps"]
    attributes = {"bands": ["red", "nir", "swir"], "wavelength_nm": [665, 842, 1610], "_FillValue": "AAAAAAAA+H8="}
    write_group(tmp_path / "a.zarr", {"x": case.image, "truth": case.labels}, attributes=attributes)
    patches = open_patches(tmp_path / "a.zarr", "all", DatasetOptions(labels_key="truth"))
    assert patches.has_labels and [band.wavelength for band in patches.bands] == [665, 842, 1610]
    with pytest.raises(DataError, match="there is no array 'trut'; did you mean 'truth'"):
        open_patches(tmp_path / "a.zarr", "all", DatasetOptions(labels_key="trut"))


@pytest.mark.parametrize("fill", [7, float("nan"), float("-inf")])
def test_chunks_that_were_never_stored_hold_the_fill_value(tmp_path, fill):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    stored = group.create_array("x", shape=(3, 1, 4, 4), chunks=(1, 1, 4, 4), dtype="f4", fill_value=fill)
    stored[1] = 5
    expected = group["x"][...]
    _assert_same(open_patches(tmp_path / "a.zarr", "all").read(np.arange(3)).image, expected)


def test_chunks_that_are_kept_are_not_those_of_another_kind_of_file(tmp_path):
    # both kinds keep unpacked chunks in one memory: the numbers of their arrays must differ
    import h5py

    held = np.arange(2 * 8 * 16, dtype="f4").reshape(2, 8, 1, 4, 4)
    layout = {"chunks": (4, 1, 4, 4), "compressors": GzipCodec()}
    write_group(tmp_path / "a.zarr", {"x": held[0]}, lambda shape: layout)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("all", data=held[1], chunks=(4, 1, 4, 4), compression="gzip")
    read = [open_patches(tmp_path / name, "all") for name in ("a.zarr", "a.h5")]
    before = [one._image._number for one in read]
    assert before[1] == before[0] + 1  # of one count
    for _ in range(2):
        for one, expected in zip(read, held, strict=True):
            _assert_same(one.read(np.arange(8)).image, expected)


def test_zarr_itself_is_not_imported_to_read(tmp_path):
    # it starts a thread with an event loop, which a forked process does not survive
    write_group(tmp_path / "a.zarr", {"x": CASES["one float band"].image})

    def read():
        import sys

        before = set(sys.modules)
        open_patches(tmp_path / "a.zarr", "all").read(np.arange(3))
        assert not {name for name in set(sys.modules) - before if name.split(".")[0] == "zarr"}

    assert in_child(read) == "fine"


def rewrite(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(codecs=[{"name": "bytes"}, {"name": "magic"}]), "packed by 'magic'"),
        (lambda record: record.update(codecs=[{"name": "vlen-utf8"}]), "stored by vlen-utf8"),
        (lambda record: record.update(data_type="string"), "damaged, or of a kind"),
        (lambda record: record.update(chunk_grid={"name": "rectilinear"}), "regular grid"),
        (lambda record: record.update(shape=[3, 1]), "chunks of"),
        (lambda record: record.update(shape=[-3, 1, 4, 4]), "length of -3"),
        (lambda record: record.pop("fill_value"), "fill_value"),
        (lambda record: record.update(data_type="bool"), "these are not images"),
    ],
)
def test_metadata_that_cannot_be_read_are_explained(tmp_path, change, said):
    path = write_group(tmp_path / "a.zarr", {"x": np.ones((3, 1, 4, 4), "u1")})
    rewrite(path / "x" / "zarr.json", change)
    with pytest.raises(DataError, match=said) as caught:
        open_patches(path, "all")
    assert str(path / "x") in str(caught.value)


def test_data_that_were_not_copied_are_missed(tmp_path):
    path = write_group(tmp_path / "a.zarr", {"x": np.ones((3, 1, 4, 4), "u1")})
    for file in (path / "x" / "c").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(DataError, match="no chunk: its data are not there"):
        open_patches(path, "all")


def test_labels_that_do_not_fit_are_refused(tmp_path):
    path = write_group(tmp_path / "a.zarr", {"x": np.ones((3, 1, 4, 4), "u1"), "y": np.ones((3, 4, 5), "u1")})
    with pytest.raises(DataError, match=r"the labels have shape \(3, 4, 5\)"):
        open_patches(path, "all")


def test_a_damaged_chunk_names_its_file_and_patches(tmp_path):
    path = write_group(tmp_path / "a.zarr", {"x": np.random.default_rng(0).random((3, 1, HEIGHT, WIDTH))})
    file = path / "x" / "c" / "2" / "0" / "0" / "0"
    file.write_bytes(b"\0" * file.stat().st_size)
    patches = open_patches(path, "all")
    patches.read(np.array([0, 1]))
    with pytest.raises(DataError, match=r"a chunk cannot be unpacked(.|\n)*c/2/0/0/0, patches 2 to 2"):
        patches.read(np.array([2]))
