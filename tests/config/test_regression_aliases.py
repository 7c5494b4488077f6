"""The flags of the published regression: each is understood, with the words that its users write."""

from __future__ import annotations

import pytest

from spectrain.config import load_config
from spectrain.config.aliases.regression import REGRESSION
from spectrain.config.command_line import flag_entries
from spectrain.config.keys import CHOICES, builtin_part_keys, scalars
from spectrain.config.translate import Translator

FLAGS = (
    "train_input_data_dir", "train_label_data_dir", "all_checkpoint_dir", "out_dir", "train_mode",
    "model_weights_path", "skip_training", "num_workers", "loss_key", "batch_size", "nb_epoch", "base_learning_rate",
    "l2_lambda", "optimizer", "momentum", "gradient_clipping", "amp", "bilinear", "save_checkpoint", "num_ch",
    "wabdb_name", "min_gt", "max_gt", "pearson_thresh",
)  # fmt: skip
DEFAULTS = {
    "model": "unet", "model.bilinear": True, "loss.kind": "gaussian_nll", "optimizer": "adam",
    "optimizer.weight_decay": 1e-8, "hparams.epochs": 100, "hparams.batch_size": 32, "hparams.gradient_clipping": 1.0,
    "general.use_amp": False, "hparams.save_freq": None,
}  # fmt: skip
"""What the document has where nothing is said, in our keys."""
OTHERWISE = {"model.num_ch": None, "optimizer.lr": 1e-3, "scheduler": "cosine", "out_dir": None}
"""On purpose not 14 (the data tell), 1e-7 rising to 0.1 in cycles (with base_learning_rate they come), and ./tmp/."""


def layer(*flags, lower=()):
    """What a command line says in our keys, after a lower layer."""
    translator = Translator(REGRESSION)
    for words in (list(lower), list(flags)):
        entries, problems = flag_entries(words)
        assert not problems
        found = translator.layer(entries)
    return found


def settings(*flags, lower=()):
    found = layer(*flags, lower=lower)
    assert not found.problems and not found.unknown
    return {key: one.value for key, one in {**found.settings, **found.choices}.items()}


def test_every_flag_of_the_document_is_known():
    known = {*REGRESSION, *scalars(), *CHOICES}
    assert [flag for flag in FLAGS if flag not in known] == []


def test_every_native_key_is_there():
    natives = {native.partition("=")[0] for native, _ in REGRESSION.values() if native is not None}
    assert natives <= {*scalars(), *builtin_part_keys(), *CHOICES}


def test_the_command_line_of_the_document():
    words = "--train_input_data_dir A --train_label_data_dir B --all_checkpoint_dir C --out_dir O --nb_epoch 5"
    words += " --batch_size 4 --base_learning_rate 1e-7 --l2_lambda 1e-8 --optimizer SGD --momentum 0.8"
    words += " --gradient_clipping 0.5 --amp True --bilinear False --num_ch 3 --save_checkpoint False --loss_key MSE"
    assert settings(*words.split()) == {
        "dataset.path": "A", "dataset.labels_path": "B", "all_checkpoint_dir": "C", "out_dir": "O",
        "hparams.epochs": 5, "hparams.batch_size": 4, "optimizer.lr": 1e-7, "optimizer.weight_decay": 1e-8,
        "optimizer": "sgd", "optimizer.momentum": 0.8, "hparams.gradient_clipping": 0.5, "general.use_amp": True,
        "model.bilinear": False, "model.num_ch": 3, "hparams.save_freq": 0, "loss": "mse",
        "scheduler": "cyclic",
    }  # fmt: skip


@pytest.mark.parametrize("flag", ["bilinear", "save_checkpoint", "amp"])
@pytest.mark.parametrize(
    ("form", "meant"),
    [
        ("--{}", True), ("--{} True", True), ("--{}=yes", True), ("--{} 1", True), ("--no-{}", False),
        ("--{} False", False), ("--{}=false", False), ("--{} no", False), ("--{} 0", False),
    ],
)  # fmt: skip
def test_truth_values_can_be_turned_on_and_off(flag, form, meant):
    (value,) = settings(*form.format(flag).split()).values()
    assert value == meant and type(value) is (int if flag == "save_checkpoint" else bool)


def test_weights_to_begin_from():
    assert settings("--train_mode", "resume", "--model_weights_path", "w.pth") == {"model.init_from": "w.pth"}
    assert settings("--train_mode", "scratch", "--model_weights_path", "w.pth") == {"model.init_from": None}
    tested = settings("--skip_training", "true", "--model_weights_path", "w.pth")
    assert tested == {"hparams.skip_training": True, "model.init_from": "w.pth"}
    assert settings("--skip_training", "false") == {}
    assert settings("--train_mode", "scratch") == {"model.init_from": None}
    assert settings("--train_mode", "resume", lower=["--model_weights_path=w.pth", "--train_mode=scratch"]) == {
        "model.init_from": "w.pth"
    }


@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        ("--train_mode resume", "train_mode", "needs --model_weights_path FILE; to continue a run: --resume RUN"),
        ("--train_mode again --model_weights_path w", "train_mode", "must be scratch or resume, not 'again'"),
        ("--model_weights_path w", "model_weights_path", "is used beside train_mode resume, or skip_training, only"),
        ("--bilinear maybe", "bilinear", "must be true or false, not 'maybe'"),
        ("--skip_training perhaps", "skip_training", "must be true or false, not 'perhaps'"),
        ("--max_gt much", "max_gt", "must be a number, not 'much'"),
    ],
)
def test_what_cannot_be_meant_is_said_once(words, key, said):
    (problem,) = layer(*words.split()).problems
    assert problem.key == key and said in problem.what


def test_losses_have_the_published_names_and_ours():
    names = {"MSE": "mse", "MAE": "mae", "gaussian_nll": "gaussian_nll", "laplacian_nll": "laplace_nll"}
    for theirs, ours in {**names, "huber": "huber"}.items():
        assert settings("--loss_key", theirs) == {"loss": ours}


def test_momentum_is_of_sgd_alone():
    assert settings("--momentum", "0.9") == {}
    assert settings("--optimizer", "ADAM", "--momentum", "0.9") == {"optimizer": "adam"}
    assert settings("--momentum", "0.9", lower=["--optimizer=sgd"]) == {"optimizer.momentum": 0.9}


def test_the_name_of_the_project_and_what_does_nothing():
    assert settings("--wabdb_name") == settings("--wandb-name", "AGB_UNET") == {"wandb.project": "AGB_UNET"}
    found = layer("--pearson_thresh", "0.95")
    assert not found.settings and not found.problems and set(found.left_alone) == {"pearson_thresh"}


def test_where_figures_of_the_labels_begin_and_end():
    assert settings("--min_gt", "5", "--max_gt", "400") == {"task.limits": [5.0, 400.0]}
    assert settings("--max_gt", "400") == {"task.limits": [0.0, 400.0]}
    for words, key in ((["--min_gt", "1000"], "min_gt"), (["--min_gt", "9", "--max_gt", "8"], "max_gt")):
        (problem,) = layer(*words).problems
        assert problem.key == key and "max_gt must be above min_gt" in problem.what


def test_the_base_rate_brings_the_published_cycles():
    assert settings("--base_learning_rate", "1e-6") == {"optimizer.lr": 1e-6, "scheduler": "cyclic"}
    assert settings("--base_learning_rate", "1e-3", "--scheduler", "onecycle") == {
        "optimizer.lr": 1e-3, "scheduler": "onecycle",
    }  # fmt: skip
    cfg = load_config("regression", flags=["--base_learning_rate", "1e-7"])
    assert (cfg.optimizer.lr, cfg.scheduler.name, cfg.scheduler.max_lr) == (1e-7, "cyclic", 0.1)


def test_training_is_not_skipped_where_that_is_said():
    assert settings("--no-skip_training") == settings("--skip_training", "False") == {}


def test_the_defaults_are_those_of_the_document():
    cfg = load_config("regression").to_dict()
    for key, value in {**DEFAULTS, **OTHERWISE}.items():
        section, _, name = key.partition(".")
        found = cfg[section][name or "name"] if isinstance(cfg[section], dict) else cfg[section]
        assert found == value, key
