"""What is said of one file."""

from __future__ import annotations

import json

import pytest

from spectrain.core.errors import DataError
from spectrain.inspection import probes

ROW = "éé,123456\n"


@pytest.mark.parametrize("name", ["a.json", "a.gpkg", "a.zip"])
def test_a_file_of_another_kind_is_no_damaged_vector_file(tmp_path, name):
    (tmp_path / name).write_text(json.dumps({"settings": [1, 2]}))
    with pytest.raises(probes.OtherKindError):
        probes.vector(str(tmp_path / name))


def test_a_damaged_vector_file_is_not_of_another_kind(tmp_path):
    for name, head in (("a.geojson", b'{"type": "FeatureCollection", "features": [{'), ("a.zip", b"PK\3\4")):
        (tmp_path / name).write_bytes(head)
        with pytest.raises(DataError) as found:
            probes.vector(str(tmp_path / name))
        assert not isinstance(found.value, probes.OtherKindError)


@pytest.mark.parametrize(("more", "count"), [(0, 4), (1, None)])
def test_of_a_table_that_is_longer_whole_rows_are_looked_at(tmp_path, monkeypatch, more, count):
    """What is read is bytes, of which a letter may have two; the last row is cut where there is more."""
    path = tmp_path / "a.csv"
    path.write_text("name,v\n" + 4 * ROW)
    monkeypatch.setattr(probes, "TEXT_BYTES", path.stat().st_size - 4 * more)
    found = probes.table(str(path))
    assert found["ranges"]["v"] == [123456, 123456]
    assert found["count"] == count and len(found["texts"]["name"]) == 4 - more
