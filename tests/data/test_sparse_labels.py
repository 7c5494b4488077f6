"""Labels as index and value in the native form: plain Zarr, what is read, what a task makes of it, and damage."""

from __future__ import annotations

import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from memory_patches import MemoryPatches

from spectrain.config.schema import DatasetOptions
from spectrain.core.bands import Bands
from spectrain.core.errors import DataError
from spectrain.core.targets import SparseValues
from spectrain.data.loader import Loader
from spectrain.data.native import writer as native_writer
from spectrain.data.native.convert import write_native
from spectrain.data.native.patches import NativePatches
from spectrain.data.native.writer import NativeWriter
from spectrain.data.opening import open_patches
from spectrain.data.patches import Rows
from spectrain.data.sparse_labels import SparseLabels
from spectrain.inspection.data_set import inspect
from spectrain.losses.regression import RegressionLoss
from spectrain.tasks.regression import Regression
from spectrain.tasks.segmentation import Segmentation
from spectrain.training.inputs.label_statistics import label_statistics

GOLDEN = Path(__file__).parent / "golden" / "patches_v2.zarr"
COUNT, SIZE = 11, (6, 7)


def labels(share=0.1, seed=0, count=COUNT, size=SIZE):
    rng = np.random.default_rng(seed)
    made = np.where(rng.random((count, *size)) < share, rng.normal(30, 9, (count, *size)), np.nan).astype("f4")
    made[min(2, count - 1)] = np.nan  # a patch without any
    return made


def write(path, dense, sizes=(3, 5, 3), bands=1):
    image = np.arange(len(dense) * bands * dense[0].size, dtype="u2").reshape(-1, bands, *dense.shape[1:])
    table = pd.DataFrame({"patch_id": [f"p{number}" for number in range(len(dense))]})
    with NativeWriter(path, Bands.unnamed(bands), shard_bytes=4 * image[:1].nbytes) as writer:
        at = 0
        for size in sizes:
            part = slice(at, at + size)
            writer.append(Rows(image[part], None, SparseLabels.from_dense(dense[part])), table[part])
            at += size
        return writer.commit()


@pytest.fixture(params=[1 << 20, 5], ids=["one shard", "many shards"])
def stored(request, tmp_path, monkeypatch):
    monkeypatch.setattr(native_writer, "SHARD_VALUES", request.param)
    dense = labels()
    return write(tmp_path / "a.zarr", dense), dense


def test_it_is_plain_zarr(stored):
    path, dense = stored
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open_group(path, mode="r")
        start, index, value = (group[name][...] for name in ("y_start", "y_index", "y_value"))
    assert (start.dtype, index.dtype, value.dtype) == (np.int64, np.uint16, np.float32) and "y" not in group
    found = np.full(dense.shape, np.nan, "f4")
    for patch in range(COUNT):
        here = slice(start[patch], start[patch + 1])
        found[patch].flat[index[here]] = value[here]
    np.testing.assert_array_equal(found, dense)
    assert group["y_index"].metadata.dimension_names == ("measurement",)


def test_any_patches_are_read_in_any_order(stored):
    path, dense = stored
    patches = pickle.loads(pickle.dumps(open_patches(path, "all")))
    patches.check()
    NativePatches.open(path).check(full=True)
    for index in ([3, 0, 10], [2], [2, 2], [5, 5, 1], list(range(COUNT)), []):
        index = np.array(index, dtype=np.int64)
        for found in (patches.read(index).labels, patches.labels(index)):
            assert (
                isinstance(found, SparseLabels)
                and found.shape == (len(index), *SIZE)
                and (np.diff(found.row) >= 0).all()
            )
            np.testing.assert_array_equal(np.asarray(found), dense[index])
    assert patches.has_labels and patches.read(np.array([4])).image.dtype == np.uint16


def test_over_a_network(stored, monkeypatch):
    monkeypatch.setattr("spectrain.data.stored.mapped.is_network", lambda path: True)
    path, dense = stored
    np.testing.assert_array_equal(np.asarray(open_patches(path, "all").labels(np.arange(COUNT))), dense)


def test_large_patches_have_a_wider_index_and_no_measurement_at_all_is_allowed(tmp_path):
    dense = labels(0.0005, count=3, size=(300, 301))
    path = write(tmp_path / "a.zarr", dense, (3,))
    assert zarr.open_group(path, mode="r")["y_index"].dtype == np.uint32
    np.testing.assert_array_equal(np.asarray(open_patches(path, "all").labels(np.array([2, 0]))), dense[[2, 0]])
    none = write(tmp_path / "b.zarr", np.full((4, 3, 3), np.nan, "f4"), (2, 2))
    assert zarr.open_group(none, mode="r")["y_value"].shape == (0,)
    assert len(open_patches(none, "all").labels(np.arange(4)).value) == 0


def test_a_fold_and_a_choice_of_bands_keep_them_so(tmp_path):
    dense = labels()
    path = write(tmp_path / "a.zarr", dense, bands=2)
    patches = open_patches(path, "all", DatasetOptions(bands=["band_2"]))
    assert patches.shape[1] == 1 and isinstance(patches.labels(np.array([1])), SparseLabels)
    again = write_native({"all": patches}, tmp_path / "b.zarr")
    found = open_patches(again, "all").labels(np.arange(COUNT))
    assert isinstance(found, SparseLabels)
    np.testing.assert_array_equal(np.asarray(found), dense)


def test_a_task_gets_the_same_targets_from_both(tmp_path):
    dense = labels(0.06)
    dense[4, 1, 1], dense[5, 0, 0] = -9999, np.inf
    path = write(tmp_path / "a.zarr", dense)
    task = Regression(RegressionLoss("gaussian_nll"), ignore=[-9999])
    with Loader(open_patches(path, "all"), targets=task.targets) as loader:
        (batch,) = loader.load([np.array([4, 5, 0, 9])])
    wanted = task.targets(dense[[4, 5, 0, 9]])
    assert isinstance(batch.target, SparseValues) and isinstance(wanted, SparseValues)
    for name in ("index", "value", "row"):
        torch.testing.assert_close(getattr(batch.target, name), getattr(wanted, name))
    assert batch.target.shape == wanted.shape
    image = MemoryPatches(np.zeros((COUNT, 1, *SIZE)), labels=dense)
    image.labels = lambda index: dense[index]
    found, expected = label_statistics(open_patches(path, "all"), (-9999,)), label_statistics(image, (-9999,))
    for name in ("count", "mean", "deviation", "lowest", "highest", "sample"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name))


def test_other_tasks_see_an_array():
    classes = Segmentation.__new__(Segmentation)
    classes.classes, classes.ignore = 3, (255,)
    dense = np.array([[[0, np.nan], [2, 1]]], "f4")
    target = classes.targets(SparseLabels.from_dense(dense))
    assert target.y.tolist() == [[[0, 255], [2, 1]]]


def test_inspect_counts_them(tmp_path):
    dense = labels()
    said = inspect(write(tmp_path / "a.zarr", dense))
    assert said.splits[0].labels == {"measured": np.isfinite(dense).sum(), "not measured": np.isnan(dense).sum()}


def test_labels_of_another_form_do_not_follow(tmp_path):
    image, table = np.zeros((2, 1, *SIZE), "u2"), pd.DataFrame({"patch_id": ["a", "b"]})
    dense = labels(count=2)
    with NativeWriter(tmp_path / "a.zarr", Bands.unnamed(1)) as writer:
        writer.append(Rows(image, None, SparseLabels.from_dense(dense)), table)
        with pytest.raises(DataError, match="those before"):
            writer.append(Rows(image, None, dense), table)
        with pytest.raises(DataError, match="do not fit images"):
            writer.append(Rows(image, None, SparseLabels.from_dense(dense[:, :5])), table)
    with pytest.raises(DataError, match="cannot be index and value"):
        patches = MemoryPatches(image, labels=np.zeros((2, *SIZE), "u1"))
        write_native({"all": patches}, tmp_path / "b.zarr", sparse=True)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize("name", ["y_start/c.0", "y_index/c.0", "y_value/c.0"])
def test_damage_is_seen_at_opening(tmp_path, name):
    path = write(tmp_path / "a.zarr", labels())
    cut(path / name)
    with pytest.raises(DataError, match=name):
        open_patches(path, "all")


@pytest.mark.parametrize("name", ["y_index/c.0", "y_value/c.0"])
def test_damage_is_seen_while_training(tmp_path, name):
    path = write(tmp_path / "a.zarr", labels())
    patches = open_patches(path, "all")
    cut(path / name)
    with pytest.raises(DataError, match=name):
        patches.check()
    with pytest.raises(DataError, match=name):
        patches.labels(np.arange(3))


def test_version_2():
    """What version 2 wrote must be read for ever."""
    found = open_patches(GOLDEN, "all")
    NativePatches.open(GOLDEN).check(full=True)
    rows = found.read(np.arange(3))
    assert rows.image.tolist() == np.arange(3 * 4 * 4).reshape(3, 1, 4, 4).tolist()
    assert (rows.labels.index.tolist(), rows.labels.row.tolist()) == ([0, 15, 6], [0, 0, 2])
    assert rows.labels.value.tolist() == [1.5, -2.0, 30.0]


def test_dense_labels_are_written_as_version_1(tmp_path):
    table = pd.DataFrame({"patch_id": ["a", "b"]})
    with NativeWriter(tmp_path / "a.zarr", Bands.unnamed(1)) as writer:
        writer.append(Rows(np.zeros((2, 1, 3, 3), "u1"), None, np.zeros((2, 3, 3), "f4")), table)
        path = writer.commit()
    assert '"version": 1' in (path / "manifest.json").read_text()
    shutil.copytree(GOLDEN, tmp_path / "b.zarr")
    assert '"version": 2' in (tmp_path / "b.zarr" / "manifest.json").read_text()
