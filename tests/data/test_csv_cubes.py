"""CSV lists of cubes: the contract, participants who are never torn apart, and what is said of wrong lists."""

from __future__ import annotations

import csv
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from cube_files import pixels, write_cube, write_list
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_contract import CASES as ALL_CASES
from reader_contract import Content, ReaderContract

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.hdf5.listed_cubes import CsvCubesReader
from spectrain.data.opening import open_patches, recognise

PER_IMAGE = ALL_CASES["mask a band, labels"]
CASES = {**ALL_CASES, "mask a band, labels": replace(PER_IMAGE, labels=PER_IMAGE.labels.astype("int64"))}


class CsvContract(ReaderContract):
    layout: dict = {}  # noqa: RUF012

    @pytest.fixture(params=CASES.values(), ids=CASES)
    def case(self, request):
        return request.param

    def write(self, folder, content):
        rows = []
        for number, image in enumerate(content.image):
            beside = {} if content.mask is None else {"mask": content.mask[number].astype("u1")}
            row = {"hs_file": f"cubes\\{number:02}.h5" if number % 2 else f"cubes/{number:02}.h5", "split": "train"}
            if content.labels is not None and content.labels.ndim > 1:
                beside["labels"] = content.labels[number]
            elif content.labels is not None:
                row["label"] = content.labels[number]
            write_cube(folder / "cubes" / f"{number:02}.h5", image, layout=self.layout, **beside)
            rows.append(row)
        return write_list(folder / "list.csv", rows)

    def plain(self, path):
        with path.open() as file:
            rows = list(csv.DictReader(file))
        found = {"cube": [], "mask": [], "labels": []}
        for row in rows:
            with h5py.File(path.parent / row["hs_file"].replace("\\", "/")) as file:
                for name, held in found.items():
                    held += [file[name][()]] if name in file else []
        labels = [int(row["label"]) for row in rows if "label" in row] or found["labels"]
        mask = np.array(found["mask"]) != 0 if found["mask"] else None
        return Content(np.array(found["cube"]), mask, np.array(labels) if labels else None)

    def file_to_cut(self, path):
        return path.parent / "cubes" / "10.h5"


class TestContiguousCubes(CsvContract):
    pass


class TestGzipCubes(CsvContract):
    layout = {"chunks": (1, 4, 4), "compression": "gzip", "shuffle": True}  # noqa: RUF012


def make(folder, groups, column="participant", **more):
    """Write a small cube for each group named, and the list."""
    rows = []
    for number, group in enumerate(groups):
        image = np.full((2, 4, 5), number, "f4")
        file = write_cube(folder / f"{number}.h5", image, "Cube/Images", Cube__Wavelengths=np.array([450.0, 650.0]))
        rows.append(
            {"hs_file": file.name, **({column: group} if column else {}), **{k: v[number] for k, v in more.items()}}
        )
    return write_list(folder / "list.csv", rows)


def numbers(path, split, options=None):
    patches = open_patches(path, split, options)
    return patches.read(np.arange(len(patches))).image[:, 0, 0, 0].astype(int).tolist()


def test_wavelengths_and_metadata(tmp_path):
    path = make(tmp_path, ["007", "008", "a"], rgb_file=["0.png", "1.png", ""], age=[30, 41, 52])
    assert recognise(path) is CsvCubesReader and CsvCubesReader.splits(path) == ["train", "valid"]
    patches = open_patches(path, "all")
    assert [band.wavelength for band in patches.bands] == [450, 650]
    table = patches.metadata()
    assert table["participant"].tolist() == ["007", "008", "a"] and table["age"].tolist() == [30, 41, 52]
    assert table["file"].tolist() == ["0.h5", "1.h5", "2.h5"] and table["patch_id"].is_unique


def test_participants_are_never_torn_apart(tmp_path):
    groups = [f"p{number}" for number in (0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 6, 6)]
    path = make(tmp_path, groups)

    @settings(deadline=None, max_examples=25, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 1000), st.floats(0.01, 0.6), st.floats(0, 0.3))
    def check(seed, valid, test):
        options = DatasetOptions(split_seed=seed, valid_fraction=valid, test_fraction=test)
        parts = {name: numbers(path, name, options) for name in ("train", "valid", *(["test"] if test else []))}
        assert sorted(number for part in parts.values() for number in part) == list(range(12)) and all(parts.values())
        whose = [{groups[number] for number in part} for part in parts.values()]
        assert sum(map(len, whose)) == 7 == len(set.union(*whose))
        assert parts == {name: numbers(path, name, options) for name in parts}

    check()
    assert numbers(path, "all") == list(range(12))


@pytest.mark.parametrize("sizes", [[9, 1], [1, 9], [20, 1, 1], [1, 1, 20]])
def test_each_split_has_a_group_however_few_and_uneven_they_are(tmp_path, sizes):
    path = make(tmp_path, [f"p{number}" for number, size in enumerate(sizes) for _ in range(size)])
    names = ["train", "valid", "test"][: len(sizes)]
    for seed in range(4):
        options = DatasetOptions(split_seed=seed, test_fraction=0.1 * (len(sizes) == 3))
        assert all(numbers(path, name, options) for name in names)


@pytest.mark.parametrize("column", ["participant", "patient", "group", "ID", "id"])
def test_columns_of_groups_that_are_known(tmp_path, column):
    path = make(tmp_path, ["a", "a", "b", "b"], column)
    assert sorted([numbers(path, "train"), numbers(path, "valid")]) == [[0, 1], [2, 3]]


def test_the_option_names_the_column_and_an_unknown_one_lists_those_present(tmp_path):
    path = make(tmp_path, list("abcd"), eye=["l", "l", "r", "r"])
    options = DatasetOptions(group="eye")
    assert sorted([numbers(path, "train", options), numbers(path, "valid", options)]) == [[0, 1], [2, 3]]
    with pytest.raises(DataError, match=r"no column 'eyes'; did you mean 'eye'(.|\n)*hs_file, participant, eye"):
        open_patches(path, "train", DatasetOptions(group="eyes"))


def test_without_a_column_folders_are_groups_and_files_alone_are_warned_of(tmp_path, caplog):
    files = [
        write_cube(tmp_path / folder / f"{n}.h5", seed)
        for n, (folder, seed) in enumerate([("a", pixels()), ("a", pixels()), ("b", pixels()), ("b", pixels())])
    ]
    path = write_list(tmp_path / "list.csv", [{"path": file.relative_to(tmp_path)} for file in files])
    folders = [
        {file.split("/")[0] for file in open_patches(path, split).metadata()["file"]} for split in ("train", "valid")
    ]
    assert sorted(folders, key=str) == [{"a"}, {"b"}] and not caplog.records
    (tmp_path / "flat").mkdir()
    flat = make(tmp_path / "flat", "abc", None)
    with caplog.at_level(logging.WARNING, "spectrain"):
        assert len(numbers(flat, "train")) == 2
    assert "no column of groups" in caplog.text


def test_splits_of_a_column(tmp_path):
    path = make(tmp_path, "aabcd", split=["train", "Train", "val", "hidden", ""])
    assert CsvCubesReader.splits(path) == ["train", "valid", "hidden"]
    found = [numbers(path, name) for name in ("train", "valid", "val", "hidden", "all")]
    assert found == [[0, 1], [2], [2], [3], [0, 1, 2, 3, 4]]
    with pytest.raises(DataError, match=r"no split 'test'(.|\n)*train \(2 images\), valid \(1 images\), hidden"):
        open_patches(path, "test")


def test_a_participant_in_two_splits_is_named(tmp_path):
    path = make(tmp_path, "aab", split=["train", "valid", "train"])
    with pytest.raises(DataError, match=r"1 of 2 groups are in two splits: 'a' in train and valid") as caught:
        open_patches(path, "train")
    assert str(path) in str(caught.value)


def listed(folder, files, **columns):
    """Write a list that names the cubes of `make` in its own way."""
    path = make(folder, "abcd", None)
    (folder / "again.h5").unlink(missing_ok=True)
    (folder / "again.h5").symlink_to("2.h5")
    return write_list(
        path, [{"hs_file": file, **{k: v[n] for k, v in columns.items()}} for n, file in enumerate(files)]
    )


@pytest.mark.parametrize("again", ["2.h5", "./2.h5", "again.h5", ".\\2.h5"])
def test_a_file_of_two_participants_is_refused_with_its_rows(tmp_path, again):
    path = listed(tmp_path, ["0.h5", "1.h5", "2.h5", "3.h5", again], participant="abcde")
    for split in ("train", "valid"):
        with pytest.raises(
            DataError, match=r"1 of 4 files are listed .*\n +2.h5: 'c' in line 4, 'e' in line 6"
        ) as caught:
            open_patches(path, split)
        assert f"{path}, line 6" in str(caught.value)
    same = listed(tmp_path, ["0.h5", "1.h5", "2.h5", "3.h5", again], participant="abcdc")
    parts = [numbers(same, "train"), numbers(same, "valid")]
    assert sorted([*parts[0], *parts[1]]) == [0, 1, 2, 2, 3] and any(part.count(2) == 2 for part in parts)


def test_a_file_in_two_splits_is_refused_with_its_rows(tmp_path):
    path = listed(tmp_path, ["0.h5", "1.h5", "./1.h5"], split=["train", "train", "val"])
    with pytest.raises(DataError, match=r"with different 'split':\n +1.h5: 'train' in line 3, 'valid' in line 4"):
        open_patches(path, "train")
    other = listed(tmp_path, ["0.h5", "1.h5", "./1.h5"], split=["train", "valid", ""])
    assert numbers(other, "train") == [0] and numbers(other, "valid") == [1]


def test_without_a_column_a_file_listed_twice_stays_together(tmp_path):
    path = listed(tmp_path, ["0.h5", "1.h5", "./0.h5", "2.h5"])
    for seed in range(8):
        parts = [numbers(path, name, DatasetOptions(split_seed=seed)) for name in ("train", "valid")]
        assert any(part.count(0) == 2 for part in parts)


def test_a_column_that_numbers_the_rows_is_warned_of_once(tmp_path, caplog):
    path = make(tmp_path, range(6), "id", eye=list("lrlrlr"))
    with caplog.at_level(logging.WARNING, "spectrain"):
        for split in ("train", "valid"):
            open_patches(path, split)
    (record,) = caplog.records
    assert "'id' was taken" in record.message and "dataset.group=COLUMN names another (hs_file, eye)" in record.message
    caplog.clear()
    open_patches(path, "train", DatasetOptions(group="id"))
    (tmp_path / "twice").mkdir()
    open_patches(make(tmp_path / "twice", "aabcd", "id"), "train")
    assert not caplog.records


def test_too_few_groups(tmp_path):
    path = make(tmp_path, "aa")
    assert CsvCubesReader.splits(path) == ["all"]
    with pytest.raises(DataError, match=r"there is 1 group for 2 splits \(train, valid\)(.|\n)*train_key=all"):
        open_patches(path, "train")
    assert numbers(path, "train", DatasetOptions(valid_fraction=0)) == [0, 1]
    with pytest.raises(DataError, match="leave nothing for training"):
        open_patches(path, "train", DatasetOptions(valid_fraction=0.5, test_fraction=0.5))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([3, 0, 1], [3, 0, 1]),
        (["well", "ill", ""], [1, 0, -1]),
        ([3, "", 1], [3, -1, 1]),
        ([0.5, "", 2], [0.5, np.nan, 2]),
        (["", "", ""], None),
    ],
)
def test_labels_of_a_column(tmp_path, labels, expected):
    patches = open_patches(make(tmp_path, "abc", label=labels), "all")
    assert patches.has_labels == (expected is not None)
    if expected is not None:
        np.testing.assert_array_equal(patches.read(np.arange(3)).labels, expected)


def test_windows_of_cubes_of_several_sizes(tmp_path):
    sides = {"a": (9, 7), "b": (6, 12)}
    arrays = {name: pixels((2, *side)) for name, side in sides.items()}
    maps = {name: pixels((1, *side))[0].astype("u1") for name, side in sides.items()}
    rows = [{"file": write_cube(tmp_path / f"{name}.h5", arrays[name], labels=maps[name])} for name in sides]
    path = write_list(tmp_path / "list.csv", [{"file": str(row["file"]), "group": row["file"].stem} for row in rows])
    with pytest.raises(DataError, match=r"several sizes(.|\n)*b\.h5(.|\n)*dataset\.window"):
        open_patches(path, "all")
    patches = open_patches(path, "all", DatasetOptions(window=4, stride=2))
    rows = patches.read(np.arange(len(patches)))
    for number, one in enumerate(patches.metadata().itertuples()):
        inside = (slice(one.row, one.row + 4), slice(one.column, one.column + 4))
        name = one.file[-4]
        assert np.array_equal(rows.image[number], arrays[name][:, *inside])
        assert np.array_equal(rows.labels[number], maps[name][inside])


class TestWrongLists:
    def test_rows_without_a_cube_are_counted_and_named(self, tmp_path):
        path = make(tmp_path, "abcdef")
        (tmp_path / "1.h5").unlink()
        (tmp_path / "2.h5").write_bytes(b"no HDF5")
        with h5py.File(tmp_path / "4.h5", "w") as file:
            file["spectra"] = np.zeros((3, 4))
        text = path.read_text().splitlines()
        text[6] = ",f"
        path.write_text("\n".join(text))
        with pytest.raises(DataError) as caught:
            open_patches(path, "train")
        said = str(caught.value)
        for part in (
            "4 of 6 rows have no cube that can be read",
            f"line 3: {tmp_path / '1.h5'}: there is no such file",
            f"line 4: {tmp_path / '2.h5'}: cannot be opened as HDF5",
            f"line 6: {tmp_path / '4.h5'}: no dataset of shape (bands, H, W)",
            "spectra (3, 4) float64",
            "...",
            f"where: {path}, line 3",
            "mend:",
        ):
            assert part in said, part

    def test_a_blank_cell(self, tmp_path):
        path = make(tmp_path, "abc")
        path.write_text(path.read_text().replace("1.h5,b", ",b"))
        with pytest.raises(DataError, match=r"1 of 3 rows(.|\n)*line 3: the column 'hs_file' is blank"):
            open_patches(path, "train")

    def test_a_row_without_participant(self, tmp_path):
        with pytest.raises(DataError, match=r"1 of 3 rows have nothing in the column 'participant'(.|\n)*line 3"):
            open_patches(make(tmp_path, ["a", "", "c"]), "train")

    @pytest.mark.parametrize(
        ("cube", "message"),
        [
            (np.zeros((3, 4, 5), "f4"), "3 bands in place of 2"),
            (np.zeros((2, 4, 5), "f8"), "type float64 in place of float32"),
            (None, "band 2 has wavelength 660 nm in place of 650 nm"),
        ],
    )
    def test_cubes_of_other_bands_are_named(self, tmp_path, cube, message):
        path = make(tmp_path, "abc")
        wavelengths = [450.0, 660.0] if cube is None else [450.0, 650.0, 700.0][: len(cube)]
        cube = np.zeros((2, 4, 5), "f4") if cube is None else cube
        write_cube(tmp_path / "1.h5", cube, "Cube/Images", Cube__Wavelengths=wavelengths)
        with pytest.raises(DataError, match=message) as caught:
            open_patches(path, "train")
        assert f"where: {tmp_path / '1.h5'}" in str(caught.value)

    def test_labels_in_some_files_only(self, tmp_path):
        path = make(tmp_path, "ab")
        write_cube(
            tmp_path / "1.h5",
            np.zeros((2, 4, 5), "f4"),
            "Cube/Images",
            Cube__Wavelengths=[450.0, 650.0],
            labels=np.zeros((4, 5), "u1"),
        )
        with pytest.raises(
            DataError, match=r"has labels of shape \(H,W\) and type uint8, the first one(.|\n)*no labels"
        ):
            open_patches(path, "train")

    def test_a_list_of_nothing(self, tmp_path):
        (tmp_path / "a.csv").write_text("hs_file,label\n")
        with pytest.raises(DataError, match="lists no cubes"):
            open_patches(tmp_path / "a.csv")

    def test_other_csv_files_are_of_no_known_kind(self, tmp_path):
        (tmp_path / "a.csv").write_text("x,y\n1,2\n")
        with pytest.raises(DataError, match=r"of no known kind(.|\n)*CSV file with a column hs_file"):
            open_patches(tmp_path / "a.csv")


def test_real_cubes(shared_data, tmp_path):
    real = shared_data / "hyperspectral" / "samson_30band.h5"
    files = [real, Path(shutil.copy(real, tmp_path / "again.h5"))]
    path = write_list(tmp_path / "list.csv", [{"hs_file": file, "ID": n} for n, file in enumerate(files)])
    patches = open_patches(path, "valid", DatasetOptions(window=32, stride=16))
    assert patches.shape == (25, 30, 32, 32) and 450 < patches.bands[0].wavelength < 460
    with h5py.File(files[0]) as file:
        cube, labels = file["cube"][()], file["labels"][()]
    rows = patches.read(np.arange(25))
    for number, (_, row, column) in enumerate(patches.cut.places.tolist()):
        assert np.array_equal(rows.image[number], cube[:, row : row + 32, column : column + 32])
        assert np.array_equal(rows.labels[number], labels[row : row + 32, column : column + 32])
    other = write_list(
        tmp_path / "two.csv",
        [{"hs_file": file, "ID": file.stem} for file in (files[0], real.with_name("samson.h5"))],
    )
    with pytest.raises(DataError, match=r"156 bands in place of 30(.|\n)*samson\.h5"):
        open_patches(other, "train")
