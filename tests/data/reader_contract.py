"""What every reader must do. A reader's test inherits `ReaderContract` and says how its files are written and cut."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches
from spectrain.preparation import prepare

COUNT, HEIGHT, WIDTH = 11, 6, 5


@dataclass(frozen=True)
class Content:
    """Arrays to be written as the split "train", and what else a file may be asked to hold."""

    image: np.ndarray
    mask: np.ndarray | None = None
    labels: np.ndarray | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


def content(channels=2, dtype="float32", mask=None, labels=None, count=COUNT) -> Content:
    """Return arbitrary numbers; patches 3 and 4 hold nothing but the fill value 0, and floats hold NaN.

    Args:
        channels: of the images.
        dtype: of the images.
        mask: channels of the mask, or None.
        labels: shape of a patch's labels behind the count, or None.
        count: number of patches.
    """
    random = np.random.default_rng(3)
    image = random.integers(0, 200, (count, channels, HEIGHT, WIDTH)).astype(dtype)
    image[3:5] = 0
    if np.issubdtype(image.dtype, np.floating):
        image[1, 0, 2, 2] = np.nan
    return Content(
        image,
        None if mask is None else random.integers(0, 2, (count, mask, HEIGHT, WIDTH)).astype(bool),
        None if labels is None else random.integers(0, 9, (count, *labels)).astype("int16"),
    )


CASES = {
    "one float band": content(1, "float32"),
    "mask and label maps": content(3, "uint16", mask=1, labels=(HEIGHT, WIDTH)),
    "mask a band, labels": content(2, "int16", mask=2, labels=()),
    "many quantities, bytes": content(4, "uint8", labels=(2, HEIGHT, WIDTH)),
    "double, one patch": replace(content(2, "float64"), image=content(2, "float64").image[:1]),
}
ANY_INDEX = st.lists(st.integers(0, COUNT - 1), max_size=3 * COUNT)


class ReaderContract(ABC):
    """Inherit as ``class TestMine(ReaderContract)``."""

    @abstractmethod
    def write(self, folder: Path, content: Content) -> Path:
        """Write the content as the split "train" into an empty folder, and return the path to open."""

    @abstractmethod
    def plain(self, path: Path) -> Content:
        """Read the split "train" with an independent library, images as [N,C,H,W] and masks as bool."""

    @abstractmethod
    def file_to_cut(self, path: Path) -> Path:
        """Return a file that holds images of the last patches up to near its end."""

    @pytest.fixture(params=CASES.values(), ids=CASES)
    def case(self, request) -> Content:
        return request.param

    @pytest.fixture
    def path(self, tmp_path) -> Path:
        return self.write(tmp_path, CASES["mask and label maps"])

    def test_shape_type_and_bands(self, tmp_path, case):
        patches = open_patches(self.write(tmp_path, case), "train")
        assert patches.shape == case.image.shape and len(patches) == len(case.image)
        assert patches.dtype == case.image.dtype
        assert len(patches.bands) == case.image.shape[1]
        assert patches.has_mask == (case.mask is not None)
        assert patches.has_labels == (case.labels is not None)

    def test_reads_what_was_written_and_what_a_plain_library_reads(self, tmp_path, case):
        path = self.write(tmp_path, case)
        rows = open_patches(path, "train").read(np.arange(len(case.image)))
        plain = self.plain(path)
        for one in (case, plain):
            _assert_same(rows.image, one.image)
            _assert_same(rows.mask, one.mask)
            _assert_same(rows.labels, one.labels)

    def test_prepared_once_it_is_the_same_in_the_native_form(self, tmp_path, case):
        path = self.write(tmp_path, case)
        before, made = open_patches(path, "train"), tmp_path / "made"
        if (path / "manifest.json").exists() or (path / "cross-val.zarr" / "manifest.json").exists():
            with pytest.raises(DataError, match=rf"in the native form(.|\n)*train on dataset.path={path}"):
                prepare("patches", path=str(path), output=str(made))
            assert not made.exists()
            return
        told = prepare("patches", path=str(path), output=str(made))
        assert sum(told.patches.values()) >= len(before)
        after = open_patches(made, "train")
        assert (after.bands, after.shape, after.dtype) == (before.bands, before.shape, before.dtype)
        assert after.preparation == before.preparation
        index = np.arange(len(before))
        one, two = before.read(index), after.read(index)
        _assert_same(one.image, two.image)
        _assert_same(one.mask, two.mask)
        _assert_same(one.labels, two.labels)
        assert after.metadata()["patch_id"].tolist() == before.metadata()["patch_id"].tolist()

    def test_any_index_in_any_order(self, tmp_path):
        case = CASES["mask and label maps"]
        patches = open_patches(self.write(tmp_path, case), "train")

        @settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), database=None)
        @given(ANY_INDEX)
        def check(chosen):
            index = np.array(chosen, dtype=np.int64)
            rows = patches.read(index)
            _assert_same(rows.image, case.image[index])
            _assert_same(rows.mask, case.mask[index])
            _assert_same(rows.labels, case.labels[index])

        check()

    def test_empty_index_gives_empty_rows(self, path):
        rows = open_patches(path, "train").read(np.empty(0, dtype=np.int64))
        assert rows.image.shape == (0, 3, HEIGHT, WIDTH) and rows.image.dtype == np.uint16
        assert rows.mask.shape == (0, 1, HEIGHT, WIDTH) and rows.mask.dtype == bool
        assert rows.labels.shape == (0, HEIGHT, WIDTH)

    @pytest.mark.parametrize("index", [[COUNT], [0, -1], [0, 2**40], [-(2**63)]])
    def test_an_index_out_of_range_is_refused(self, path, index):
        with pytest.raises(IndexError, match=str(index[-1])):
            open_patches(path, "train").read(np.array(index))

    def test_fill_values_are_patches_like_others(self, path):
        rows = open_patches(path, "train").read(np.array([4, 3]))
        assert (rows.image == 0).all() and rows.image.shape[0] == 2

    def test_rows_are_the_callers_own(self, path):
        patches = open_patches(path, "train")
        rows = patches.read(np.array([2, 5]))
        before = rows.image.copy()
        rows.image[...] += 1
        rows.mask[...] = ~rows.mask
        _assert_same(patches.read(np.array([2, 5])).image, before)

    def test_pickles_before_and_after_reading(self, path):
        patches = open_patches(path, "train")
        first = pickle.loads(pickle.dumps(patches))
        expected = patches.read(np.array([7, 0])).image
        for copy in (first, pickle.loads(pickle.dumps(patches))):
            _assert_same(copy.read(np.array([7, 0])).image, expected)

    def test_reads_in_a_forked_process_whose_parent_has_read(self, path):
        patches = open_patches(path, "train")
        index = np.array([10, 1, 1])
        expected = patches.read(index)
        assert in_child(lambda: _assert_same(patches.read(index).image, expected.image)) == "fine"
        _assert_same(patches.read(index).labels, expected.labels)

    def test_metadata_have_a_row_a_patch(self, path):
        table = open_patches(path, "train").metadata()
        assert len(table) == COUNT
        assert table["patch_id"].is_unique and list(table.index) == list(range(COUNT))

    def test_a_column_by_itself_is_that_of_the_table(self, path):
        patches = open_patches(path, "train")
        table = patches.metadata()
        for name in table:
            np.testing.assert_array_equal(patches.column(name), table[name].to_numpy())
        assert patches.ids() == table["patch_id"].astype(str).tolist()
        assert patches.column("of no patch") is None

    def test_a_file_cut_before_it_is_opened_is_found(self, path):
        file = self.file_to_cut(path)
        os.truncate(file, file.stat().st_size // 2)
        with pytest.raises(DataError, match=r"cut|truncated|short") as caught:
            open_patches(path, "train")
        assert str(file) in str(caught.value)

    def test_a_file_cut_while_open_is_found_and_kills_nobody(self, path):
        def cut_and_read():
            patches = open_patches(path, "train")
            patches.read(np.arange(COUNT))
            file = self.file_to_cut(path)
            os.truncate(file, file.stat().st_size // 2)
            for look in (patches.check, lambda: patches.read(np.array([COUNT - 1]))):
                with pytest.raises(DataError) as caught:
                    look()
                assert str(file) in str(caught.value)

        # a mapped page that is gone kills the process, so this is tried in one that may die
        assert in_child(cut_and_read) == "fine"

    def test_a_file_that_is_gone_is_found(self, path):
        patches = open_patches(path, "train")
        patches.check()
        file = self.file_to_cut(path)
        file.unlink()
        with pytest.raises(DataError) as caught:
            patches.check()
        assert str(file) in str(caught.value)

    def test_fingerprint_is_of_the_content_and_not_of_place_or_date(self, path, tmp_path):
        fingerprint = open_patches(path, "train").fingerprint()
        other = tmp_path / "elsewhere"
        moved = shutil.copytree(path.parent, other) / path.name
        for file in [moved, *moved.rglob("*")]:
            os.utime(file, (1, 1))
        assert open_patches(moved, "train").fingerprint() == fingerprint

    @pytest.mark.parametrize("part", ["image", "mask", "labels"])
    def test_fingerprint_follows_a_change_of_one_number(self, path, tmp_path, part):
        case = CASES["mask and label maps"]
        changed = getattr(case, part).copy()
        changed[6, ..., 0, 0] = ~changed[6, ..., 0, 0] if part == "mask" else changed[6, ..., 0, 0] + 1
        folder = tmp_path / "changed"
        folder.mkdir()
        other = self.write(folder, replace(case, **{part: changed}))
        assert open_patches(other, "train").fingerprint() != open_patches(path, "train").fingerprint()

    def test_stamp_is_of_one_copy_and_follows_a_date(self, path, tmp_path):
        opened = open_patches(path, "train")
        stamp = opened.stamp()
        assert stamp is not None
        assert open_patches(path, "train").stamp() == stamp
        moved = shutil.copytree(path.parent, tmp_path / "elsewhere") / path.name
        assert open_patches(moved, "train").stamp() not in (stamp, None)
        os.utime(self.file_to_cut(path), (1, 1))
        assert opened.stamp() not in (stamp, None)
        self.file_to_cut(path).unlink()
        assert opened.stamp() is None

    def test_bands_are_chosen_named_and_described_by_the_options(self, path):
        patches = open_patches(path, "train")
        names = patches.bands.names
        options = DatasetOptions(bands=[names[2], names[0]], scale=[0.1, 0.2], offset=-1.0, nodata=0)
        chosen = open_patches(path, "train", options)
        assert chosen.bands.names == (names[2], names[0])
        assert [(band.scale, band.offset, band.nodata) for band in chosen.bands] == [(0.1, -1.0, 0.0), (0.2, -1.0, 0.0)]
        _assert_same(chosen.read(np.array([5, 2])).image, patches.read(np.array([5, 2])).image[:, [2, 0]])
        assert chosen.fingerprint() != patches.fingerprint()


def _assert_same(got: np.ndarray | None, expected: np.ndarray | None) -> None:
    """Equal in type, shape and every bit, NaN included."""
    assert (got is None) == (expected is None)
    if got is not None and expected is not None:
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes()


def in_child(work) -> str:
    """Do the work in a forked process; return "fine", the error's text, or how the process died."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def report() -> None:
        try:
            work()
            theirs.send("fine")
        except BaseException as error:
            theirs.send(f"{type(error).__name__}: {error}")

    child = context.Process(target=report)
    child.start()
    theirs.close()
    child.join(60)
    try:
        return ours.recv()
    except EOFError:
        return f"died with {child.exitcode}"
