"""Each option that a document promises, as it is written there: it is taken, from there, and has the value.

What a document prints is read once; each option of it is a case. Then the defaults that a document names.
"""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from promised import documents
from test_spectral_mae_page import FOLDER

from spectrain.config import load_config
from spectrain.preparation.resolve import resolve
from spectrain.sweeps.definition import read_definition
from spectrain.sweeps.options import read_options

HERE = Path(__file__).parent
PROMISES = {promise.name: promise for one in documents() for promise in one.promises}
PLANET, SWEEP = HERE / "planet-sweep-config.toml", HERE / "planet-tcvis-sweep.yaml"
PRINTED = {"contrastive": "nenya_options.json", "contrastive_older": "nenya_options_older.json"}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)


@pytest.fixture(scope="module")
def conf(tmp_path_factory) -> Path:
    """The folder of configuration files that the document on masked autoencoders prints."""
    folder = tmp_path_factory.mktemp("conf")
    for name, text in FOLDER.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@cache
def configuration(stem: str, conf: Path) -> Any:
    """What the training makes of all that a document prints."""
    if stem in PRINTED:
        return load_config("contrastive", config=HERE / PRINTED[stem], use_personal=False)
    if stem == "segmentation_sweep":
        return load_config("segmentation", config=PLANET, use_personal=False)
    if stem == "spectral_mae":
        return load_config("mae", config=conf / "config.yaml", config_dir=conf, use_personal=False)
    words = [word for name, one in PROMISES.items() if name.startswith(stem) for word in shlex.split(one.give)]
    return load_config("regression", flags=words, use_personal=False)


@cache
def other(command: str) -> dict[str, Any]:
    """What `prepare planet`, `sweep` or the sweep's own file is read as."""
    if command == "prepare":
        return vars(resolve("planet", PLANET))
    if command == "sweep":
        return vars(read_options(PLANET, [], {})[0])
    sweep = read_definition(SWEEP)
    [metric] = sweep.metrics
    kinds = {name: one.kind for name, one in sweep.space.parameters.items()}
    return {"name": sweep.name, "method": sweep.method, "goal": metric.goal, "metric": metric.name, **kinds}


def value(cfg: Any, key: str) -> Any:
    for name in key.split("."):
        cfg = getattr(cfg, name)
    return cfg


@pytest.mark.parametrize("name", [name for name, one in PROMISES.items() if one.ours])
def test_an_option_is_taken(name, conf):
    promise, stem = PROMISES[name], name.partition("/")[0]
    if promise.of != "train":
        assert {key: other(promise.of)[key] for key in promise.ours} == promise.ours
        return
    cfg = configuration(stem, conf)
    assert {key: value(cfg, key) for key in promise.ours} == promise.ours
    source = "command line" if promise.give else str(conf) if stem == "spectral_mae" else str(HERE)
    said = [cfg.origins[key] for key in promise.ours if key in cfg.origins]
    assert any(origin.startswith(source) for origin in said), (name, said)


@pytest.mark.parametrize("name", [name for name, one in PROMISES.items() if one.default])
def test_a_default_is_told(name):
    cfg = defaults(name.partition("/")[0])
    assert {key: value(cfg, key) for key in PROMISES[name].default} == PROMISES[name].default


@cache
def defaults(stem: str) -> Any:
    assert stem == "sparse_regression"  # the only one that names any
    return load_config("regression", use_personal=False)


def test_nothing_that_is_printed_is_left_alone(conf):
    assert not configuration("contrastive", conf).left_alone
    assert not configuration("contrastive_older", conf).left_alone
    assert not configuration("spectral_mae", conf).left_alone
    assert "command line" not in " ".join(configuration("sparse_regression", conf).left_alone.values())
    promised = {there for one in PROMISES.values() if one.of in ("prepare", "sweep") for there in one.there}
    left = {key.replace("_", "-") for key in configuration("segmentation_sweep", conf).left_alone}
    assert left <= {there.replace("_", "-") for there in promised}  # of the other two commands, which have their cases
