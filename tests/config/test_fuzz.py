"""Whatever is in a file or on the command line: a configuration, or a `ConfigError`. Never another failure."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spectrain.config import load_config
from spectrain.config.aliases import table_of
from spectrain.config.keys import CHOICES, part_keys, scalars
from spectrain.config.schema import SECTIONS
from spectrain.config.sources import read_file
from spectrain.core.errors import ConfigError

KEYS = sorted(
    {
        *scalars(),
        *part_keys(),
        *CHOICES,
        *SECTIONS,
        *table_of("contrastive"),
        *table_of("mae"),
        "defaults",
        "_target_",
        "plugin",
    }
)
keys = (
    st.sampled_from(KEYS)
    | st.text("abc._-", max_size=6)
    | st.sampled_from(["model._target_", "mlflow.tags.a", "recipe"])
)
scalars_of_any_kind = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["none", "adam", "auto", "${x}", "10min", 10**400, -1, 0, 1e308])
)
values = st.recursive(
    scalars_of_any_kind,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=5,
)
quiet = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def resolved_or_refused(recipe: str, **sources) -> None:
    try:
        cfg = load_config(recipe, **sources)
    except ConfigError as error:
        problems = error.problems
    else:
        problems = ()
        Path("again.yaml").write_text(cfg.to_yaml(), encoding="utf-8")
        again = load_config(config="again.yaml")
        assert repr(again.to_dict()) == repr(cfg.to_dict())
    assert all(problem.key and problem.origin and problem.what for problem in problems)


@quiet
@given(options=st.dictionaries(keys, values, max_size=5))
@example(options={"": "${", "-": 1})
@example(options={"lr_decay_rate": 10**400})
@example(options={"lr_decay_rate": 1e200, "cosine": True})
@example(options={"run_name": "\ud800"})
@example(options={"mlflow.tags.a": None, "mlflow": {"tags": {"b": [1]}}})
@example(options={"hparams": {"epochs": {"a": [1]}}})
def test_any_json_is_a_configuration_or_a_clear_mistake(options):
    Path("any.json").write_text(json.dumps(options), encoding="utf-8")
    for recipe in ("contrastive", "mae"):
        resolved_or_refused(recipe, config="any.json")


@quiet
@given(
    overrides=st.lists(st.tuples(keys, st.text(max_size=9)).map("=".join) | st.text(max_size=9), max_size=4),
    flags=st.lists(keys.map("--{}".format) | st.text(max_size=6), max_size=4),
)
@example(overrides=["run_name='\ud83d"], flags=["--no-flip", "--"])
def test_any_command_line_is_a_configuration_or_a_clear_mistake(overrides, flags):
    for recipe in ("contrastive", "mae"):
        resolved_or_refused(recipe, overrides=overrides, flags=flags)


@pytest.mark.parametrize("kind", [".json", ".yaml", ".toml"])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40) | st.text("{}[]:,\"'\n -#=.&*!?|>%@`\\a1", max_size=40))
@example(text="a: !!float x")
@example(text="!!map {a: 1}")
@example(text="a: |\n  \x85")
@example(text="%TAG ! tag:x\n---\na: 1")
@example(text='{"a": 0x' + "F" * 5000 + "}")
@example(text="a: " + "9" * 5000)
@example(text="[darts]\na = '''\n'''\nb.c = 1\n[[darts.d]]\nx = 1")
def test_any_text_is_read_or_refused(kind, text):
    path = Path(f"any{kind}")
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(ConfigError):
        read_file(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60), kind=st.sampled_from([".json", ".yaml", ".toml", ""]))
def test_any_bytes_are_read_or_refused(data, kind):
    path = Path(f"any{kind}")
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        read_file(path)
