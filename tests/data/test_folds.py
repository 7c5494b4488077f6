"""Folds: the same at each start, of whole units, never two sides on the same ground but in the published form."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_patches import MemoryPatches
from sklearn.model_selection import KFold
from test_prepared import one_store

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data import duplicates
from spectrain.data.folds import drawn_folds, expect_positives, strata, undrawn, unshuffled
from spectrain.data.ground import footprints, shared_pairs, sharing
from spectrain.data.opening import open_patches, run_folds

DEGREE_M = 111_000.0


def scenes(count, side, overlap, dates, seed, shift=0.37):
    """Return the metadata of scenes cut into overlapping patches; scenes of several dates, on grids of their own."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        west, south = random.uniform(0, 0.5, 2)
        for date in range(dates):
            moved = shift * 0.01 * date
            for row in range(side):
                for column in range(side):
                    step = 0.01 * (1 - overlap)
                    lon, lat = west + column * step + moved, south + row * step + moved
                    rows.append((f"{number}/{date}", lon, lat, lon + 0.01, lat + 0.01, random.random() < 0.3))
    table = pd.DataFrame(rows, columns=["scene", "lon_w", "lat_s", "lon_e", "lat_n", "found"])
    table["patch_id"] = [f"p{row}" for row in range(len(table))]
    table["positive_share"] = table.pop("found") * random.random(len(table))
    return table


def pool(table, **more):
    count = len(table)
    return MemoryPatches(np.zeros((count, 1, 2, 2), "u1"), np.ones((count, 1, 2, 2), bool), metadata=table, **more)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(2, 7),
    side=st.integers(1, 4),
    overlap=st.sampled_from([0.0, 0.1, 0.5]),
    dates=st.integers(1, 3),
    method=st.sampled_from(["group", "block", "random"]),
    folds=st.integers(2, 4),
    buffer_m=st.sampled_from([0.0, 300.0]),
    seed=st.integers(0, 1000),
)
def test_no_two_sides_share_ground(count, side, overlap, dates, method, folds, buffer_m, seed):
    table = scenes(count, side, overlap, dates, seed)
    options = DatasetOptions(fold_method=method, folds=folds, buffer_m=buffer_m, split_seed=seed, block_m=2500.0)
    try:
        content = drawn_folds(pool(table), options)
    except DataError as refused:  # too few units, or patches that cannot be torn apart: said, not done
        said = refused.what
    else:
        said = ""
    if said:
        assert any(words in said for words in ("fewer units", "share pixels", "comes out empty", "patches for"))
        return
    places = footprints(table)
    row = {one: number for number, one in enumerate(table["patch_id"])}
    held_out = []
    for fold in content["folds"]:
        train, valid = (np.array([row[one] for one in fold[side]]) for side in ("train", "valid"))
        held_out += fold["valid"]
        assert len(train) and len(valid)
        assert len(shared_pairs(places[train], places[valid])) == 0
        assert not buffer_m or len(sharing(places[train], places[valid], 0.9 * buffer_m)) == 0
    assert sorted(held_out) == sorted(table["patch_id"])
    assert content == drawn_folds(pool(table), options)


def test_dates_of_a_place_are_one_unit():
    table = scenes(6, 3, 0.1, 2, seed=5)
    content = drawn_folds(pool(table), DatasetOptions(fold_method="group", folds=3))
    scene = dict(zip(table["patch_id"], table["scene"], strict=True))
    for fold in content["folds"]:
        train, valid = ({scene[one].split("/")[0] for one in fold[side]} for side in ("train", "valid"))
        assert not train & valid


@pytest.mark.parametrize(("count", "folds"), [(11, 5), (10, 5), (7, 3), (5, 5)])
def test_published_folds_are_those_of_scikit_learn(count, folds):
    expected = list(KFold(n_splits=folds).split(np.zeros(count)))
    found = unshuffled(count, folds)
    assert len(found) == folds
    for fold, (train, valid) in zip(found, expected, strict=True):
        assert fold["train"].tolist() == train.tolist() and fold["valid"].tolist() == valid.tolist()
    content = drawn_folds(pool(pd.DataFrame(index=range(11))), DatasetOptions(fold_method="published"))
    assert [fold["valid"][0] for fold in content["folds"]] == ["p0", "p3", "p5", "p7", "p9"]


def test_published_folds_come_with_a_warning_once(tmp_path, caplog):
    path = one_store(tmp_path)
    options = DatasetOptions(fold_method="published", fold=1, folds=3)
    with caplog.at_level("WARNING", "spectrain"):
        open_patches(path, "train", options)
        open_patches(path, "valid", options)
    assert sum("may share ground" in record.message for record in caplog.records) == 1


def test_strata_share_positives_out():
    units = [f"u{row // 2}" for row in range(20)]
    share = np.repeat([0.9, 0, 0, 0.8, 0, 0.1, 0.7, 0, 0.2, 0], 2)
    of = dict(zip(units, strata(units, share, 3), strict=True))
    assert {one for one in of if of[one] == "000000"} == {"u0", "u3", "u6"}
    assert {one for one in of if of[one] == "000001"} == {"u8", "u5", "u1"}
    assert sum(of[one] == "000002" for one in of) == 4  # what is left over belongs to the last one


class TestPositives:
    table = pd.DataFrame({"positive_share": [0.5, 0, 0, 0, 0.2, 0.1]})
    folds = (
        {"train": ["p0", "p1", "p2", "p3"], "valid": ["p4", "p5"]},
        {"train": ["p0", "p4"], "valid": ["p2", "p3"]},
    )

    def patches(self, kind=None, table=None):
        labelled = pool(self.table if table is None else table, labels=np.zeros((6, 2, 2), "u1"))
        labelled.preparation = None if kind is None else {"labels": {"kind": kind}}
        return labelled

    def expect(self, method="group", fold=None, **options):
        expect_positives(self.patches(**options), {"folds": self.folds}, DatasetOptions(fold_method=method, fold=fold))

    def test_a_drawn_fold_without_any_is_refused_whichever_is_trained(self):
        with pytest.raises(DataError, match="fold 1 has no positive label in 'valid'"):
            self.expect(fold=0)

    def test_of_given_folds_the_one_that_is_used_counts(self):
        self.expect("given", fold=0)
        with pytest.raises(DataError, match="fold 1 has no positive label in 'valid'"):
            self.expect("given", fold=1)

    def test_of_measurements_and_of_metadata_that_do_not_tell_nothing_is_said(self):
        self.expect(kind="values")
        self.expect(table=pd.DataFrame(index=range(6)))
        with pytest.raises(DataError, match="fold 1"):
            self.expect(table=pd.DataFrame({"empty": [False, True, True, True, False, False]}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fold_method": "group", "group": "patient"}, "no column 'patient'"),
        ({"fold_method": "block"}, "need places on the ground"),
        ({"fold_method": "random", "folds": 99}, "there are 6 patches for 99 folds"),
        ({"fold_method": "group", "folds": 4}, "fewer units than folds"),
    ],
)
def test_what_cannot_be_drawn_is_explained(options, said):
    table = pd.DataFrame({"scene": list("aabbcc")})
    with pytest.raises(DataError, match=said) as caught:
        drawn_folds(pool(table), DatasetOptions(**options))
    assert f"fold_method={options['fold_method']}" in str(caught.value)


def test_what_was_drawn_gives_the_same_folds_from_its_file(tmp_path):
    path = one_store(tmp_path / "store")
    options = DatasetOptions(fold_method="random", folds=3, fold=2, split_seed=4)
    content = run_folds(path, options)
    file = tmp_path / "splits.json"
    file.write_text(json.dumps(content))
    again = DatasetOptions(splits=str(file), fold=2)
    for split in ("train", "valid"):
        drawn, read = (open_patches(path, split, one).metadata()["patch_id"].tolist() for one in (options, again))
        assert drawn == read
    assert run_folds(path, again) is None


def test_other_data_have_splits_of_their_own():
    own = DatasetOptions(fold=1, folds=3, fold_method="group", splits="a.json", labels_path="b", bands=["red"])
    assert undrawn(own) == DatasetOptions(bands=["red"])


def copies(seed=0):
    """Return 24 images of which each even one is like the next, and four that are empty."""
    random = np.random.default_rng(seed)
    image = np.repeat(random.random((12, 2, 4, 4)), 2, axis=0).astype("f4")
    image[20:] = np.nan
    image[22:] = 0
    return image


def test_without_places_images_that_are_the_same_are_on_one_side():
    options = DatasetOptions(fold_method="random", folds=3)
    content = drawn_folds(MemoryPatches(copies()), options)
    assert content["checked"] == "content: the data have no georeference"
    for fold in content["folds"]:
        held = set(fold["valid"])
        assert all((f"p{row}" in held) == (f"p{row + 1}" in held) for row in range(0, 20, 2))
    apart = [{f"p{row}" for row in range(20, 24)} & set(fold["valid"]) for fold in content["folds"]]
    assert max(map(len, apart)) < 4  # what is empty is no copy of what else is empty


def test_data_that_are_too_large_to_compare_are_said_to_be_unchecked(monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_BYTES", 10)
    content = drawn_folds(MemoryPatches(copies(1)), DatasetOptions(fold_method="random", folds=3))
    assert content["checked"] == "nothing: the data have no georeference"


def test_images_are_compared_once_for_all_splits_of_a_training(monkeypatch):
    patches = MemoryPatches(copies(2))
    read = []
    plain = MemoryPatches.read
    monkeypatch.setattr(MemoryPatches, "read", lambda self, index: read.append(1) or plain(self, index))
    hashes = duplicates.image_hashes(patches)
    count = len(read)
    assert duplicates.image_hashes(patches) == hashes and len(read) <= count + 1  # the fingerprint may look at some
    assert len(set(hashes)) == 10 + 4
