"""The table of patches as Parquet and GeoParquet."""

from __future__ import annotations

import subprocess
import sys

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely

from spectrain.core.errors import DataError
from spectrain.data.patch_table import read_patch_column, read_patch_table, write_patch_table


def places(count=3):
    boxes = [shapely.box(number, 50, number + 1, 51) for number in range(count)]
    return boxes, pd.DataFrame({"patch_id": list("abc")[:count], "geometry": shapely.to_wkb(boxes)})


def test_a_plain_table_comes_back(tmp_path):
    table = pd.DataFrame(
        {"patch_id": ["a", "b"], "lat": [1.5, None], "when": pd.to_datetime(["2020-01-01", "2021-05-06"])}
    )
    write_patch_table(table, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_patch_table(tmp_path / "t.parquet"), table, check_dtype=False)


def test_a_geometry_is_read_by_geopandas_in_longitude_and_latitude(tmp_path):
    boxes, table = places()
    write_patch_table(table, tmp_path / "t.parquet")
    read = geopandas.read_parquet(tmp_path / "t.parquet")
    assert list(read.geometry) == boxes
    assert read.crs == "OGC:CRS84"
    assert isinstance(read_patch_table(tmp_path / "t.parquet")["geometry"][0], bytes)


def test_a_geometry_keeps_its_reference_system(tmp_path):
    write_patch_table(places()[1], tmp_path / "t.parquet", pyproj.CRS(32633).to_json_dict())
    assert geopandas.read_parquet(tmp_path / "t.parquet").crs == "EPSG:32633"


def test_a_missing_geometry_is_allowed(tmp_path):
    table = places()[1]
    table.loc[1, "geometry"] = None
    write_patch_table(table, tmp_path / "t.parquet")
    assert geopandas.read_parquet(tmp_path / "t.parquet").geometry.isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"patch_id": ["a"], "geometry": ["POINT (0 0)"]}), "not WKB"),
        (pd.DataFrame({"patch_id": ["a", "b"], "mixed": [1, "x"]}), "cannot be written as Parquet"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path, table, message):
    with pytest.raises(DataError, match=message):
        write_patch_table(table, tmp_path / "t.parquet")


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_patch_table(tmp_path / "t.parquet")
    assert "t.parquet" in str(caught.value)


def test_a_column_by_itself_is_as_pandas_reads_it(tmp_path):
    file = tmp_path / "t.parquet"
    table = pd.DataFrame(
        {
            "patch_id": ["a", "b", "c"],
            "share": np.array([0.5, np.nan, 1], dtype=np.float32),
            "row": [1, 2, 3],
            "perhaps": pd.array([1, None, 3], dtype="Int32"),
            "empty": [True, False, True],
            "name": ["x", None, "z"],
        }
    )
    write_patch_table(table, file)
    whole = read_patch_table(file)
    for name in ("patch_id", "share", "row", "empty"):
        rows, names, found = read_patch_column(file, name)
        assert (rows, names) == (3, list(table))
        assert found.dtype == (object if name == "patch_id" else table[name].dtype)
        np.testing.assert_array_equal(found, whole[name].to_numpy())
    np.testing.assert_array_equal(read_patch_column(file, "perhaps")[2], [1, np.nan, 3])
    assert read_patch_column(file, "name")[2].tolist() == ["x", None, "z"]
    assert read_patch_column(file, "other") == (3, list(table), None)


def test_a_column_of_no_rows_has_none(tmp_path):
    write_patch_table(pd.DataFrame({"patch_id": pd.Series([], dtype=str)}), tmp_path / "t.parquet")
    assert read_patch_column(tmp_path / "t.parquet", "patch_id")[2].tolist() == []


def test_a_column_is_read_without_pandas(tmp_path):
    write_patch_table(pd.DataFrame({"patch_id": ["a", "b"], "share": [0.5, 1]}), tmp_path / "t.parquet")
    code = "import sys; from pathlib import Path; from spectrain.data.patch_table import read_patch_column as read; "
    code += "[read(Path(sys.argv[1]), name) for name in ('patch_id', 'share')]; print('pandas' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.parquet")], capture_output=True, text=True, check=True
    )
    assert told.stdout == "False\n"
