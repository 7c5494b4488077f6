"""Checkpoints and weights with code in them: refused by every way that reads one, and the code is not run."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile

import pytest
import torch
from hostile_reading import refused

from spectrain.inference.weights.published_file import read_published
from spectrain.models.weights import read_tensors
from spectrain.training.checkpoint import load_checkpoint


class Payload:
    """Pickled, it makes a file where it is loaded."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def in_zip(content: bytes, name="archive/data.pkl") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(name, content)
        made.writestr("archive/version", "3\n")
        made.writestr("../../../upward", "x")
    return file.getvalue()


def in_tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for name in ("sys_info", "pickle", "storages", "tensors", "../../upward"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("form", ["pickle", "torch", "zip", "tar", "meta"])
def test_a_checkpoint_with_code(tmp_path, form):
    marker, path = tmp_path / "ran", tmp_path / "inner" / "a.pt"
    path.parent.mkdir()
    code = {
        "format": {"name": "spectrain.checkpoint", "version": 1},
        "model": {"a": Payload(marker)},
        "meta_json": "{}",
    }
    if form == "torch":
        torch.save(code, path)
    elif form == "meta":
        torch.save({**code, "model": {}, "meta_json": "[" * 10**5}, path)
    else:
        content = pickle.dumps(code)
        path.write_bytes({"pickle": bytes, "zip": in_zip, "tar": in_tar}[form](content))
    for read in (load_checkpoint, *([read_tensors] if form != "meta" else [])):
        assert str(path) in refused(lambda read=read: read(path))
    if form != "meta":
        assert str(path) in refused(lambda: read_published(path))
    assert not marker.exists() and not list(tmp_path.rglob("upward"))


@pytest.mark.parametrize(
    "header",
    [
        b"{" * 90,
        b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}',
        b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
        b"[" * 10**5,
    ],
    ids=lambda header: header[:30].decode(),
)
def test_safetensors_with_an_absurd_header(tmp_path, header):
    path = tmp_path / "a.safetensors"
    for length in (len(header), 2**63, 2**32, 0):
        path.write_bytes(struct.pack("<Q", length) + header + bytes(8))
        assert str(path) in refused(lambda: read_tensors(path))


def test_a_checkpoint_with_odd_figures(tmp_path):
    path = tmp_path / "a.pt"
    for meta in ("null", "[]", json.dumps({"bands": 3}), '{"bands": [' + "{}," * 9 + "{}]}"):
        torch.save({"model": {}, "meta_json": meta, "format": {"name": "spectrain.checkpoint", "version": 1}}, path)
        from spectrain.training.trained.model import load_trained

        assert str(path) in refused(lambda: load_trained(path))


def test_a_checkpoint_whose_configuration_is_none(tmp_path):
    """What stands there is the options themselves: the name of a file would be read, and any file could be named."""
    from spectrain.training.trained.model import load_trained

    path, file = tmp_path / "a.pt", tmp_path / "options.yaml"
    file.write_text("hparams.epochs: many\n")
    deep = json.loads("[" * 900 + "]" * 900)
    for config, words in (
        (str(file), "must hold keys and values"),
        ([1], "must hold keys and values"),
        (None, "must hold keys and values"),
        ({"hparams": {"epochs": "many"}}, "hparams.epochs"),
        ({"trackers": deep}, "nested too deeply"),
    ):
        meta = json.dumps({"recipe": "mae", "config": config})
        torch.save({"model": {}, "meta_json": meta, "format": {"name": "spectrain.checkpoint", "version": 1}}, path)
        said = refused(lambda: load_trained(path))
        assert str(path) in said and words in said, config


@pytest.mark.parametrize("way", ["compressed", "overlapping"])
def test_an_archive_that_unfolds(tmp_path, way):
    """Zeros of 256 MiB in a quarter of one, or the same bytes many times over: torch itself would unpack them."""
    stored, path = tmp_path / "stored.pt", tmp_path / "a.pt"
    meta = {"format": {"name": "spectrain.checkpoint", "version": 1}, "meta_json": "{}"}
    torch.save({"model": {"w": torch.zeros(1 << (26 if way == "compressed" else 10))}, **meta}, stored)
    load_checkpoint(stored)
    with zipfile.ZipFile(stored) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for one in whole.infolist():
            packed.writestr(one.filename, whole.read(one), zipfile.ZIP_DEFLATED if way == "compressed" else 0)
        if way == "overlapping":
            for number in range(100):
                again = copy.copy(max(packed.infolist(), key=lambda one: one.file_size))
                again.filename = f"archive/data/{number + 100}"
                packed.filelist.append(again)
    assert path.stat().st_size < 1 << 20
    for read in (load_checkpoint, read_tensors, read_published):
        assert "torch.save does not write" in refused(lambda read=read: read(path))
