"""The writer of the native form: what others make of it, what it refuses, and that nothing is ever half written."""

from __future__ import annotations

import errno
import json
import os
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from memory_patches import MemoryPatches
from reader_contract import CASES, content, in_child

from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.data.native import writer as native_writer
from spectrain.data.native.convert import write_native
from spectrain.data.native.patches import NativePatches
from spectrain.data.native.writer import NativeWriter
from spectrain.data.opening import open_patches
from spectrain.data.patches import Rows
from spectrain.data.splits_file import given_splits

TWO = Bands.unnamed(2)


def table(count, first=0):
    return pd.DataFrame({"patch_id": [f"p{number}" for number in range(first, first + count)]})


def images(count=3, channels=2, dtype="uint16"):
    return content(channels, dtype, count=max(count, 2)).image[:count]


def commit(path, image, bands, **options):
    with NativeWriter(path, bands, **options) as writer:
        writer.append(Rows(image, None, None), table(len(image)))
        return writer.commit()


def test_zarr_metadata_are_as_documented(tmp_path):
    case = content(2, "uint16", mask=1, labels=())
    with NativeWriter(tmp_path / "a.zarr", TWO, shard_bytes=4 * case.image[:1].nbytes) as writer:
        writer.append(Rows(case.image, case.mask, case.labels), table(11))
        group = zarr.open_group(writer.commit(), mode="r")
    x, mask, y = group["x"], group["mask"], group["y"]
    assert (x.chunks, x.shards) == ((1, 2, 6, 5), (4, 2, 6, 5))
    assert x.metadata.dimension_names == ("sample", "band", "y", "x") and x.compressors == ()
    assert mask.dtype == bool and mask.shape == (11, 1, 6, 5)
    assert (y.chunks, y.shards, y.dtype) == ((4,), (4,), np.int16)
    assert group.metadata.zarr_format == 3
    last = (tmp_path / "a.zarr/x/c.2.0.0.0").stat().st_size
    assert last == 3 * case.image[0].nbytes + 16 * 4 + 4


def test_a_shard_of_small_patches_has_few_enough_rows_for_its_index(tmp_path, monkeypatch):
    monkeypatch.setattr(native_writer, "SHARD_ROWS", 2)
    path = commit(tmp_path / "a.zarr", images(5), TWO)
    assert len(list((path / "x").glob("c*"))) == 3
    np.testing.assert_array_equal(zarr.open_group(path, mode="r")["x"][...], images(5))
    np.testing.assert_array_equal(NativePatches.open(path).read(np.arange(5)).image, images(5))


def test_cf_attributes_decode_to_physical_values(tmp_path):
    bands = Bands(Band(name, unit="1", scale=1e-4, offset=-0.1, nodata=0) for name in ("red", "nir"))
    image = images()
    x = zarr.open_group(commit(tmp_path / "a.zarr", image, bands), mode="r")["x"]
    assert x.attrs["units"] == "1" and x.attrs["_FillValue"] == 0 == x.fill_value
    decoded = x[...] * x.attrs["scale_factor"] + x.attrs["add_offset"]
    np.testing.assert_allclose(decoded, image * 1e-4 - 0.1)


def test_what_differs_between_bands_is_not_said_of_all(tmp_path):
    bands = Bands([Band("red", unit="1", scale=1e-4, nodata=0), Band("sar", unit="dB", nodata=-9999)])
    group = zarr.open_group(commit(tmp_path / "a.zarr", images(), bands), mode="r")
    assert dict(group["x"].attrs) == {}
    assert Bands.from_json(group.attrs["spectrain_bands"]) == bands


@pytest.mark.parametrize(
    ("dtype", "nodata", "fill"), [("float32", -9999.0, -9999.0), ("uint8", -1.0, 0), ("int16", -1.0, -1)]
)
def test_nodata_that_the_type_holds_is_the_fill_value(tmp_path, dtype, nodata, fill):
    path = commit(tmp_path / "a.zarr", images(dtype=dtype), Bands(Band(name, nodata=nodata) for name in "ab"))
    x = zarr.open_group(path, mode="r")["x"]
    assert x.fill_value == fill
    assert ("_FillValue" in x.attrs) == (fill == nodata)
    assert NativePatches.open(path).bands[0].nodata == nodata


def test_nothing_is_seen_before_the_commit_and_nothing_else_after(tmp_path):
    with NativeWriter(tmp_path / "a.zarr", TWO) as writer:
        writer.append(Rows(images(), None, None), table(3))
        assert not (tmp_path / "a.zarr").exists()
        writer.commit()
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]
    assert sorted(one.name for one in (tmp_path / "a.zarr").iterdir()) == sorted(
        ["manifest.json", "zarr.json", "patches.parquet", "splits.json", "x"]
    )


def test_leaving_without_a_commit_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), NativeWriter(tmp_path / "a.zarr", TWO, shard_bytes=1) as writer:
        writer.append(Rows(images(), None, None), table(3))
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_patches_and_blocks_nobody(tmp_path):
    def begin():
        writer = NativeWriter(tmp_path / "a.zarr", TWO, shard_bytes=1)
        writer.append(Rows(images(), None, None), table(3))
        os._exit(9)

    assert in_child(begin) == "died with 9"
    assert not (tmp_path / "a.zarr").exists()
    assert len(open_patches(commit(tmp_path / "a.zarr", images(), TWO))) == 3


@pytest.mark.parametrize("moment", ["append", "commit"])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, monkeypatch, moment):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="the disk is full"), NativeWriter(tmp_path / "a.zarr", TWO) as writer:
        writer._shard_bytes = 1 if moment == "append" else 2**20
        monkeypatch.setattr(os, "fsync", full)
        writer.append(Rows(images(), None, None), table(3))
        assert moment == "commit"
        writer.commit()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_refused(tmp_path):
    commit(tmp_path / "a.zarr", images(), TWO)
    with pytest.raises(DataError, match="something at this place already"):
        NativeWriter(tmp_path / "a.zarr", TWO)


def test_a_place_that_was_taken_meanwhile_is_left_alone(tmp_path):
    with NativeWriter(tmp_path / "a.zarr", TWO) as writer:
        writer.append(Rows(images(), None, None), table(3))
        commit(tmp_path / "a.zarr", images(2), TWO)
        with pytest.raises(DataError, match="nothing of this name is there"):
            writer.commit()
    assert len(open_patches(tmp_path / "a.zarr")) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written") as caught:
        NativeWriter(tmp_path / "file" / "a.zarr", TWO)
    assert "a.zarr" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "metadata", "message"),
    [
        (Rows(images(channels=3), None, None), table(3), "do not fit 2 bands"),
        (Rows(images()[0], None, None), table(2), "do not fit 2 bands"),
        (Rows(images(), None, None), table(2), "another number"),
        (Rows(images(), np.ones((3, 3, 6, 5), bool), None), table(3), "masks of shape"),
        (Rows(images(), None, np.zeros((3, 5, 6))), table(3), "labels of shape"),
        (Rows(images(), None, None), pd.DataFrame({"id": range(3)}), "no column 'patch_id'"),
        (Rows(images(dtype="int16"), None, None), table(3), r"hold x \(2, 6, 5\) int16, those before .* uint16"),
        (Rows(images(), np.ones((3, 1, 6, 5), bool), None), table(3), r"hold .*mask.*those before x"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, rows, metadata, message):
    with NativeWriter(tmp_path / "a.zarr", TWO) as writer:
        writer.append(Rows(images(1), None, None), table(1, first=100))
        with pytest.raises(DataError, match=message):
            writer.append(rows, metadata)


def test_patch_ids_must_be_unique_and_splits_name_only_them(tmp_path):
    with NativeWriter(tmp_path / "a.zarr", TWO) as writer:
        with pytest.raises(DataError, match="no patches"):
            writer.commit()
        writer.append(Rows(images(), None, None), table(3))
        with pytest.raises(DataError, match="'train' names 'p7'"):
            writer.commit(splits={"splits": {"train": ["p0", "p7"]}})
        writer.append(Rows(images(), None, None), table(3))
        with pytest.raises(DataError, match="'p0' occurs twice"):
            writer.commit()


def test_patch_ids_are_stored_as_text(tmp_path):
    with NativeWriter(tmp_path / "a.zarr", TWO) as writer:
        writer.append(Rows(images(), None, None), pd.DataFrame({"patch_id": [7, 8, 9]}))
        path = writer.commit(splits=given_splits({"train": ["8"]}))
    assert open_patches(path, "train").metadata()["patch_id"].tolist() == ["8"]


def test_equal_content_gives_equal_fingerprints_and_manifests(tmp_path):
    one, other = (commit(tmp_path / name, images(), TWO) for name in ("a.zarr", "b.zarr"))
    assert (one / "manifest.json").read_text() == (other / "manifest.json").read_text()
    assert open_patches(one).fingerprint() == open_patches(other).fingerprint()


def test_big_endian_images_are_stored_as_everybody_reads_them(tmp_path):
    image = images().astype(">u2")
    path = commit(tmp_path / "a.zarr", image, TWO)
    assert np.array_equal(open_patches(path).read(np.arange(3)).image, image)


class TestConversion:
    def test_any_patches_with_their_splits(self, tmp_path):
        case = CASES["mask and label maps"]
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for split, part in (("train", slice(0, 8)), ("valid", slice(8, 11))):
                file[split], file[f"{split}_labels"] = case.image[part], case.labels[part]
                file[f"{split}_mask"] = case.mask[part]
            file.attrs["channels"] = ["red [1]", "green [1]", "nir [1]"]
        splits = {name: open_patches(tmp_path / "a.h5", name) for name in ("train", "valid")}
        path = write_native(
            splits, tmp_path / "a.zarr", shard_bytes=3 * case.image[:1].nbytes, statistics={"mean": [1]}
        )
        for name, patches in splits.items():
            native = open_patches(path, name)
            ours, theirs = (one.read(np.arange(len(patches))) for one in (native, patches))
            assert np.array_equal(ours.image, theirs.image) and np.array_equal(ours.labels, theirs.labels)
            assert np.array_equal(ours.mask, theirs.mask)
            assert native.bands == patches.bands and native.bands.names == ("red", "green", "nir")
            assert native.metadata()["patch_id"].tolist() == patches.metadata()["patch_id"].tolist()
        assert json.loads((path / "statistics.json").read_text()) == {"mean": [1]}

    def test_reads_no_more_than_part_of_a_shard_at_once(self, tmp_path):
        class Watched(MemoryPatches):
            most = 0

            def read(self, index):
                self.most = max(self.most, len(index))
                return super().read(index)

        patches = Watched(np.zeros((50, 1, 4, 4), dtype="u1"))
        write_native({"train": patches}, tmp_path / "a.zarr", shard_bytes=16 * 12)
        assert patches.most == 3

    def test_splits_of_other_bands_or_with_shared_ids_are_refused(self, tmp_path):
        image = images()
        named = MemoryPatches(image, bands=Bands([Band("a"), Band("b")]))
        with pytest.raises(DataError, match="'valid' has other bands than 'train'"):
            write_native({"train": MemoryPatches(image), "valid": named}, tmp_path / "a.zarr")
        with pytest.raises(DataError, match="'p0' occurs twice"):
            write_native({"train": MemoryPatches(image), "valid": MemoryPatches(image)}, tmp_path / "a.zarr")
        with pytest.raises(DataError, match="no splits"):
            write_native({}, tmp_path / "a.zarr")
        assert list(tmp_path.iterdir()) == []

    def test_a_source_that_fails_leaves_nothing(self, tmp_path):
        with pytest.raises(DataError, match="patch 2 is damaged"):
            write_native({"train": MemoryPatches(images(), fail_at=2)}, tmp_path / "a.zarr")
        assert list(tmp_path.iterdir()) == []

    def test_the_real_ocean(self, tmp_path, shared_data):
        source = shared_data / "ocean_colour" / "olci_sns_64px.h5"
        patches = open_patches(source, "valid")
        path = write_native({"valid": patches}, tmp_path / "a.zarr", shard_bytes=2**20)
        with h5py.File(source) as file:
            assert zarr.open_group(path, mode="r")["x"][...].tobytes() == file["valid"][()].tobytes()
        moved = shutil.move(path, tmp_path / "elsewhere.zarr")
        NativePatches.open(moved).check(full=True)
