from __future__ import annotations

from dataclasses import dataclass

import pytest

from spectrain.core import registry
from spectrain.core.errors import ConfigError, Problem, SpectrainError, nearest


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})


def part():
    class Part:
        @dataclass
        class Config:
            size: int = 1

    return Part


def test_a_registered_part_is_found():
    mine = part()
    assert registry.register("loss", "mine")(mine) is mine
    assert registry.lookup("loss", "mine") is mine
    assert "mine" in registry.names("loss")
    assert registry.registered("loss") == {"mine": mine}


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(SpectrainError, match="did you mean 'supcon'"):
        registry.lookup("loss", "subcon")
    with pytest.raises(SpectrainError, match="known are none"):
        registry.lookup("nothing", "x")


def test_nothing_is_replaced_in_silence():
    registry.register("loss", "mine")(part())

    class Other:
        @dataclass
        class Config:
            pass

    for name in ("mine", "supcon"):
        with pytest.raises(SpectrainError, match="exists already"):
            registry.register("loss", name)(Other)


def test_a_part_needs_a_config():
    with pytest.raises(SpectrainError, match="no Config"):
        registry.register("loss", "bare")(type("Bare", (), {}))


def test_every_builtin_part_exists_and_has_a_config():
    for group, name in registry.BUILTIN:
        found = registry.lookup(group, name)
        assert group == "reader" or hasattr(found, "Config"), (group, name)


def test_errors_say_what_where_and_how():
    text = str(SpectrainError("broken", where="file.h5", fix="mend it"))
    assert text.splitlines() == ["broken", "  where: file.h5", "  mend:  mend it"]
    many = ConfigError([Problem("a.b", "x.json:3", "unknown key", "did you mean a.c?"), Problem("c", "here", "bad")])
    assert "2 mistakes" in str(many)
    assert "x.json:3" in str(many)
    assert nearest("epoch", ["epochs", "batch_size"]) == ["epochs"]
