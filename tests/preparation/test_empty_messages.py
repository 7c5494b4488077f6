"""Libraries raise errors without a message: what is said then is their type."""

from __future__ import annotations

from types import SimpleNamespace

import geopandas
import pandas as pd
import pyproj
import pytest
import shapely

from spectrain.core.errors import DataError
from spectrain.data.hdf5.metadata import _read_table
from spectrain.data.scene import SceneGrid
from spectrain.inspection import probes
from spectrain.preparation.points.dealt import _Dealing
from spectrain.preparation.prepared import ground_size
from spectrain.preparation.vectors import read_table

GRID = SceneGrid((2, 2), "EPSG:32633", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0))


@pytest.fixture
def silent(monkeypatch):
    """Return a function that lets another raise an error of a kind, without a message."""

    def let(place, name, kind):
        def fail(*_, **__):
            raise kind("")

        monkeypatch.setattr(place, name, fail)

    return let


def test_of_a_vector_file(tmp_path, silent):
    path = tmp_path / "a.geojson"
    geopandas.GeoDataFrame(geometry=shapely.points([[1, 2]]), crs=4326).to_file(path)
    silent(geopandas, "read_file", RuntimeError)
    for read in (read_table, lambda path: probes.vector(str(path))):
        with pytest.raises(DataError, match="vector file: RuntimeError"):
            read(path)


def test_of_a_coordinate_system(silent):
    silent(pyproj.Transformer, "from_crs", pyproj.exceptions.ProjError)
    with pytest.raises(DataError, match="no place on the Earth: ProjError"):
        ground_size(GRID)
    with pytest.raises(DataError, match="coordinate system is none: ProjError"):
        _Dealing._projection(SimpleNamespace(_projections={}), "EPSG:1", GRID.crs)


def test_of_a_table(tmp_path, silent):
    silent(pd, "read_csv", ValueError)
    with pytest.raises(DataError, match="table cannot be read: ValueError"):
        _read_table(tmp_path / "a.csv")
