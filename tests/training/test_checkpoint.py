from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from spectrain.core.errors import RunError
from spectrain.training.checkpoint import load_checkpoint, save_checkpoint

STATE = {"model": {"weight": torch.arange(3.0)}, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}


def test_what_is_saved_comes_back(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {**STATE, "progress": {"epoch": 3, "best": float("nan")}}, {"bands": ["a"], "fold": None})
    record = load_checkpoint(path)
    assert torch.equal(record["model"]["weight"], torch.arange(3.0))
    assert record["meta"] == {"bands": ["a"], "fold": None}
    assert record["format"] == {"name": "spectrain.checkpoint", "version": 1}


@pytest.mark.parametrize("odd", [np.float64(1.0), (1, 2), {1.5: 2}, {"deep": [np.int64(3)]}, object()])
def test_the_writer_refuses_what_would_not_load_safely(tmp_path, odd):
    with pytest.raises(TypeError, match=r"checkpoint\.progress"):
        save_checkpoint(tmp_path / "last.pt", {"progress": odd}, {})
    assert not list(tmp_path.iterdir())


def test_a_strangers_checkpoint_never_runs_code(tmp_path):
    class Stranger:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "stranger.pt"
    torch.save({"format": {"name": "spectrain.checkpoint", "version": 1}, "model": Stranger()}, path)
    with pytest.raises(RunError, match="cannot be read"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_damage_is_named(tmp_path):
    path = tmp_path / "last.pt"
    with pytest.raises(RunError, match="no such checkpoint"):
        load_checkpoint(path)
    save_checkpoint(path, STATE, {})
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"text", pickle.dumps({"a": 1})):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"cannot be read|not a checkpoint"):
            load_checkpoint(path)


def test_other_files_and_newer_versions_are_refused(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(RunError, match="not a checkpoint of spectrain"):
        load_checkpoint(path)
    torch.save({"format": {"name": "spectrain.checkpoint", "version": 99}, "meta_json": "{}"}, path)
    with pytest.raises(RunError, match="99"):
        load_checkpoint(path)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {}, "optimizer": {}}, {"number": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="full"):
        save_checkpoint(path, {"model": {}, "optimizer": {}}, {"number": 2})
    monkeypatch.undo()
    assert load_checkpoint(path)["meta"] == {"number": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]
