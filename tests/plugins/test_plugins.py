"""A plugin's parts are registered, composed, checked and built like ours."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from spectrain.config import load_config, plugins
from spectrain.core import registry
from spectrain.core.bands import Bands
from spectrain.core.errors import ConfigError, RunError
from spectrain.training import whole_run

PLUGIN = Path(__file__).with_name("every_kind.py")
CHOICES = [
    "model=test_model",
    "loss=test_loss",
    "metric=test_metric",
    "show_prediction=test_plot",
    "augmentation=test_augmentation",
    "optimizer=test_optimizer",
    "scheduler=test_scheduler",
    "scheduler.period=3",
]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)
    monkeypatch.setattr(registry, "_REGISTERED", {})
    monkeypatch.setattr(plugins, "_loaded", {})
    for name in [name for name in sys.modules if name.startswith("spectrain_plugin_")]:
        monkeypatch.delitem(sys.modules, name)


def resolve(*overrides, **rest):
    return load_config("contrastive", overrides=[*CHOICES, *overrides], plugins=[PLUGIN], **rest)


def problems(*overrides, **rest):
    with pytest.raises(ConfigError) as failure:
        resolve(*overrides, **rest)
    return {problem.key: problem for problem in failure.value.problems}


def test_a_part_of_each_kind_is_composed():
    cfg = resolve("model.width=16", "metric.names=[mean, std]")
    assert cfg.model.to_dict() == {"name": "test_model", "width": 16, "kernels": (3, 3), "mask_channel": False}
    assert (cfg.loss.power, cfg.metric.names, cfg.show_prediction.size) == (2.0, ["mean", "std"], None)
    assert (cfg.augmentation.strength, cfg.optimizer.trust, cfg.scheduler.period) == (0.5, 0.5, 3)
    assert registry.lookup("reader", "test_reader").recognises(Path("a.test"))


def test_a_part_of_each_kind_is_built():
    cfg = resolve("model.kernels=[2, 2]")
    model = cfg.model.build(bands=Bands.unnamed(2), image_size=(8, 8))
    output = model(torch.ones(1, 2, 8, 8))
    assert cfg.loss.build()(output) == (output**2).sum()
    assert cfg.optimizer.build(parameters=model.parameters()).defaults["lr"] == 0.1
    assert cfg.scheduler.build()(1.0, 7, 1, 1) == pytest.approx(1 / 3)
    assert cfg.augmentation.build(bands=Bands.unnamed(2))("batch", None) == "batch"
    assert {type(part.build()).__name__ for part in (cfg.metric, cfg.show_prediction)} == {"TestMetric", "TestPlot"}


def test_the_configuration_loads_again(tmp_path):
    cfg = resolve()
    (tmp_path / "config.yaml").write_text(cfg.to_yaml())
    assert load_config(config="config.yaml", plugins=[PLUGIN]) == cfg
    registry._REGISTERED.clear()
    with pytest.raises(ConfigError, match="there is no 'test_model'"):
        load_config(config="config.yaml")


def test_a_plugins_options_are_checked():
    found = problems("model.widht=3", "model.kernels=[1]", "augmentation.strength=2", "optimizer.trust=0")
    assert found["model.widht"].fix.startswith("did you mean model.width? model test_model has width, kernels")
    assert "a list of 2 values, not 1" in found["model.kernels"].what
    assert "at most 1" in found["augmentation.strength"].what
    assert found["optimizer"].what == "trust cannot be 0"


def test_an_option_without_a_default_must_be_given():
    with pytest.raises(ConfigError, match=r"scheduler\.period: must be given"):
        load_config("contrastive", overrides=["scheduler=test_scheduler"], plugins=[PLUGIN])


def test_a_users_group_file_builds_on_a_plugins_part(tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "wide.yaml").write_text("defaults: [test_model, _self_]\nwidth: 99\n")
    cfg = load_config("contrastive", overrides=["model=wide"], plugins=[PLUGIN], config_dir="mine")
    assert (cfg.model.name, cfg.model.width, cfg.origins["model.width"]) == ("test_model", 99, "mine/model/wide.yaml:2")


def test_hydra_forgets_the_plugins_afterwards():
    from hydra.core.config_store import ConfigStore

    resolve()
    assert "test_model.yaml" not in ConfigStore.instance().repo.get("model", {})


def test_a_bare_name_may_be_a_plugins():
    assert load_config("contrastive", overrides=["loss=test_loss", "power=3"], plugins=[PLUGIN]).loss.power == 3.0


def test_a_module_is_imported_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "my_parts.py").write_text(PLUGIN.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    assert load_config("contrastive", overrides=["loss=test_loss"], plugins=["my_parts"]).loss.name == "test_loss"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise OSError('no licence')", "OSError: no licence"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("def (", "SyntaxError"),
        (PLUGIN.read_text().replace('"loss", "test_loss"', '"loss", "supcon"'), "the loss 'supcon' exists already"),
    ],
)
def test_a_plugin_that_fails_is_named_with_its_cause(tmp_path, text, words):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(ConfigError, match=r"--plugin bad\.py") as failure:
        load_config("contrastive", plugins=["bad.py"])
    assert words in str(failure.value)
    assert failure.value.__cause__ is not None


def test_a_plugin_that_is_not_there():
    with pytest.raises(ConfigError, match=r"there is no file gone\.py"):
        load_config("contrastive", plugins=["gone.py"])
    with pytest.raises(ConfigError, match="name an installed module"):
        load_config("contrastive", plugins=["no_such_module"])


def test_installed_plugins_are_loaded(tmp_path, monkeypatch):
    (tmp_path / "installed_parts.py").write_text(PLUGIN.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mine", "installed_parts", plugins.ENTRY_POINTS)
    plugins._installed.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(plugins, "entry_points", lambda group: [point] if group == plugins.ENTRY_POINTS else [])
        assert plugins._installed() == (point,)
    assert load_config("contrastive", overrides=["loss=test_loss"]).loss.name == "test_loss"
    broken = EntryPoint("broken", "no_such_module", plugins.ENTRY_POINTS)
    monkeypatch.setattr(plugins, "_installed", lambda: (broken,))
    with pytest.raises(ConfigError, match="plugin broken: cannot be found"):
        load_config("contrastive")


def test_what_was_loaded_can_be_named_to_another_process(tmp_path, monkeypatch):
    (tmp_path / "parts.py").write_text(PLUGIN.read_text())
    (tmp_path / "more_of_mine.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError):
        plugins.load_plugins(["no_such_module"])
    for _ in range(2):
        plugins.load_plugins(["parts.py", "more_of_mine"])
    assert plugins.loaded_plugins() == [str(tmp_path / "parts.py"), "more_of_mine"]


def test_the_processes_of_a_run_get_the_plugins(tmp_path, monkeypatch):
    """A member or a trial on several devices is trained by other processes, which must know its parts."""
    (tmp_path / "parts.py").write_text(PLUGIN.read_text())
    cfg = load_config("contrastive", overrides=["loss=test_loss"], plugins=["parts.py"])
    given = []

    def launch(count, words):
        given.append(words)
        file = Path(words[words.index("--config") + 1])
        named = [words[at + 1] for at, word in enumerate(words) if word == "--plugin"]
        registry._REGISTERED.clear()
        for name in [name for name in sys.modules if name.startswith("spectrain_plugin_")]:
            del sys.modules[name]
        monkeypatch.chdir("/")
        assert load_config(words[1], config=file, plugins=named, use_personal=False).loss.name == "test_loss"
        return 1

    monkeypatch.setattr(whole_run, "missing_processes", lambda cfg: 2)
    monkeypatch.setattr(whole_run, "launch", launch)
    with pytest.raises(RunError, match="its 2 processes ended with code 1"):
        whole_run.whole_run(cfg, tmp_path / "run")
    assert len(given) == 1
