from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from spectrain.core.errors import DataError
from spectrain.data.ground import footprints, joined_groups, shared_pairs, sharing
from spectrain.data.splits import SplitPlan, make_splits, patch_id, refuse_without_positives
from spectrain.data.splits_file import read_splits


@pytest.fixture(scope="module")
def ocean(shared_data) -> pd.DataFrame:
    table = pd.read_csv(shared_data / "ocean_sst" / "sst_l4_025deg_meta.csv")
    table = table[table["split"] == "train"].reset_index(drop=True)
    return table.assign(patch_id=[f"p{number}" for number in range(len(table))])


def grid(side: int = 8, size: float = 0.1) -> pd.DataFrame:
    """Squares side by side near the equator, about 11 km wide."""
    row, column = (a.ravel() for a in np.indices((side, side)))
    return pd.DataFrame(
        {
            "patch_id": [f"{r}-{c}" for r, c in zip(row, column, strict=True)],
            "lat_s": row * size,
            "lat_n": (row + 1) * size,
            "lon_w": column * size,
            "lon_e": (column + 1) * size,
            "scene": row // 2,
            "kind": np.where(column == 0, "rare", "common"),
        }
    )


def test_a_random_split_of_overlapping_windows_is_refused(ocean):
    with pytest.raises(DataError, match=r"share pixels on the ground in \d+ pairs of patches: p\d+ and p\d+"):
        make_splits(ocean, SplitPlan(method="random"))


def test_blocks_with_a_buffer_share_no_pixel_on_real_windows_of_several_dates(ocean):
    content = make_splits(ocean, SplitPlan(method="block", block_m=4e6, buffer_m=1000.0, folds=3, seed=1))
    places = footprints(ocean)
    row = {one: number for number, one in enumerate(ocean["patch_id"])}
    for part in [content["splits"], *content["folds"]]:
        sides = [places[[row[one] for one in ids]] for ids in part.values()]
        assert all(len(side) for side in sides)
        assert len(shared_pairs(*sides)) == 0
        assert len(sharing(*sides, within_m=900.0)) == 0
    assert content["checked"] == "ground polygons"


def test_blocks_without_a_buffer_tear_overlapping_windows_apart_and_are_refused(ocean):
    with pytest.raises(DataError, match="share pixels"):
        make_splits(ocean, SplitPlan(method="block", block_m=4e6))


def test_neighbours_that_only_touch_do_not_share_pixels():
    places = footprints(grid(2))
    assert [tuple(pair) for pair in shared_pairs(places[:1], places)] == [(0, 0)]
    assert sharing(places, places[:1]).tolist() == [0]
    assert len(sharing(places, places[:1], within_m=10.0)) == 4


def squares(corners, size=10):
    return shapely.box(*np.hstack([corners, np.array(corners) + size]).T.astype(float))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 6))
def test_what_shares_ground_is_found_as_by_looking_at_each_pair(seed, count, names):
    rng = np.random.default_rng(seed)
    places, others = (squares(rng.integers(0, 60, (size, 2))) for size in (count, 30))
    area = shapely.area(shapely.intersection(places[:, None], others))
    assert sorted(map(tuple, shared_pairs(places, others))) == list(zip(*np.nonzero(area > 1), strict=True))
    assert sharing(places, others).tolist() == np.flatnonzero((area > 1).any(1)).tolist()
    near = shapely.distance(places[:, None], others) <= 5
    assert sharing(places, others, within_m=5).tolist() == np.flatnonzero(near.any(1)).tolist()
    groups = [f"g{rng.integers(names)}" for _ in places]
    names_of = sorted(set(groups))
    linked = np.eye(len(names_of), dtype=bool)
    for a, b in zip(*np.nonzero(shapely.area(shapely.intersection(places[:, None], places)) > 1), strict=True):
        linked[names_of.index(groups[a]), names_of.index(groups[b])] = True
    part = connected_components(linked)[1] if groups else []
    first = {name: min(np.array(names_of)[part == part[at]]) for at, name in enumerate(names_of)}
    assert joined_groups(groups, places) == [first[name] for name in groups]


def test_windows_one_pixel_apart_are_joined_in_bounded_time():
    """Each shares ground with nearly a thousand others, of which those of its own scene need not be looked at."""
    corners = np.stack(np.meshgrid(range(32), range(64)), -1).reshape(-1, 2)
    places = squares(corners, size=32)
    scene = np.select([corners[:, 1] < 16, corners[:, 1] < 50], ["a", "b"], "c")
    assert set(joined_groups(list(scene), places)) == {"a"}
    assert sharing(places, places[scene == "a"]).tolist() == np.flatnonzero(corners[:, 1] < 15 + 32).tolist()


def test_a_ring_that_crosses_itself_shares_the_ground_that_it_encloses():
    # the corners of two squares in such an order that the rings run through themselves, and through each other:
    # as they are, GEOS raises where it is asked what they share
    crossed = shapely.polygons([[(0, 0), (1, 1), (1, 0), (0, 1)], [(0, 0.02), (1, 1), (1, 0.03), (0, 1.01)]])
    beside = shapely.box(0.4, 0.8, 0.6, 0.9)  # between the wings: in the box around them, and not in them
    places = footprints(pd.DataFrame({"geometry": [*crossed, beside]}))
    assert shapely.is_valid(places).all()
    square = footprints(pd.DataFrame({"geometry": [shapely.box(0, 0, 1, 1)]}))[0]
    assert shapely.area(places[0]) == pytest.approx(square.area / 2, rel=0.001)
    assert {tuple(pair) for pair in shared_pairs(places, places).tolist() if pair[0] < pair[1]} == {(0, 1)}


def test_a_polygon_that_breaks_off_is_told():
    whole = shapely.to_wkb(shapely.box(0, 0, 1, 1))
    with pytest.raises(DataError, match="polygons cannot be read"):
        footprints(pd.DataFrame({"geometry": [whole, whole[:-20]]}))


def test_areas_are_equal_at_any_latitude():
    table = pd.DataFrame({"lat_s": [0.0, 60.0], "lat_n": [0.1, 60.1], "lon_w": [0.0, 0.0], "lon_e": [0.1, 0.2]})
    areas = [place.area for place in footprints(table)]
    assert areas[0] == pytest.approx(areas[1], rel=0.01)


def test_groups_stay_whole_and_every_patch_is_dealt_once():
    table = grid()
    content = make_splits(table, SplitPlan(method="group", group="scene", fractions={"train": 0.5, "valid": 0.5}))
    scenes = dict(zip(table["patch_id"], table["scene"], strict=True))
    held = {name: {scenes[one] for one in ids} for name, ids in content["splits"].items()}
    assert not held["train"] & held["valid"]
    assert sorted(one for ids in content["splits"].values() for one in ids) == sorted(table["patch_id"])


def test_folds_hold_out_each_patch_once():
    table = grid()
    content = make_splits(table, SplitPlan(method="random", folds=4, seed=3))
    held_out = [one for fold in content["folds"] for one in fold["valid"]]
    assert sorted(held_out) == sorted(content["splits"]["train"])
    for fold in content["folds"]:
        assert not set(fold["train"]) & set(fold["valid"])


def test_the_same_seed_gives_the_same_split_and_another_another():
    first, again, other = (make_splits(grid(), SplitPlan(seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first["splits"] != other["splits"]


def test_strata_are_shared_out_evenly():
    table = grid()
    content = make_splits(table, SplitPlan(stratify="kind", fractions={"train": 0.5, "valid": 0.5}))
    rare = set(table["patch_id"][table["kind"] == "rare"])
    assert {len(rare & set(ids)) for ids in content["splits"].values()} == {4}


@settings(max_examples=25, deadline=None)
@given(count=st.integers(4, 60), share=st.floats(0.2, 0.8), seed=st.integers(0, 99))
def test_shares_are_kept_to_within_a_unit(count, share, seed):
    table = pd.DataFrame({"patch_id": [str(number) for number in range(count)]})
    content = make_splits(table, SplitPlan(fractions={"train": share, "valid": 1 - share}, seed=seed))
    assert abs(len(content["splits"]["train"]) - share * count) <= 1


def test_without_georeference_equal_patches_stay_together_and_the_file_says_so():
    table = pd.DataFrame({"patch_id": list("abcdef")})
    for seed in range(10):
        content = make_splits(
            table, SplitPlan(seed=seed, fractions={"train": 0.5, "valid": 0.5}), content=["x", "x", "y", "z", "y", "w"]
        )
        for together in ("ab", "ce"):
            assert any(set(together) <= set(ids) for ids in content["splits"].values())
    assert content["checked"] == "content: the data have no georeference"
    plan = SplitPlan(method="group", group="patch_id", fractions={"train": 0.5, "valid": 0.5})
    assert make_splits(table, plan)["checked"] == "groups: the data have no georeference"
    assert make_splits(table, SplitPlan())["checked"] == "nothing: the data have no georeference"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (SplitPlan(method="group", group="scen"), "did you mean 'scene'"),
        (SplitPlan(method="group"), "needs the column"),
        (SplitPlan(method="block"), "side of a block"),
        (SplitPlan(fractions={"train": 1, "valid": 0}), "more than 0"),
        (SplitPlan(method="group", group="scene", folds=9), "fewer units than folds"),
        (SplitPlan(folds=1), "at least two folds"),
        (SplitPlan(method="block", block_m=1e9, fractions={"train": 0.5, "valid": 0.5}), "comes out empty"),
    ],
)
def test_plans_that_do_not_fit_are_explained(plan, said):
    with pytest.raises(DataError, match=said):
        make_splits(grid(), plan)


def test_blocks_need_places():
    with pytest.raises(DataError, match="needs places on the ground"):
        make_splits(pd.DataFrame({"patch_id": ["a", "b"]}), SplitPlan(method="block", block_m=1.0))


def test_a_fold_without_positives_is_refused():
    folds = [{"train": np.array([0, 1]), "valid": np.array([2])}]
    refuse_without_positives(folds, np.array([True, False, True]))
    with pytest.raises(DataError, match="fold 0 has no positive label in 'valid'"):
        refuse_without_positives(folds, np.array([True, False, False]))


def test_the_file_is_read_back_and_readable(tmp_path):
    content = make_splits(grid(), SplitPlan(folds=2))
    (tmp_path / "splits.json").write_text(json.dumps(content))
    assert read_splits(tmp_path / "splits.json") == content


def test_patch_ids_depend_on_scene_and_window_alone():
    assert patch_id("a.tif", 0, 64, 64, 64) == patch_id("a.tif", 0, 64, 64, 64)
    assert (
        len({patch_id("a.tif", 0, 64, 64, 64), patch_id("a.tif", 64, 0, 64, 64), patch_id("b.tif", 0, 64, 64, 64)}) == 3
    )
