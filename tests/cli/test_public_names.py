"""`import spectrain` is light, and every public name is there."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import spectrain

VERBS = ("train", "inspect", "report", "demo", "embed", "export", "import_weights", "predict", "prepare", "sweep")


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, spectrain; dir(spectrain); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "hydra", "cyclopts", "yaml", "importlib.metadata"} & set(modules)


@pytest.mark.parametrize("name", spectrain.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(spectrain, name)
    assert name == "__version__" or inspect.getdoc(value)


def test_the_verbs_are_public():
    assert set(VERBS) <= set(spectrain.__all__) <= set(dir(spectrain))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'predict_everything'"):
        _ = spectrain.predict_everything
    with pytest.raises(ImportError):
        from spectrain import nothing_of_this_name  # noqa: F401


def test_a_version_without_an_installation(monkeypatch):
    import importlib.metadata as metadata

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert spectrain._version() == "0+unknown"
