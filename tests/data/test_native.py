"""The native form: the contract against plain Zarr, splits, and every damage that can be seen."""

from __future__ import annotations

import json
import warnings

import google_crc32c
import numpy as np
import pandas as pd
import pytest
import zarr
from reader_contract import CASES, COUNT, HEIGHT, WIDTH, Content, ReaderContract, _assert_same, content

from spectrain.config.schema import DatasetOptions
from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.data.native.patches import NativePatches, NativeReader
from spectrain.data.native.writer import NativeWriter
from spectrain.data.opening import open_patches
from spectrain.data.patches import Rows


def table(count=COUNT, first=0):
    return pd.DataFrame({"patch_id": [f"p{number}" for number in range(first, first + count)]})


def write(path, content, *, rows_per_shard=4, bands=None, splits=None, **finish):
    """Write the content with shards of so many patches, so that the last of 11 is short."""
    shard_bytes = rows_per_shard * content.image[:1].nbytes
    with NativeWriter(path, bands or Bands.unnamed(content.image.shape[1]), shard_bytes=shard_bytes) as writer:
        for at in range(0, len(content.image), 3):  # pieces that are no divisor of a shard
            part = slice(at, at + 3)
            arrays = [None if one is None else one[part] for one in (content.image, content.mask, content.labels)]
            writer.append(Rows(*arrays), table(len(content.image))[part])
        return writer.commit(splits=splits, **finish)


class NativeContract(ReaderContract):
    def write(self, folder, content):
        return write(folder / "patches.zarr", content)

    def plain(self, path):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it is valid Zarr for everybody, without a word of complaint
            group = zarr.open_group(path, mode="r")
            read = {name: group[name][...] for name in group.array_keys()}
        return Content(read["x"], read.get("mask"), read.get("y"))

    def file_to_cut(self, path):
        return path / "x" / "c.2.0.0.0"


class TestNative(NativeContract):
    def test_rows_of_a_shard_lie_one_behind_the_other(self, path):
        # so no table of offsets is kept, however many patches there are
        assert open_patches(path, "all")._image._run == 4


class TestNativeOverANetwork(NativeContract):
    @pytest.fixture(autouse=True)
    def network(self, monkeypatch):
        monkeypatch.setattr("spectrain.data.stored.mapped.is_network", lambda path: True)


class TestShuffledShards(NativeContract):
    """Zarr allows a shard to hold its chunks in any order; then the index is followed chunk by chunk."""

    def write(self, folder, content):
        path = super().write(folder, content)
        for shard in sorted((path / "x").glob("c.*")):
            raw = shard.read_bytes()
            index = np.frombuffer(raw[-68:-4], "<u8").reshape(4, 2).copy()
            stored = np.flatnonzero(index[:, 0] != 2**64 - 1)
            pieces = [raw[index[at, 0] : index[at, 0] + index[at, 1]] for at in stored]
            index[stored, 0] = index[stored[::-1], 0]
            tail = index.tobytes() + google_crc32c.value(index.tobytes()).to_bytes(4, "little")
            shard.write_bytes(b"".join(pieces[::-1]) + tail)
        return path


def test_a_chunk_that_another_program_left_out_holds_zero(tmp_path):
    path = write(tmp_path / "a.zarr", CASES["one float band"])
    shard = path / "x" / "c.0.0.0.0"
    raw = shard.read_bytes()
    index = np.frombuffer(raw[-68:-4], "<u8").reshape(4, 2).copy()
    index[1] = 2**64 - 1
    shard.write_bytes(raw[:-68] + index.tobytes() + google_crc32c.value(index.tobytes()).to_bytes(4, "little"))
    rows = open_patches(path, "all").read(np.array([1, 0])).image
    assert (rows[0] == 0).all() and (rows[1] == CASES["one float band"].image[0]).all()
    _assert_same(rows, zarr.open_group(path, mode="r")["x"][...][[1, 0]])


@pytest.mark.parametrize("rows_per_shard", [1, 11, 100])
def test_shards_of_one_of_all_and_of_more_than_there_are(tmp_path, rows_per_shard):
    case = CASES["mask a band, labels"]
    path = write(tmp_path / "a.zarr", case, rows_per_shard=rows_per_shard)
    rows = open_patches(path, "all").read(np.arange(COUNT))
    _assert_same(rows.image, case.image)
    _assert_same(rows.labels, case.labels)
    _assert_same(zarr.open_group(path, mode="r")["y"][...], case.labels)


SPLITS = {
    "format": {"name": "spectrain.splits", "version": 1},
    "method": "given",
    "splits": {"train": ["p9", "p2", "p4"], "test": ["p0"]},
    "folds": [{"train": ["p1"], "valid": ["p3", "p5"]}, {"train": ["p3"], "valid": ["p1"]}],
}


class TestSplits:
    @pytest.fixture
    def path(self, tmp_path):
        return write(tmp_path / "a.zarr", CASES["one float band"], splits=SPLITS)

    def test_a_split_holds_its_patches_in_the_order_of_the_folder(self, path):
        train = open_patches(path, "train")
        assert train.metadata()["patch_id"].tolist() == ["p2", "p4", "p9"]
        _assert_same(train.read(np.array([2, 0])).image, CASES["one float band"].image[[9, 2]])

    def test_all_is_every_patch(self, path):
        assert len(open_patches(path, "all")) == COUNT

    def test_an_absent_split_lists_those_present(self, path):
        with pytest.raises(DataError, match=r"did you mean 'train'(.|\n)*train \(3 patches\), test \(1 patches\)"):
            open_patches(path, "trainn")

    @pytest.mark.parametrize(("split", "ids"), [("train", ["p1"]), ("valid", ["p3", "p5"]), ("test", ["p0"])])
    def test_folds_are_read_from_the_same_file(self, path, split, ids):
        patches = open_patches(path, split, DatasetOptions(fold=0))
        assert patches.metadata()["patch_id"].tolist() == ids

    def test_a_person_may_change_the_splits(self, path):
        content = json.loads((path / "splits.json").read_text())
        content["splits"]["train"] = ["p7"]
        (path / "splits.json").write_text(json.dumps(content))
        assert open_patches(path, "train").metadata()["patch_id"].tolist() == ["p7"]

    def test_the_file_states_the_fingerprint_of_the_patches(self, path):
        assert json.loads((path / "splits.json").read_text())["fingerprint"] == open_patches(path, "all").fingerprint()


class TestDamage:
    @pytest.fixture
    def path(self, tmp_path):
        return write(tmp_path / "a.zarr", CASES["mask and label maps"])

    def test_a_sound_folder_passes_the_full_check(self, path):
        NativePatches.open(path).check(full=True)

    @pytest.mark.parametrize("name", ["x/c.1.0.0.0", "mask/c.0.0.0.0", "y/c.2.0.0", "patches.parquet", "x/zarr.json"])
    def test_one_bit_is_found_by_the_full_check(self, path, name):
        patches = NativePatches.open(path)
        raw = bytearray((path / name).read_bytes())
        raw[10] ^= 1
        (path / name).write_bytes(raw)
        patches.check()
        with pytest.raises(DataError, match="checksum") as caught:
            patches.check(full=True)
        assert name in str(caught.value)

    def test_a_missing_file_is_found_by_the_full_check(self, path):
        patches = NativePatches.open(path)
        (path / "patches.parquet").unlink()
        with pytest.raises(DataError, match=r"patches\.parquet"):
            patches.check(full=True)
        for look in (patches.metadata, patches.ids):
            with pytest.raises(DataError, match=r"patches\.parquet"):
                look()

    def test_a_damaged_index_is_found_when_it_is_opened(self, path):
        shard = path / "x" / "c.1.0.0.0"
        raw = bytearray(shard.read_bytes())
        raw[-20] ^= 1
        shard.write_bytes(raw)
        with pytest.raises(DataError, match="index of the shard is damaged") as caught:
            open_patches(path, "all")
        assert str(shard) in str(caught.value)

    @pytest.mark.parametrize("place", [10**9, 2**63 - 1, 2**63, 2**64 - 2])
    def test_an_index_that_points_outside_is_found_when_it_is_opened(self, path, place):
        shard = path / "x" / "c.1.0.0.0"
        raw = shard.read_bytes()
        index = np.frombuffer(raw[-68:-4], "<u8").reshape(4, 2).copy()
        index[2, 0] = place
        shard.write_bytes(raw[:-68] + index.tobytes() + google_crc32c.value(index.tobytes()).to_bytes(4, "little"))
        with pytest.raises(DataError, match="does not fit its content"):
            open_patches(path, "all")

    def test_a_missing_shard_is_named(self, path):
        (path / "y" / "c.2.0.0").unlink()
        with pytest.raises(DataError, match=r"y/c\.2\.0\.0"):
            open_patches(path, "all")

    def test_a_newer_format_is_refused(self, path):
        self.edit(path, lambda record: record["format"].update(version=3))
        with pytest.raises(DataError, match=r"newer spectrain: format version 3, this one knows 2(.|\n)*update"):
            open_patches(path, "train")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda record: record["format"].update(name="other"), "holds 'other', not patches"),
            (lambda record: record["format"].update(version="1"), "no version '1'"),
            (lambda record: record["bands"][0].update(scale=2.0), "checksum"),
            (lambda record: record.pop("format"), "not JSON with a format"),
        ],
    )
    def test_an_edited_manifest_is_refused(self, path, change, message):
        self.edit(path, change)
        with pytest.raises(DataError, match=message) as caught:
            open_patches(path, "train")
        assert str(path / "manifest.json") in str(caught.value)

    @pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"format": 1}'])
    def test_a_manifest_that_is_none_is_refused(self, path, text):
        (path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match="manifest is damaged"):
            open_patches(path, "train")

    @pytest.mark.parametrize(
        "change",
        [
            lambda record: record.pop("arrays"),
            lambda record: record["files"].pop("x/c.1.0.0.0"),
            lambda record: record["arrays"]["x"].update(shape=[11, 3]),
            lambda record: record["arrays"]["x"].update(dtype="no"),
            lambda record: record["arrays"].pop("x"),
            lambda record: record["bands"].pop(),
        ],
    )
    def test_a_manifest_that_contradicts_itself_is_refused(self, path, change):
        def edit(record):
            change(record)
            del record["crc32c"]
            canonical = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
            record["crc32c"] = f"{google_crc32c.value(canonical):08x}"

        self.edit(path, edit)
        with pytest.raises(DataError, match=r"damaged|does not fit"):
            open_patches(path, "all")

    def test_a_table_of_other_length_is_refused(self, path):
        table(4).to_parquet(path / "patches.parquet")
        with pytest.raises(DataError, match="4 rows for 11 patches"):
            open_patches(path, "train")

    @staticmethod
    def edit(path, change):
        record = json.loads((path / "manifest.json").read_text())
        change(record)
        (path / "manifest.json").write_text(json.dumps(record))


def test_what_is_not_native_is_not_recognised(tmp_path):
    zarr.create_group(tmp_path / "other.zarr")
    assert not NativeReader.recognises(tmp_path / "other.zarr")
    assert not NativeReader.recognises(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    assert not NativeReader.recognises(tmp_path / "manifest.json")


def test_bands_and_statistics_come_back(tmp_path):
    bands = Bands([Band("red", 665.0, 30.0, "1", 1e-4, -0.1, 0.0, 10.0), Band("sar", unit="dB")])
    case = content(2, "uint16", count=3)
    path = write(tmp_path / "a.zarr", case, bands=bands, statistics={"mean": [1.5, 2.0]})
    patches = NativePatches.open(path)
    assert patches.bands == bands
    assert patches.statistics() == {"mean": [1.5, 2.0]}
    (path / "statistics.json").write_text("{")
    with pytest.raises(DataError, match=r"statistics\.json"):
        patches.statistics()
    (path / "statistics.json").unlink()
    assert patches.statistics() is None


def test_shape_of_rows(tmp_path):
    case = content(3, "uint16", mask=1, labels=(2, HEIGHT, WIDTH), count=2)
    rows = open_patches(write(tmp_path / "a.zarr", case), "all").read(np.array([1]))
    assert rows.image.shape == (1, 3, HEIGHT, WIDTH)
    assert rows.mask.shape == (1, 1, HEIGHT, WIDTH) and rows.mask.dtype == bool
    assert rows.labels.shape == (1, 2, HEIGHT, WIDTH)
