"""Where the rows of metadata of an HDF5 file come from."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from spectrain.core.errors import DataError
from spectrain.data.hdf5.metadata import metadata_rows


@pytest.fixture
def path(tmp_path):
    """A file beside which and in which the tests write."""
    with h5py.File(tmp_path / "sea.h5", "w") as file:
        file["train"] = np.zeros((3, 4, 4))
    return tmp_path / "sea.h5"


def write_table(path, table, suffix=".parquet"):
    file = path.with_name(f"{path.stem}_meta{suffix}")
    table.to_parquet(file) if suffix == ".parquet" else table.to_csv(file, index=False)
    return file


TABLE = pd.DataFrame(
    {"split": ["valid", "train", "train", "train"], "index_in_split": [0, 2, 0, 1], "lat": [9.0, 2.5, 0.5, 1.5]}
)


def test_without_any_there_are_ids(path):
    assert metadata_rows(path, "train", 3)["patch_id"].tolist() == ["train/0", "train/1", "train/2"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_the_rows_of_a_split_in_the_order_of_its_patches(path, suffix):
    write_table(path, TABLE, suffix)
    rows = metadata_rows(path, "train", 3)
    assert rows["lat"].tolist() == [0.5, 1.5, 2.5]
    assert rows["patch_id"].tolist() == ["train/0", "train/1", "train/2"]
    assert list(rows.index) == [0, 1, 2]


def test_parquet_goes_before_csv_and_both_before_what_is_inside(path):
    write_table(path, TABLE.assign(lat=7.0), ".csv")
    with h5py.File(path, "a") as file:
        file["train_metadata"] = np.zeros((3, 1))
    assert metadata_rows(path, "train", 3)["lat"].tolist() == [7.0] * 3
    write_table(path, TABLE)
    assert metadata_rows(path, "train", 3)["lat"].tolist() == [0.5, 1.5, 2.5]


def test_a_table_without_splits_has_a_row_a_patch(path):
    write_table(path, pd.DataFrame({"patch_id": [5, 6, 7]}))
    assert metadata_rows(path, "train", 3)["patch_id"].tolist() == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE[:3], r"2 rows for the split 'train', which has 3 patches"),
        (TABLE[:1], r"no rows for the split 'train'(.|\n)*its splits are valid"),
        (TABLE.assign(index_in_split=[0, 2, 0, 2]), "does not count the patches of 'train' from 0 to 2"),
        (TABLE.assign(patch_id="same"), "patch_id 'same' occurs twice"),
    ],
)
def test_tables_that_do_not_fit_are_refused(path, table, message):
    file = write_table(path, table)
    with pytest.raises(DataError, match=message) as caught:
        metadata_rows(path, "train", 3)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_damaged_table_is_named(path, suffix):
    file = path.with_name(f"sea_meta{suffix}")
    file.write_bytes(b"" if suffix == ".csv" else b"PAR1 no PAR1")
    with pytest.raises(DataError, match="metadata table cannot be read") as caught:
        metadata_rows(path, "train", 3)
    assert str(file) in str(caught.value)


def _inside(path, fill):
    with h5py.File(path, "a") as file:
        fill(file)
    return metadata_rows(path, "train", 3)


def test_records_inside(path):
    records = np.array([(b"a", 1.0), (b"b", 2.0), (b"c", 3.0)], dtype=[("place", "S3"), ("lat", "f8")])
    rows = _inside(path, lambda file: file.create_dataset("train_metadata", data=records))
    assert rows["place"].tolist() == ["a", "b", "c"] and rows["lat"].tolist() == [1.0, 2.0, 3.0]


def test_numbers_inside_with_and_without_names(path):
    def fill(file):
        file["train_metadata"] = np.arange(6.0).reshape(3, 2)

    assert _inside(path, fill)["metadata_1"].tolist() == [1.0, 3.0, 5.0]
    with h5py.File(path, "a") as file:
        file["train_metadata"].attrs["columns"] = ["lat", "lon"]
    assert metadata_rows(path, "train", 3)["lon"].tolist() == [1.0, 3.0, 5.0]


def test_texts_and_groups_inside(path):
    def fill(file):
        file["train_metadata/name"] = ["x", "y", "z"]
        file["train_metadata/size"] = [1, 2, 3]

    rows = _inside(path, fill)
    assert rows["name"].tolist() == ["x", "y", "z"] and rows["size"].tolist() == [1, 2, 3]


def test_inside_with_another_number_of_rows_is_refused(path):
    with pytest.raises(DataError, match=r"2 rows for the split(.|\n)*train_metadata"):
        _inside(path, lambda file: file.create_dataset("train_metadata", data=np.zeros((2, 1))))
