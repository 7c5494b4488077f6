"""Vector files and points that lead elsewhere are refused, and nobody is asked; those that do not are read."""

from __future__ import annotations

import json
import zipfile

import geopandas
import h5py
import numpy as np
import pytest
import shapely
from hostile_reading import refused
from test_hostile_rasters import asked  # noqa: F401 - a fixture

from spectrain.inspection import probes
from spectrain.preparation.points.columns import Wanted
from spectrain.preparation.points.hdf5 import Hdf5Points
from spectrain.preparation.points.tables import VectorPoints
from spectrain.preparation.vectors import read_table

VRT = "<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
ELSEWHERE = {
    "file": VRT.format("OTHER"),
    "server": VRT.format("/vsicurl/ADDRESS/a.geojson"),
    "feature server": "<OGRWFSDataSource><URL>ADDRESS</URL></OGRWFSDataSource>",
    "behind a comment": "<!-- " + "x" * 2000 + " -->" + VRT.format("OTHER"),
    "pipeline": json.dumps({"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read OTHER"}),
    "pipeline as features": '{"type": "FeatureCollection", "x": {"type": "gdal_streamed_alg", "y": "OTHER"}}',
    "link": "<kml><NetworkLink><Link><href>ADDRESS/a.kml</href></Link></NetworkLink></kml>",
    "entities": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><kml>&b;</kml>",
    "words": "PG:host=127.0.0.1",
    "nothing": "",
}
WANTED = Wanted((), (), None)


def readers(path):
    return (
        lambda: read_table(path),
        lambda: list(VectorPoints(path, WANTED).blocks()),
        lambda: probes.vector(str(path)),
    )


@pytest.fixture(scope="module")
def table():
    return geopandas.GeoDataFrame({"v": [1, 2]}, geometry=shapely.points([[1, 2], [3, 4]]), crs=4326)


@pytest.mark.parametrize("ending", [".geojson", ".gpkg", ".kml", ".gml", ".shp"])
@pytest.mark.parametrize("what", ELSEWHERE)
def test_a_vector_file_that_leads_elsewhere(tmp_path, asked, table, what, ending):  # noqa: F811
    address, found = asked
    table.to_file(tmp_path / "other.geojson")
    path = tmp_path / f"a{ending}"
    path.write_text(ELSEWHERE[what].replace("OTHER", str(tmp_path / "other.geojson")).replace("ADDRESS", address))
    for read in readers(path):
        assert path.name in refused(read)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(path, path.name)
    for read in readers(tmp_path / "b.zip"):
        assert "b.zip" in refused(read)
    assert not found


def test_gml_does_not_ask_for_its_schema(tmp_path, asked, table):  # noqa: F811
    address, found = asked
    path = tmp_path / "a.gml"
    table.to_file(path, driver="GML")
    for beside in tmp_path.glob("a.*"):
        if beside != path:
            beside.unlink()
    text = path.read_text()
    path.write_text(text.replace("http://ogr.maptools.org/ a.xsd", f"http://ogr.maptools.org/ {address}/a.xsd"))
    assert address in path.read_text()
    assert len(read_table(path)) == 2
    assert probes.vector(str(path))["count"] == 2
    assert not found


@pytest.mark.parametrize("ending", [".geojson", ".gpkg", ".kml", ".gml", ".shp", ".fgb", ".parquet"])
def test_files_with_features_of_their_own_are_read(tmp_path, table, ending):
    path = tmp_path / f"a{ending}"
    driver = {".kml": "KML", ".gml": "GML"}.get(ending)
    table.to_parquet(path) if ending == ".parquet" else table.to_file(path, driver=driver)
    assert len(read_table(path)) == 2
    assert probes.vector(str(path))["kind"] == "points"
    if ending != ".parquet":  # which has a reader of its own
        (block,) = VectorPoints(path, WANTED).blocks()
        assert np.array_equal(np.sort(block.x), [1, 3])
    if ending not in (".parquet", ".gml"):  # of several files GDAL takes a shapefile alone
        with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
            for beside in tmp_path.glob("a.*"):
                archive.write(beside, beside.name)
        assert len(read_table(tmp_path / "b.zip")) == 2
        assert probes.vector(str(tmp_path / "b.zip"))["count"] == 2


@pytest.mark.parametrize("way", ["link", "raw", "virtual"])
def test_points_in_hdf5_whose_values_lie_elsewhere(tmp_path, way):
    (tmp_path / "secret").mkdir()
    (tmp_path / "mine").mkdir()
    other, path = tmp_path / "secret" / "other.h5", tmp_path / "mine" / "a.h5"
    with h5py.File(other, "w") as file:
        file["v"] = np.arange(4.0)
    with h5py.File(path, "w") as file:
        file["lon"] = file["lat"] = np.arange(4.0)
        if way == "link":
            file["v"] = h5py.ExternalLink(str(other), "v")
        elif way == "raw":
            file.create_dataset("v", (4,), "u1", external=[("/etc/passwd", 0, 4)])
        else:
            layout = h5py.VirtualLayout((4,), "f8")
            layout[...] = h5py.VirtualSource(str(other), "v", (4,))
            file.create_virtual_dataset("v", layout)
    wanted = Wanted(("v",), ("lon", "lat"), 4326)
    assert "a.h5" in refused(lambda: list(Hdf5Points(path, wanted).blocks()))
