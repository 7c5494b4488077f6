"""From sources to a configuration: precedence, origins, and every mistake at once."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from spectrain.config import Config, load_config
from spectrain.config.interval import Interval
from spectrain.core.errors import ConfigError


def test_a_recipe_alone_is_a_whole_configuration():
    cfg = load_config("contrastive")
    assert isinstance(cfg, Config)
    assert (cfg.recipe, cfg.model.name, cfg.optimizer.lr, cfg.trackers) == ("contrastive", "supcon_resnet", 0.05, [])
    assert cfg.hparams.checkpoint_interval == Interval(seconds=600)
    assert cfg.origins["hparams.batch_size"] == "recipe contrastive"
    assert cfg.origins["hparams.log_every"] == "default"
    with pytest.raises(dataclasses.FrozenInstanceError):
        cfg.hparams.epochs = 3
    assert pickle.loads(pickle.dumps(cfg)) == cfg


def test_parts_are_built_from_their_options():
    loss = load_config("contrastive", overrides=["loss.temperature=0.5"]).loss.build()
    assert loss.temperature == 0.5
    with pytest.raises(AttributeError):
        _ = load_config("contrastive").loss.warmth


# --- every mistake at once


def test_both_typos_are_named_with_their_suggestion(mistakes):
    found = mistakes("hparams.epoch=2", "hparams.batchsize=4")
    assert found["hparams.epoch"].fix == "did you mean hparams.epochs?"
    assert found["hparams.batchsize"].fix == "did you mean hparams.batch_size?"
    assert {problem.origin for problem in found.values()} == {"command line"}


def test_mistakes_of_all_sources_come_in_one_message(mistakes, write, monkeypatch):
    write("spectrain.toml", "[spectrain.general]\nsead = 3\n")
    write("opts.json", '{\n"learning_rat": 0.1,\n"temp": "warm",\n"flip": 3}')
    found = mistakes("optimizer.momentum=2", "model=resnet", config="opts.json", flags=["--feat_dims", "3"])
    assert {key: problem.origin for key, problem in found.items()} == {
        "general.sead": "spectrain.toml:2",
        "learning_rat": "opts.json:2",
        "loss.temperature (written temp)": "opts.json:3",
        "augmentation.flip": "opts.json:4",
        "optimizer.momentum": "command line",
        "model": "command line",
        "feat_dims": "command line",
    }
    assert found["learning_rat"].fix == "did you mean learning_rate (optimizer.lr)?"
    assert "known are" in found["model"].fix


@pytest.mark.parametrize(
    ("override", "key", "words"),
    [
        ("hparams.epochs=1.5", "hparams.epochs", "must be a whole number, not 1.5"),
        ("hparams.epochs=many", "hparams.epochs", "must be a whole number, not 'many'"),
        ("hparams.epochs=0", "hparams.epochs", "must be at least 1"),
        ("hparams.monitor_mode=best", "hparams.monitor_mode", "allowed are min, max"),
        ("hparams.checkpoint_every=often", "hparams.checkpoint_every", "cannot be 'often'"),
        ("hparams.checkpoint_every=0", "hparams.checkpoint_every", "at least 1"),
        ("hparams.checkpoint_every=0min", "hparams.checkpoint_every", "cannot be"),
        ("general.use_amp=maybe", "general.use_amp", "auto or true or false"),
        ("general.device=gpu", "general.device", "cannot be 'gpu'"),
        ("general.device=-1", "general.device", "at least 0"),
        ("dataset.bands=red", "dataset.bands", "must be a list"),
        ("dataset.transform=[log2]", "dataset.transform", "allowed are none, log10"),
        ("trackers=[mlfow]", "trackers", "allowed are tensorboard, mlflow, wandb"),
        ("optimizer.lr=.nan", "optimizer.lr", "finite"),
        ("optimizer.lr=0", "optimizer.lr", "more than 0"),
        ("loss.contrast_mode=two", "loss.contrast_mode", "allowed are all, one"),
        ("augmentation.crop=big", "augmentation.crop", "a whole number or null"),
        ("model=[a]", "model", "must be a name"),
        ("hparams=5", "hparams", "is a section"),
        ("mlflow.tags=a", "mlflow.tags", "is a section"),
        ("general.notes=${now}", "general.notes", "cannot be"),
    ],
)
def test_wrong_values_are_named(mistakes, override, key, words):
    found = mistakes(override)
    assert list(found) == [key]
    assert words in found[key].what


@pytest.mark.parametrize(
    ("override", "fix"),
    [
        ("general.batch_size=3", "did you mean hparams.batch_size?"),
        ("hparams.num_workers=3", "did you mean general.num_workers?"),
        ("optimiser.lr=3", "did you mean optimizer.lr?"),
        ("optimizer.lrr=3", "did you mean optimizer.lr? optimizer sgd has"),
        ("hparams.zzz=3", "hparams has accumulate_grad_batches,"),
        ("tracker=3", "did you mean trackers?"),
        ("modle=3", "did you mean model?"),
        ("epoch=3", "did you mean epochs (hparams.epochs)?"),
    ],
)
def test_unknown_keys_are_answered(mistakes, override, fix):
    (problem,) = mistakes(override).values()
    assert problem.what == "is not an option"
    assert problem.fix.startswith(fix)


def test_a_key_without_likeness_has_no_advice(mistakes):
    assert mistakes("qqqqqq=1")["qqqqqq"].fix is None


def test_a_bare_name_that_means_two_options_is_asked_back(mistakes):
    problem = mistakes("scale=0.1")["scale"]
    assert problem.fix == "write one of augmentation.scale, dataset.scale"


def test_a_missing_file_does_not_hide_other_mistakes(mistakes):
    found = mistakes("hparams.epoch=2", config="nowhere.yaml")
    assert set(found) == {"nowhere.yaml", "hparams.epoch"}


def test_a_recipe_that_is_missing_or_misspelt(mistakes):
    assert "name one of contrastive" in mistakes(recipe=None)["recipe"].fix
    assert mistakes(recipe="contrastiv")["recipe"].fix.startswith("did you mean contrastive?")
    assert "given twice" in mistakes("recipe=other")["recipe"].what


# --- doubled keys


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.json", '{"epochs": 1,\n"hparams": {"epochs": 2}}', 2),
        ("a.json", '{"learning_rate": 1,\n"optimizer.lr": 2}', 2),
        ("a.json", '{"epochs": 1,\n"epochs": 2}', 2),
        ("a.yaml", "hparams:\n  epochs: 1\nhparams.epochs: 2\n", 3),
        ("a.yaml", "hparams:\n  nb_epochs: 1\n  epochs: 2\n", 3),
        ("a.yaml", "hparams: {lr: 1}\nlearning_rate: 1\n", 2),
        ("a.toml", "[spectrain]\nepochs = 1\n[spectrain.hparams]\nepochs = 2\n", 4),
        ("a.toml", "[darts.a]\nbatch-size = 1\n[darts.b]\nbatch_size = 2\n", 4),
        ("a.yaml", "model: supcon_resnet\nmodel.name: other\n", 2),
        ("a.yaml", "cosine: true\nscheduler: step\n", 2),
    ],
)
def test_a_key_given_twice_in_a_file(mistakes, write, name, text, line):
    (problem,) = mistakes(config=write(name, text)).values()
    assert "given twice" in problem.what
    assert problem.origin == f"{name}:{line}"


@pytest.mark.parametrize(
    ("overrides", "flags"),
    [
        (["hparams.epochs=1", "hparams.epochs=1"], []),
        (["hparams.epochs=1"], ["--epochs", "2"]),
        ([], ["--epochs", "1", "--hparams.epochs=2"]),
        (["optimizer.lr=1"], ["--learning-rate", "1"]),
        (["model=supcon_resnet", "model=supcon_resnet"], []),
    ],
)
def test_a_key_given_twice_on_the_command_line(mistakes, overrides, flags):
    (problem,) = mistakes(*overrides, flags=flags).values()
    assert "given twice, first in command line" in problem.what


def test_the_name_it_was_written_by_first_is_told(mistakes, write):
    file = write("a.json", '{"learning_rate": 1,\n"optimizer.lr": 2}')
    assert mistakes(config=file)["optimizer.lr"].what == "is given twice, first in a.json:1 as learning_rate"


# --- precedence


def test_the_higher_source_wins_and_is_named(write):
    write("spectrain.toml", "[spectrain]\nepochs = 2\nseed = 2\nnum-workers = 2\n")
    file = write("a.yaml", "hparams: {epochs: 3}\ngeneral.seed: 3\n")
    cfg = load_config("contrastive", config=file, overrides=["hparams.epochs=4"])
    assert (cfg.hparams.epochs, cfg.general.seed, cfg.general.num_workers) == (4, 3, 2)
    origins = [cfg.origins[key] for key in ("hparams.epochs", "general.seed", "general.num_workers")]
    assert origins == ["command line", "a.yaml:2", "spectrain.toml:4"]
    assert load_config("contrastive", use_personal=False).general.num_workers == 0


def test_personal_defaults_elsewhere(write, monkeypatch, mistakes):
    write("spectrain.toml", "[spectrain]\nseed = 2\n")
    monkeypatch.setenv("SPECTRAIN_CONFIG", write("home/mine.yaml", "general.seed: 5\n"))
    assert load_config("contrastive").general.seed == 5
    monkeypatch.setenv("SPECTRAIN_CONFIG", "home/gone.yaml")
    assert "home/gone.yaml" in mistakes()


def test_personal_defaults_are_not_read_twice_as_the_options_file(write):
    file = write("spectrain.toml", "[spectrain]\nseed = 2\n")
    assert load_config("contrastive", config=file).origins["general.seed"] == "spectrain.toml:2"


def test_personal_defaults_serve_all_recipes(write, mistakes):
    write("spectrain.toml", "[spectrain.optimizer]\nbetas = [0.8, 0.9]\nlr = 0.3\n")
    cfg = load_config("contrastive")
    assert cfg.optimizer.lr == 0.3
    assert cfg.left_alone == {"optimizer.betas": "spectrain.toml:2, not for optimizer=sgd"}
    write("spectrain.toml", "[spectrain.optimizer]\nbeta = [0.8, 0.9]\n")
    assert "optimizer.beta" in mistakes()


def test_a_new_choice_forgets_what_was_said_of_the_old_part():
    cfg = load_config("contrastive", overrides=["optimizer=adam", "augmentation=none"])
    assert cfg.optimizer.lr == 1e-3
    assert cfg.augmentation.to_dict() == {"name": "none"}
    assert cfg.left_alone["augmentation.crop"] == "recipe contrastive, not for augmentation=none"


def test_a_value_without_a_choice_goes_on_to_a_higher_choice(write):
    file = write("a.json", '{"learning_rate": 0.2, "momentum": 0.5}')
    cfg = load_config("contrastive", config=file, overrides=["optimizer=adam"])
    assert cfg.optimizer.lr == 0.2
    assert cfg.left_alone["optimizer.momentum"].startswith("a.json:1, not for")


def test_an_option_of_another_part_beside_its_choice_is_a_mistake(mistakes):
    problem = mistakes("optimizer=adam", "optimizer.momentum=0.5")["optimizer.momentum"]
    others = "it is an option of optimizer=lars or optimizer=sgd: leave it out, or choose that"
    assert problem.fix == f"{others}; optimizer adam has lr, weight_decay, betas"


def test_choosing_the_same_part_again_keeps_the_recipe():
    assert load_config("contrastive", overrides=["model=supcon_resnet"]).model.backbone == "resnet18"


def test_a_choice_by_a_parts_name_and_by_null(write):
    cfg = load_config("contrastive", config=write("a.yaml", "optimizer: {name: adamw, lr: 1}\nmetric: null\n"))
    assert (cfg.optimizer.name, cfg.optimizer.lr, cfg.metric.name) == ("adamw", 1.0, "none")


def test_hydras_defaults_list_in_a_file(write, mistakes):
    file = write("a.yaml", "defaults:\n  - optimizer: adamw\n  - override /metric: none\n  - _self_\n")
    cfg = load_config("contrastive", config=file)
    assert (cfg.optimizer.name, cfg.metric.name, cfg.origins["optimizer.name"]) == ("adamw", "none", "a.yaml:1")
    assert "cannot hold 'base'" in mistakes(config=write("b.yaml", "defaults: [base]"))["defaults"].what
    assert "not a defaults list" in mistakes(config=write("c.yaml", "defaults: 3"))["defaults"].what


# --- open tables and text


def test_tags_need_no_plus_sign_and_stay_text(write):
    file = write("a.yaml", "mlflow:\n  tags:\n    version: 1.10\n    my-site: no\n")
    cfg = load_config("contrastive", config=file, overrides=["mlflow.tags.v2=007", "+mlflow.tags.note=a: b"])
    assert cfg.mlflow.tags == {"version": "1.10", "my-site": "no", "v2": "007", "note": "a: b"}
    assert load_config("contrastive", overrides=["mlflow.tags={a: 1, b: x}"]).mlflow.tags == {"a": "1", "b": "x"}


def test_names_stay_as_they_were_written():
    cfg = load_config("contrastive", overrides=["run_name=007", "run_id=1e3", "general.notes=yes: [it #is"])
    assert (cfg.run_name, cfg.run_id, cfg.general.notes) == ("007", "1e3", "yes: [it #is")


# --- nothing in a configuration runs code


@pytest.mark.parametrize("key", ["plugin", "plugins"])
def test_a_plugin_in_a_file_is_refused(mistakes, write, key):
    write("evil.py", "raise SystemExit('ran')")
    (problem,) = mistakes(config=write("a.yaml", f"{key}: evil.py\n")).values()
    assert (problem.key, problem.origin) == (key, "a.yaml:1")
    assert "cannot run code" in problem.fix


@pytest.mark.parametrize(
    "target", ["os.system", "nenya.losses.SupConLoss", "spectrain.models.supcon_resnet.SupConResNet"]
)
def test_a_strangers_target_is_refused(mistakes, write, target):
    file = write("a.yaml", f"model:\n  _target_: {target}\n")
    (problem,) = mistakes(config=file).values()
    assert (problem.key, problem.origin) == ("model._target_", "a.yaml:2")
    assert "cannot run code" in problem.what


def test_a_target_that_the_documents_print_is_a_part(write):
    file = write("a.yaml", "model:\n  _target_: nenya.models.resnet_big.SupConResNet\n  feat_dim: 9\n")
    cfg = load_config("contrastive", config=file)
    assert (cfg.model.name, cfg.model.feat_dim) == ("supcon_resnet", 9)


@pytest.mark.parametrize("text", ["run_name: ${oc.env:HOME}", "dataset.bands: [a, '${x}']", "mlflow.tags.a: ${now:%Y}"])
def test_references_are_refused(mistakes, write, text):
    (problem,) = mistakes(config=write("a.yaml", text)).values()
    assert problem.fix == "write the value out: references (${...}) are not resolved"


# --- config.yaml of a run


def test_config_yaml_loads_again_as_it_is(write):
    cfg = load_config(
        "contrastive",
        overrides=[
            "dataset.path=[a.h5, 'b: c.h5']",
            "run_name=1e-4",
            "mlflow.tags.odd-name='x # y'",
            "dataset.nodata=.nan",
            "optimizer=adamw",
            "optimizer.lr=1e-05",
            "general.notes=50 % of $HOME",
            "hparams.checkpoint_every=500",
            "augmentation.rotate=30",
        ],
    )
    text = cfg.to_yaml()
    assert "  lr: 1.0e-05  # command line" in text
    assert "  batch_size: 64  # recipe contrastive" in text
    again = load_config(config=write("run/config.yaml", text))
    assert dataclasses.replace(again, dataset=cfg.dataset) == cfg
    assert again.dataset.path == ["a.h5", "b: c.h5"]
    assert again.dataset.nodata != again.dataset.nodata
    line = text.split("\n").index("  lr: 1.0e-05  # command line") + 1
    assert again.origins["optimizer.lr"] == f"run/config.yaml:{line}, which had it from command line"
    write("run/config.yaml", again.to_yaml())
    assert load_config(config="run/config.yaml").origins == again.origins, "however often it is continued"
    assert load_config(config="run/config.yaml", overrides=["hparams.epochs=7"]).hparams.epochs == 7


def test_what_was_left_alone_is_told_in_config_yaml(write):
    text = load_config("contrastive", config=write("a.json", '{"nchannels": 1, "sweep-db": "x"}')).to_yaml()
    assert "#   nchannels (a.json:1)" in text
    assert "#   sweep_db (a.json:1, of sweep)" in text


# --- the user's own groups


def test_a_users_group_file_is_found_and_may_build_on_others(write):
    write("mine/model/wide.yaml", "name: supcon_resnet\nfeat_dim: 256\nbackbone: resnet34\n")
    write("mine/model/wider.yaml", "defaults:\n  - wide\n  - _self_\nfeat_dim: 512\n")
    write("mine/optimizer/slow.yaml", "defaults: [sgd, _self_]\nlr: 1e-3\n")
    cfg = load_config("contrastive", config_dir="mine", overrides=["model=wider", "optimizer=slow"])
    assert (cfg.model.name, cfg.model.feat_dim, cfg.model.backbone, cfg.model.stem) == (
        "supcon_resnet",
        512,
        "resnet34",
        "small",
    )
    assert (cfg.optimizer.name, cfg.optimizer.lr, cfg.optimizer.momentum) == ("sgd", 1e-3, 0.9)
    assert cfg.origins["model.feat_dim"] == "mine/model/wider.yaml:4"
    assert cfg.origins["model.backbone"] == "mine/model/wide.yaml:3"


def test_a_users_group_file_is_validated(mistakes, write):
    write("mine/model/bad.yaml", "name: supcon_resnet\nfeat_dims: 256\nbackbone: resnet99\nhead: 3\n")
    found = mistakes("model=bad", "hparams.epoch=1", config_dir="mine")
    assert {key: problem.origin for key, problem in found.items()} == {
        "model.feat_dims": "mine/model/bad.yaml:2",
        "model.backbone": "mine/model/bad.yaml:3",
        "model.head": "mine/model/bad.yaml:4",
        "hparams.epoch": "command line",
    }
    assert found["model.feat_dims"].fix.startswith("did you mean model.feat_dim?")


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("name: resnet\n", "model.name", "there is no model 'resnet'"),
        ("feat_dim: 3\n", "model.name", "there is no model 'own'"),
        ("_target_: os.system\n", "model._target_", "cannot run code"),
        ("name: supcon_resnet\nhead: ${a}\n", "model.head", "cannot hold"),
        ("name: !!python/name:os.system\n", "name", "could not determine a constructor"),
        ("name: [1\n", "mine/model/own.yaml", "is not YAML"),
        ("name: supcon_resnet\nname: supcon_resnet\n", "name", "given twice"),
        ("defaults: [gone]\n", "--config-dir", "cannot be composed"),
        ("defaults: 3\nname: supcon_resnet\n", "--config-dir", "cannot be composed"),
        ("defaults: [{a: {b: c}}]\nname: supcon_resnet\n", "--config-dir", "cannot be composed"),
        ("# @package _global_\nhparams: {epoch: 3}\n", "hparams.epoch", "is not an option"),
    ],
)
def test_what_is_wrong_with_a_users_group_file_is_said(mistakes, write, text, key, words):
    write("mine/model/own.yaml", text)
    found = mistakes("model=own", config_dir="mine")
    assert words in found[key].what


def test_a_users_dataset_and_recipe(write, mistakes):
    write("mine/dataset/sst.yaml", "path: sst.h5\nbands: [sst]\n")
    write(
        "mine/recipe/ocean.yaml",
        "# @package _global_\ndefaults:\n  - contrastive\n  - override /dataset: sst\n  - override /optimizer: adam\n"
        "  - _self_\nhparams: {epochs: 7}\nlearning_rate: 0.5\n",
    )
    cfg = load_config("ocean", config_dir="mine")
    assert (cfg.recipe, cfg.dataset.path, cfg.dataset.bands, cfg.hparams.epochs) == ("ocean", "sst.h5", ["sst"], 7)
    assert (cfg.hparams.batch_size, cfg.optimizer.name, cfg.optimizer.lr) == (64, "adam", 0.5)
    assert cfg.origins["hparams.epochs"] == "mine/recipe/ocean.yaml:7"
    assert cfg.origins["hparams.batch_size"] == "recipe contrastive"
    assert cfg.origins["dataset.path"] == "mine/dataset/sst.yaml:1"
    write("mine/dataset/other.yaml", "path: other.h5\n")
    file = write("a.yaml", "dataset: sst\ndataset.train_key: early\n")
    replaced = load_config("ocean", config_dir="mine", config=file, overrides=["dataset=other", "dataset.fold=1"])
    assert (replaced.dataset.path, replaced.dataset.train_key, replaced.dataset.fold) == ("other.h5", "train", 1)
    file = write("a.json", '{"temp": 0.5}')
    assert load_config("ocean", config_dir="mine", config=file).loss.temperature == 0.5, "the aliases of contrastive"
    write("mine/recipe/circle.yaml", "defaults: [circle]\n")
    write("run/config.yaml", cfg.to_yaml())
    assert load_config(config="run/config.yaml") == cfg, "a run needs no folder of groups to be used"
    assert "builds on itself" in mistakes(recipe="circle", config_dir="mine")["recipe"].what


def test_a_folder_that_is_not_there(mistakes):
    assert "is not a folder" in mistakes(config_dir="nowhere")["--config-dir"].what


def test_a_group_file_with_a_name_of_ours_wins_and_says_so(mistakes, write, caplog):
    write("mine/model/supcon_resnet.yaml", "feat_dim: 3\nbackbone: resnet34\n")
    write("mine/config.yaml", "hparams: {epochs: 1}\n")
    with caplog.at_level("INFO", logger="spectrain"):
        cfg = load_config("contrastive", config_dir="mine")
    assert caplog.messages == ["model=supcon_resnet is mine/model/supcon_resnet.yaml, instead of the built-in one"]
    assert (cfg.model.name, cfg.model.feat_dim, cfg.model.backbone) == ("supcon_resnet", 3, "resnet34")
    assert cfg.origins["model.feat_dim"] == "mine/model/supcon_resnet.yaml:1"
    assert (cfg.model.stem, cfg.hparams.epochs) == ("small", 200), "the recipe's where the file says nothing"
    assert load_config("contrastive", config_dir="mine", overrides=["model.feat_dim=5"]).model.feat_dim == 5
    write("mine/model/supcon_resnet.yaml", "feat_dims: 3\n")
    assert mistakes(config_dir="mine")["model.feat_dims"].origin == "mine/model/supcon_resnet.yaml:1"


def test_a_folder_with_an_awkward_name(write, tmp_path):
    folder = tmp_path / "it's, a [folder]=x\\"
    (folder / "loss").mkdir(parents=True)
    (folder / "loss" / "my loss.yaml").write_text("name: supcon\ntemperature: 0.3\n")
    assert load_config("contrastive", config_dir=folder, overrides=["loss=my loss"]).loss.temperature == 0.3


def test_hydras_own_state_is_left_as_it_was(write):
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra

    load_config("contrastive")
    before = {group: set(files) for group, files in ConfigStore.instance().repo.items() if isinstance(files, dict)}
    load_config("contrastive")
    after = {group: set(files) for group, files in ConfigStore.instance().repo.items() if isinstance(files, dict)}
    assert after == before
    assert not GlobalHydra.instance().is_initialized()


def test_the_cause_of_every_mistake_is_a_config_error(write):
    with pytest.raises(ConfigError, match="2 mistakes in the configuration"):
        load_config("contrastive", overrides=["a_=1", "b_=2"], config=Path(write("x.json", "{}")))


@pytest.mark.parametrize(("words", "places"), [([], []), (["~/a"], ["~/a"]), (["[~/a,b.h5]"], ["~/a", "b.h5"])])
def test_data_sets_are_a_list_of_paths_and_that_is_no_option(words, places):
    cfg = load_config("contrastive", overrides=[f"dataset.path={word}" for word in words])
    assert cfg.dataset.places == [Path(place).expanduser() for place in places]
    assert "places" not in cfg.to_dict()["dataset"]
    with pytest.raises(ConfigError, match=r"dataset\.places"):
        load_config("contrastive", overrides=["dataset.places=x"])


@pytest.mark.parametrize(("words", "size"), [([], 32), (["hparams.batch_size_valid=5"], 5)])
def test_a_validation_batch_is_as_large_as_one_of_training_unless_it_is_said(words, size):
    cfg = load_config("contrastive", overrides=["hparams.batch_size=32", *words])
    assert cfg.hparams.evaluation_batch_size == size
    assert "evaluation_batch_size" not in cfg.to_dict()["hparams"]
