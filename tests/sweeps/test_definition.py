"""Sweep files: the document's as printed, nested parameters, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectrain.core.errors import ConfigError
from spectrain.sweeps.definition import Metric, Pruning, parse_definition, read_definition

PRINTED = Path(__file__).parent.parent / "documents" / "planet-tcvis-sweep.yaml"
BODY = "method: random\nmetric: {name: loss_valid}\nparameters: {a: {value: 1}}\n"


def test_the_documents_file_is_read_as_printed():
    sweep = read_definition(PRINTED)
    assert sweep.name == "planet-tcvis-large" and sweep.method == "random"
    assert sweep.metrics == (Metric("val0/JaccardIndex", "maximize"),)
    kinds = {name: one.kind for name, one in sweep.space.parameters.items()}
    assert kinds == {
        "learning_rate": "log_uniform_values",
        "gamma": "constant",
        "focal_loss_alpha": "uniform",
        "focal_loss_gamma": "uniform",
        "model_arch": "categorical",
        "model_encoder": "categorical",
    }
    for trial in range(50):
        drawn = sweep.space.random(0, trial)
        assert 1e-5 <= drawn["learning_rate"] <= 1e-3 and 0.8 <= drawn["focal_loss_alpha"] <= 0.99
        assert drawn["gamma"] == 0.997 and drawn["model_arch"] in ("Unet", "MAnet", "UPerNet", "Segformer")
    assert sweep.origins["model_arch"].endswith("planet-tcvis-sweep.yaml:20")


def test_parameters_may_be_nested():
    text = "parameters: {optimizer: {parameters: {lr: {min: 0.1, max: 1.0}}}, loss.gamma: {value: 2}}\n"
    sweep = parse_definition(BODY.replace("parameters: {a: {value: 1}}\n", text), "s.yaml")
    assert list(sweep.space.parameters) == ["optimizer.lr", "loss.gamma"]


def test_several_metrics_and_an_end():
    text = BODY.replace("{name: loss_valid}", "[{name: a, goal: maximize}, {name: b}]") + "run_cap: 7\nprogram: x.py\n"
    sweep = parse_definition(text, "s.yaml")
    assert sweep.metrics == (Metric("a", "maximize"), Metric("b", "minimize"))
    assert sweep.total == 7 and sweep.name == "s"


def test_a_grid_knows_its_end():
    text = BODY.replace("random", "grid").replace("{value: 1}", "{values: [1, 2, 3]}")
    assert parse_definition(text, "s.yaml").total == 3
    assert parse_definition(text + "run_cap: 2\n", "s.yaml").total == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("{type: median, min_iter: 2}", Pruning("median", 2, 3)),
        ("{type: hyperband, eta: 4, s: 2}", Pruning("halving", 1, 4)),
    ],
)
def test_pruning(words, expected):
    assert parse_definition(BODY + f"early_terminate: {words}\n", "s.yaml").pruning == expected


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (BODY + "methd: grid\n", ["methd: is no key of a sweep; did you mean 'method'? (s.yaml:4)"]),
        (BODY.replace("random", "rndom"), ["method: must be random, grid or bayes", "did you mean 'random'?", ":1)"]),
        (BODY.replace("{name: loss_valid}", "{nam: x}"), ["metric: must have a name and a goal", "(s.yaml:2)"]),
        (BODY.replace("loss_valid}", "l, goal: max}"), ["metric.goal: must be maximize or minimize, not 'max'"]),
        (BODY.replace("loss_valid}", "l, foal: max}"), ["metric: has no word 'foal'"]),
        (BODY.replace("{a: {value: 1}}", "3"), ["parameters: must hold a table a parameter"]),
        (BODY.replace("{value: 1}", "5"), ["parameters.a: must be a table of words, not 5"]),
        (BODY.replace("{value: 1}", "{vale: 1}"), ["parameters.a.vale: is no word", "did you mean 'value'?"]),
        (BODY.replace("{value: 1}", "{min: 3, max: 1}"), ["parameters.a: must have a max above its min, not 1 and 3"]),
        (BODY.replace("{value: 1}", "{}"), ["parameters.a: must be a table of words"]),
        (BODY.replace("random", "grid").replace("{value: 1}", "{min: 0.0, max: 1.0}"), ["parameters.a: has no end"]),
        (BODY + "run_cap: 0\n", ["run_cap: must be a whole number of 1 or more"]),
        (BODY + "early_terminate: {type: mean}\n", ["early_terminate.type: must be median, halving or hyperband"]),
        (BODY + "early_terminate: {type: median, foo: 1}\n", ["early_terminate.foo: is no word of it"]),
        ("", ["metric: is not given", "parameters: must hold", "method: is not given"]),
        (BODY + "a: &x 1\nb: *x\n", ["is not YAML"]),
        (BODY + "a: !!python/object:os.system ls\n", ["(s.yaml:4)"]),
    ],
)
def test_every_mistake_has_its_line(text, messages):
    with pytest.raises(ConfigError) as error:
        parse_definition(text, "s.yaml")
    for message in messages:
        assert message in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_definition(tmp_path / "none.yaml")
