from __future__ import annotations

from pathlib import Path

import pytest
from small_rasters import write_raster

from spectrain.inspection.guard import Guard, UnreadError
from spectrain.inspection.page import text_of
from spectrain.inspection.survey import survey


def test_a_library_that_crashes_hangs_or_takes_all_memory_costs_a_line(tmp_path, monkeypatch):
    """With a reader that does so by the file's name: the same process stands in for any native library."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr("spectrain.inspection.survey.SECONDS_A_FILE", 3.0)
    write_raster(tmp_path / "good.tif", bands=3)
    for name in ("crash", "hang", "memory"):
        (tmp_path / f"{name}.tif").write_bytes(b"II*\0")
    with Guard(module="crashing_child") as guard:
        with pytest.raises(UnreadError, match="longer than 3 s"):
            guard.ask("raster", 3.0, path=str(tmp_path / "hang.tif"))
        (tmp_path / "hang.tif").unlink()
        found = survey(tmp_path, guard, 600)
    assert "crashed (SIGSEGV)" in found.unread["crash.tif"]
    assert "more memory than it may" in found.unread["memory.tif"]
    assert [family.texts for family in found.projects[0].images] == [("good.tif",)]
    assert "crash.tif cannot be read: the library that reads it crashed (SIGSEGV)" in text_of(tmp_path, found)
    assert found.usable


def test_a_child_runs_no_module_of_the_folder_that_one_stands_in(tmp_path, monkeypatch):
    """Python would look for modules where one stands: a folder of strangers' files may hold a json.py."""
    (tmp_path / "json.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / "a.tif", bands=1)
    with Guard() as guard:
        assert guard.ask("raster", path="a.tif")["bands"] == 1
