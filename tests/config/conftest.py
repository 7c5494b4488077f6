"""Each test resolves in an empty folder, without personal defaults and without the plugins of other tests."""

from __future__ import annotations

import pytest

from spectrain.core import registry
from spectrain.core.errors import ConfigError


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)
    monkeypatch.setattr(registry, "_REGISTERED", {})


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file in the test's folder and returns its relative name."""

    def write_file(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return write_file


@pytest.fixture
def mistakes():
    """Return a function that resolves and returns the problems as key -> Problem; without a problem it fails."""
    from spectrain.config import load_config

    def resolve(*overrides: str, recipe: str | None = "contrastive", **rest):
        with pytest.raises(ConfigError) as failure:
            load_config(recipe, overrides=overrides, **rest)
        return {problem.key: problem for problem in failure.value.problems}

    return resolve
