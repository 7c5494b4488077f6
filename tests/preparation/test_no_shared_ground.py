"""No two splits and no two sides of a fold share a pixel: over random scenes, dates, overlaps and ways to split."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from spectrain.core.errors import DataError
from spectrain.data.ground import footprints, shared_pairs
from spectrain.data.raster.ground import RasterGround, file_polygons
from spectrain.data.raster.rasters import Raster
from spectrain.data.splits import patch_id
from spectrain.data.window_grid import Cut
from spectrain.preparation.assemble import by_split, splits_of
from spectrain.preparation.assign import CROSS, Assignment, assign
from spectrain.preparation.cutting import CutOptions, windows
from spectrain.preparation.options import PrepareOptions

UTM, MERCATOR = (rasterio.crs.CRS.from_epsg(code).to_wkt() for code in (32633, 3857))


class FakePart:
    """The table of a part; no pixel is ever asked for."""

    def __init__(self, name, table):
        self.about, self._table = {"scene": name}, table

    def table(self):
        return self._table.copy()


@st.composite
def archives(draw):
    """Return names, outlines and parts of scenes near each other, some on one place, some on another map."""
    # steps of 11 px and more: of one pixel, thousands of windows would each share ground with as many of every scene
    overlap, size = draw(st.integers(0, 10)), draw(st.integers(21, 40))
    names, rasters, parts = [], [], []
    for number in range(draw(st.integers(1, 7))):
        height, width = draw(st.integers(10, 120)), draw(st.integers(10, 120))
        east, north = draw(st.integers(0, 40)) * 97, draw(st.integers(0, 10)) * 113
        crs = draw(st.sampled_from([UTM, UTM, MERCATOR]))
        corner = (400000 + east, 5800000 - north) if crs == UTM else (1505600 + 1.63 * east, 6862500 - 1.63 * north)
        pixel = 10.0 if crs == UTM else 16.3
        place = (pixel, 0.0, float(corner[0]), 0.0, -pixel, float(corner[1]))
        name = f"s{number}"
        raster = Raster(None, 0, (1, height, width), np.dtype("u2"), (), crs, place, False)
        cut = windows((height, width), CutOptions(size, overlap))
        columns = RasterGround((crs,), (place,)).columns(Cut(cut, (size, size)))
        seed = draw(st.integers(0, 99))
        share = np.random.default_rng(seed).random(len(cut)) * draw(st.sampled_from([0, 1]))
        ids = [patch_id(name, row, column, size, size) for _, row, column in cut.tolist()]
        table = pd.DataFrame({"patch_id": ids, "scene": name, **columns, "positive_share": share})
        names.append(name)
        rasters.append(raster)
        parts.append(FakePart(name, table))
    return names, file_polygons(rasters), parts


def options(draw_from):
    return st.builds(
        PrepareOptions,
        test_val_split=st.sampled_from([0.0, 0.2, 0.5]),
        test_split=st.sampled_from([0.0, 0.3]),
        blocks=draw_from,
        folds=st.sampled_from([2, 3, 5]),
        seed=st.integers(0, 9),
    )


def assert_apart(tables):
    places = [footprints(table) for table in tables]
    for number, one in enumerate(places):
        for other in places[number + 1 :]:
            assert not len(shared_pairs(one, other))


@settings(max_examples=20, deadline=None)
@given(archives(), options(st.sampled_from([None, None, 300.0, 1000.0])), st.data())
def test_nothing_is_shared(archive, chosen, data):
    names, outlines, parts = archive
    assignment = assign(names, outlines, chosen)
    if chosen.blocks is None and data.draw(st.booleans()):  # as a table would give them: any scene anywhere
        given_modes = {name: data.draw(st.sampled_from([CROSS, "val-test", "test"])) for name in names}
        assignment = Assignment(given_modes, {})
    dropped = Counter()
    try:
        rowsets = by_split(parts, assignment, chosen, dropped)
    except DataError as error:
        if "comes out empty" not in error.what or chosen.blocks is None:
            raise
        return
    assert_apart([rowset.table for rowset in rowsets.values()])
    total = sum(len(part.table()) for part in parts)
    assert sum(len(rowset.table) for rowset in rowsets.values()) + sum(dropped.values()) == total
    if CROSS not in rowsets:
        return
    table = rowsets[CROSS].table
    content, lines = splits_of(CROSS, table, chosen)
    assert content["splits"][CROSS] == table["patch_id"].tolist()
    by_id = table.set_index("patch_id")
    if not content["folds"]:
        assert any(line.startswith("no folds: ") for line in lines)
        return
    assert len(content["folds"]) == chosen.folds
    held = [one for fold in content["folds"] for one in fold["valid"]]
    assert sorted(held) == sorted(table["patch_id"])
    for fold in content["folds"]:
        assert_apart([by_id.loc[fold["train"]], by_id.loc[fold["valid"]]])
