"""Every command line and every YAML snippet of the document on spectral masked autoencoders composes as it is printed.

`python train_model.py` is `spectrain train mae` here, and `train_model_ddp.py` is the same with `general.device_ids`.
"""

from __future__ import annotations

import shlex

import pytest
from blocks import blocks_of, commands

from spectrain.cli import main
from spectrain.config import load_config
from spectrain.core.errors import ConfigError

CONFIG = """\
defaults:
  - dataset: segmentation_dataset
  - model: mae_medium
  - loss: mae_spectral
  - optimizer: adamw
  - scheduler: cosine
  - show_prediction: plot_rgb

# Training hyperparameters
hparams:
  epochs: 200
  batch_size: 6
  valid_interval: 5
  accumulate_grad_batches: 1

# Hardware configuration
general:
  device_ids: [0, 1, 2]  # Multi-GPU setup
  num_workers: 8
"""
MODEL = """\
# mae_medium.yaml example
_target_: models.spectral_gpt.mae_spectral.MAESpectral
img_size: 500
patch_size: [25, 5]  # [spatial, spectral]
in_chans: 30
embed_dim: 512
encoder_depth: 16
encoder_num_heads: 16
decoder_embed_dim: 256
decoder_depth: 8
decoder_num_heads: 8
mask_ratio: 0.8
"""
LOSS = """\
# conf/loss/mae_spectral.yaml
_target_: losses.mae_spectral.MAESpectralLoss
mse_weight: 1.0
sam_weight: 0.1
variance_weight: 0.01
range_penalty_weight: 0.001
"""
DATASET = """\
# conf/dataset/segmentation_dataset.yaml
_target_: dataset.segmentation_dataset.SegmentationDataset
csv_file: "/path/to/dataset.csv"
transform_type: "augment_basic"
normalize: true
load_rgb: true
"""
PLOT = """\
# conf/show_prediction/plot_rgb.yaml
_target_: plots.plot_bottleneck.display_rgb
nb_to_plot: 4
save_format: "png"
dpi: 150
"""
FOLDER = {
    "config.yaml": CONFIG,
    "model/mae_medium.yaml": MODEL,
    "loss/mae_spectral.yaml": LOSS,
    "dataset/segmentation_dataset.yaml": DATASET,
    "show_prediction/plot_rgb.yaml": PLOT,
}
SIZES = {  # encoder layers, heads, dim; decoder layers, heads: the document's table
    "mae_tiny": (12, 3, 192, 8, 3),
    "mae_small": (12, 6, 384, 8, 6),
    "mae_base": (12, 12, 768, 8, 12),
    "mae_medium": (16, 16, 512, 8, 16),
    "mae_large": (24, 16, 1024, 8, 16),
    "mae_huge": (32, 16, 1280, 8, 16),
}
COMMANDS = {
    "": {"model.variant": "mae_medium", "hparams.epochs": 200},
    "model=mae_large": {"model.variant": "mae_large"},
    "model=mae_base": {"model.variant": "mae_base"},
    "hparams.batch_size=4 hparams.epochs=100": {"hparams.batch_size": 4, "hparams.epochs": 100},
    'general.experiment_name="custom_experiment"': {"general.experiment_name": "custom_experiment"},
    'mlflow.tags.version="v1.0"': {"mlflow.tags": {"version": "v1.0"}},
    "model=mae_tiny hparams.batch_size=16": {"model.variant": "mae_tiny", "hparams.batch_size": 16},
    "model=mae_base hparams.batch_size=6": {"model.variant": "mae_base", "hparams.batch_size": 6},
    "model=mae_large hparams.batch_size=2": {"model.variant": "mae_large", "hparams.batch_size": 2},
    "general.use_amp=true": {"general.use_amp": True},
    "hparams.accumulate_grad_batches=4": {"hparams.accumulate_grad_batches": 4},
    "general.debug=true": {"general.debug": True},
    "hparams.overfit_batches=1": {"hparams.overfit_batches": 1},
    "hparams.batch_size=2": {"hparams.batch_size": 2},
    "model=mae_small": {"model.variant": "mae_small"},
    "general.num_workers=16": {"general.num_workers": 16},
    "general.device_ids=[0,1,2]": {"general.device_ids": [0, 1, 2]},  # train_model_ddp.py
    "model=mae_medium": {"model.variant": "mae_medium"},  # train_model_medium.py
}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes files of a folder ``conf``."""

    def write_files(files):
        for name, text in files.items():
            path = tmp_path / "conf" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write_files


def value(cfg, key):
    for name in key.split("."):
        cfg = getattr(cfg, name)
    return cfg


def resolved(*overrides, **rest):
    return load_config("mae", overrides=overrides, **rest)


@pytest.mark.parametrize(("words", "effects"), COMMANDS.items(), ids=[words or "none" for words in COMMANDS])
def test_a_command_line_of_the_document(words, effects):
    cfg = resolved(*shlex.split(words))
    assert {key: value(cfg, key) for key in effects} == effects
    given = [word.split("=")[0] for word in shlex.split(words)]
    origins = {cfg.origins[f"{key}.name" if key == "model" else key] for key in given}
    assert origins <= {"command line"}
    assert (cfg.metric.name, cfg.show_prediction.name, cfg.trackers) == ("reconstruction", "plot_rgb", ["mlflow"])
    assert not cfg.left_alone


def test_cfg_job_prints_the_configuration(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "mae", "--cfg", "job"])
    assert not stopped.value.code
    printed = capsys.readouterr().out
    assert "  variant: mae_medium  # default\n" in printed
    assert "  batch_size: 6  # recipe mae\n" in printed


@pytest.mark.parametrize(("name", "sizes"), SIZES.items())
def test_the_table_of_sizes(name, sizes):
    model = resolved(f"model={name}").model
    encoder = (model.encoder_depth, model.encoder_num_heads, model.embed_dim)
    assert (*encoder, model.decoder_depth, model.decoder_num_heads) == sizes
    assert (model.name, model.patch_size, model.mask_ratio) == ("mae_spectral", [25, 5], 0.8)


@pytest.mark.parametrize("folder", [None, "conf"])
def test_the_main_configuration(write, folder):
    write(FOLDER)
    cfg = resolved(config="conf/config.yaml", config_dir=folder)
    parts = ("model", "loss", "optimizer", "scheduler", "show_prediction")
    names = ("mae_spectral", "mae_spectral", "adamw", "cosine", "plot_rgb")
    assert tuple(getattr(cfg, group).name for group in parts) == names
    hparams = cfg.hparams
    assert (hparams.epochs, hparams.batch_size, hparams.valid_interval) == (200, 6, 5)
    assert hparams.accumulate_grad_batches == 1
    assert (cfg.general.device_ids, cfg.general.num_workers) == ([0, 1, 2], 8)
    assert cfg.dataset.transform == "log10_reflectance"
    assert cfg.origins["general.device_ids"] == "conf/config.yaml:18"
    assert cfg.origins["model.name"] == "conf/config.yaml:1"
    assert not cfg.left_alone


def test_the_model(write, caplog):
    write({"model/mae_medium.yaml": MODEL})
    with caplog.at_level("INFO", logger="spectrain"):
        model = (cfg := resolved(config_dir="conf")).model
    assert caplog.messages == ["model=mae_medium is conf/model/mae_medium.yaml, instead of the built-in one"]
    assert (model.img_size, model.patch_size, model.in_chans, model.mask_ratio) == (500, [25, 5], 30, 0.8)
    assert (model.embed_dim, model.encoder_depth, model.encoder_num_heads) == (512, 16, 16)
    assert (model.decoder_embed_dim, model.decoder_depth, model.decoder_num_heads) == (256, 8, 8)
    assert cfg.origins["model.decoder_num_heads"] == "conf/model/mae_medium.yaml:11"
    assert (model.variant, model.mlp_ratio, cfg.origins["model.variant"]) == ("mae_medium", 4.0, "default")
    assert resolved("model.decoder_num_heads=4", config_dir="conf").model.decoder_num_heads == 4


def test_the_loss(write):
    write({"loss/mae_spectral.yaml": LOSS.replace("0.001", "0.002")})
    loss = (cfg := resolved(config_dir="conf")).loss
    assert (loss.mse_weight, loss.sam_weight, loss.variance_weight) == (1.0, 0.1, 0.01)
    assert (loss.range_penalty_weight, loss.compare) == (0.002, "masked")
    assert cfg.origins["loss.range_penalty_weight"] == "conf/loss/mae_spectral.yaml:6"
    assert resolved().loss.to_dict() | {"range_penalty_weight": 0.002} == loss.to_dict()


def test_the_dataset(write):
    write({"dataset/segmentation_dataset.yaml": DATASET})
    cfg = resolved("dataset=segmentation_dataset", config_dir="conf")
    assert (cfg.dataset.path, cfg.dataset.load_rgb) == ("/path/to/dataset.csv", True)
    assert (cfg.dataset.transform, cfg.model.standardise) == ("log10_reflectance", "mean_std")
    assert cfg.origins["dataset.path"] == "conf/dataset/segmentation_dataset.yaml:3"
    assert cfg.origins["augmentation.name"] == "conf/dataset/segmentation_dataset.yaml:4"
    view = cfg.augmentation
    assert (view.name, view.flip, view.rotate, view.shift, view.scale, view.corners) == (
        "warp", True, 30, 0.3, 0.5, "zero",
    )  # fmt: skip
    text = DATASET.replace('"augment_basic"', "none").replace("normalize: true", "normalize: false")
    write({"dataset/segmentation_dataset.yaml": text.replace("load_rgb: true", "load_rgb: false")})
    cfg = resolved("dataset=segmentation_dataset", config_dir="conf")
    assert (cfg.augmentation.name, cfg.model.standardise, cfg.dataset.load_rgb) == ("none", "none", False)
    write({"dataset/mine.yaml": DATASET})
    assert resolved("dataset=mine", config_dir="conf").dataset.transform == "log10_reflectance"
    cfg = resolved("dataset=segmentation_dataset", "augmentation=warp", "dataset.csv_file=b.csv", config_dir="conf")
    assert (cfg.augmentation.name, cfg.augmentation.shift, cfg.dataset.path) == ("warp", 0.0, "b.csv")


def test_the_plot(write):
    write({"show_prediction/plot_rgb.yaml": PLOT.replace("4", "3").replace("150", "99")})
    plot = (cfg := resolved(config_dir="conf")).show_prediction
    assert (plot.name, plot.nb_to_plot, plot.save_format, plot.dpi) == ("plot_rgb", 3, "png", 99)
    assert cfg.origins["show_prediction.dpi"] == "conf/show_prediction/plot_rgb.yaml:5"


@pytest.mark.parametrize("group", ["model", "loss", "dataset", "show_prediction"])
def test_a_snippet_as_a_section_of_an_options_file(write, group):
    snippet = next(text for name, text in FOLDER.items() if name.startswith(group))
    inside = "".join(f"  {line}\n" for line in snippet.splitlines())
    write({"all.yaml": f"{group}:\n{inside}", **FOLDER})
    cfg = resolved(config="conf/all.yaml")
    folder = resolved(*(["dataset=segmentation_dataset"] if group == "dataset" else []), config_dir="conf")
    assert getattr(cfg, group) == getattr(folder, group)
    assert any(origin.startswith("conf/all.yaml:") for origin in cfg.origins.values())


def test_a_folder_of_the_users_own_with_all_of_it(write):
    write(FOLDER)
    cfg = resolved("hparams.epochs=3", config="conf/config.yaml", config_dir="conf")
    assert (cfg.dataset.path, cfg.augmentation.name, cfg.model.decoder_num_heads) == ("/path/to/dataset.csv", "warp", 8)
    assert (cfg.model.in_chans, cfg.loss.sam_weight, cfg.hparams.epochs) == (30, 0.1, 3)


SHELL = [
    command
    for block in blocks_of("mae.md")
    if block.language == "sh"
    for command in commands(block)
    if " train " in command
]


@pytest.mark.parametrize("command", SHELL)
def test_the_commands_of_our_page_compose(write, command, capsys):
    write(FOLDER)
    words = shlex.split(command)
    words = words[words.index("train") :]
    with pytest.raises(SystemExit) as stopped:
        main(words if "--cfg" in words else [*words, "--cfg", "job"])
    assert not stopped.value.code
    assert capsys.readouterr().out.startswith("# The whole configuration")


@pytest.mark.parametrize(
    ("word", "key", "fix"),
    [
        ("hparams.epoch=3", "hparams.epoch", "did you mean hparams.epochs?"),
        ("general.device_id_s=[0]", "general.device_id_s", "did you mean general.device_ids?"),
        ("loss.sam_wieght=1", "loss.sam_wieght", "did you mean loss.sam_weight?"),
        ("model.embed_dims=1", "model.embed_dims", "did you mean model.embed_dim?"),
        ("acuracy=none", "acuracy", "did you mean accuracy (metric)?"),
        ("general.use_dpp=true", "general.use_dpp", "did you mean general.use_ddp (general.parallel)?"),
        ("model=mae_larg", "model", "did you mean mae_large?"),
        ("mlflow.tag.version=1", "mlflow.tag.version", None),
    ],
)
def test_a_wrong_key_is_answered_with_the_nearest(word, key, fix):
    with pytest.raises(ConfigError) as failure:
        resolved(word)
    (problem,) = failure.value.problems
    assert problem.key == key
    assert fix is None or problem.fix.startswith(fix)


def test_a_wrong_key_in_the_users_file_is_answered_too(write):
    write(
        {"dataset/segmentation_dataset.yaml": DATASET + "csv_fil: a\n", "model/mae_medium.yaml": MODEL + "embed: 1\n"}
    )
    with pytest.raises(ConfigError) as failure:
        resolved("dataset=segmentation_dataset", config_dir="conf")
    assert {problem.key for problem in failure.value.problems} == {"dataset.csv_fil", "model.embed"}
    write({"dataset/segmentation_dataset.yaml": "_target_: os.system\n", "model/mae_medium.yaml": "_target_: a.B\n"})
    with pytest.raises(ConfigError) as failure:
        resolved("dataset=segmentation_dataset", config_dir="conf")
    assert {problem.key for problem in failure.value.problems} == {"dataset._target_", "model._target_"}
