"""Options files written for other systems train here as they are."""

from __future__ import annotations

import pytest

from spectrain.config import load_config
from spectrain.config.aliases import EVERYWHERE, RECIPES, derived_names, known_elsewhere, table_of
from spectrain.config.keys import CHOICES, part_keys, scalars
from spectrain.config.library import Library

# the options as the two documents print them, comments, `0.` and all
NEWER = """{
  "ssl_method": "SimCLR",      // Training method (SimCLR or SupCon)
  "ssl_model": "resnet50",     // Backbone model
  "learning_rate": 0.05,       // Initial learning rate
  "batch_size_train": 64,      // Batch size for training
  "batch_size_valid": 64,      // Batch size for validation
  "epochs": 200,               // Number of epochs
  "feat_dim": 128,             // Feature dimension size
  "temp": 0.07,                // Temperature parameter for loss
  "weight_decay": 1e-4,        // Weight decay for optimizer
  "momentum": 0.9,             // Momentum for optimizer
  "cosine": true,              // Use cosine learning rate schedule
  "random_cropjitter": [40, 5],// Crop and Jitter (random) parameters for augmentation
  "rotate": true,              // Apply random rotation
  "flip": true,                // Apply random horizontal/vertical flip
  "demean": true,              // Apply mean normalization after crop
  "gauss_noise": 0.,           // Apply Gaussian noise; 0 = None
  "model_root": "models/v5",   // Root directory for model output
  "train_key": "train",        // Dataset key for training
  "valid_key": "valid",        // Dataset key for validation
  "save_freq": 10,             // Save checkpoint every N epochs
  "valid_freq": 5              // Validate every N epochs
}
"""
OLDER = """{
  "ssl_method": "SimCLR",     // Training method (SimCLR or SupCon)
  "ssl_model": "resnet50",    // Backbone model
  "learning_rate": 0.05,      // Initial learning rate
  "batch_size_train": 64,     // Batch size for training
  "batch_size_valid": 64,     // Batch size for validation
  "epochs": 200,              // Number of epochs
  "feat_dim": 128,            // Feature dimension size
  "temp": 0.07,               // Temperature parameter for loss
  "weight_decay": 1e-4,       // Weight decay for optimizer
  "momentum": 0.9,            // Momentum for optimizer
  "cosine": true,             // Use cosine learning rate schedule
  "random_jitter": [5, 5],    // Jitter parameters for augmentation
  "model_root": "models/v5",  // Root directory for model output
  "train_key": "train",       // Dataset key for training
  "valid_key": "valid",       // Dataset key for validation
  "save_freq": 10,            // Save checkpoint every N epochs
  "valid_freq": 5             // Validate every N epochs
}
"""
# keys of runs in the wild that the documents do not print
WHOLE = """{
  "nenya_data": true, "sensor": "VIIRS", "s3_bucket": "b", "tbl_file": "t", "model_name": "m", "nchannels": 1,
  "data_folder": "./", "images_file": "x.h5", "num_workers": 4, "print_freq": 100, "cuda_use": false, "trial": 5,
  "syncBN": false, "warm": true, "lr_decay_epochs": "700, 800, 900", "lr_decay_rate": 0.1, "cosine": false,
  "ssl_method": "SupCon", "demean": false, "gauss_noise": null, "random_cropjitter": 0
}
"""
SWEEP = """
[darts.wandb]
wandb-project = "darts"
wandb-entity = "your-wandb-username"

[darts.sweep]
n-trials = 100
sweep-db = "postgresql://pguser@localhost:5432/sweeps"
n_folds = 3
n_randoms = 3
sweep-id = "sweep-cv-large-planet"

[darts.training]
num-workers = 16
max-epochs = 60
log-every-n-steps = 100
check-val-every-n-epoch = 5
plot-every-n-val-epochs = 4 # == 20 epochs
early-stopping-patience = 0

# These are the default one, if not specified in the sweep-config
[darts.hyperparameters]
batch-size = 6
augment = true

[darts.training_preprocess]
ee-project = "your-ee-project"
tpi-outer-radius = 100
tpi-inner-radius = 0
bands = [
    'blue',
    'green',
]
patch-size = 896
overlap = 0 # increase to 64 if exclude-nan = True
exclude-nopositive = false
exclude-nan = false
test-val-split = 0.05
test-regions = ['Taymyrsky Dolgano-Nenetsky District']

[darts.paths]
data-dir = "/large-storage/planet_data"
labels-dir = "../ML_training_labels/retrogressive_thaw_slumps" # (1)
arcticdem-dir = "/large-storage/darts-nextgen/data/datacubes/arcticdem"
tcvis-dir = "/large-storage/darts-nextgen/data/datacubes/tcvis"
admin-dir = "/large-storage/darts-nextgen/data/aux/admin"
train-data-dir = "/fast-storage/darts-nextgen/data/training/planet_native_tcvis_896_partial" # (2)
preprocess-cache = "/large-storage/darts-nextgen/data/cache"
sweep-config = "configs/planet-tcvis-sweep.yaml"
artifact-dir = "/large-storage/darts-nextgen/artifacts"
"""


def test_the_newer_document_as_printed(write):
    cfg = load_config("contrastive", config=write("opts.json", NEWER))
    assert (cfg.task.method, cfg.model.backbone, cfg.model.feat_dim, cfg.loss.temperature) == (
        "simclr",
        "resnet50",
        128,
        0.07,
    )
    assert (cfg.optimizer.name, cfg.optimizer.lr, cfg.optimizer.weight_decay, cfg.optimizer.momentum) == (
        "sgd",
        0.05,
        1e-4,
        0.9,
    )
    assert (cfg.scheduler.name, cfg.scheduler.cosine, cfg.scheduler.warm) == ("nenya", True, False)
    assert cfg.scheduler.lr_decay_rate == 0.1
    view = cfg.augmentation
    assert (view.name, view.crop, view.jitter, view.rotate, view.flip, view.demean, view.noise) == (
        "warp", 40, 5, True, True, "image", 0.0,
    )  # fmt: skip
    hparams = cfg.hparams
    assert (hparams.epochs, hparams.batch_size, hparams.batch_size_valid) == (200, 64, 64)
    assert (hparams.save_freq, hparams.valid_interval) == (10, 5)
    assert (cfg.artifact_dir, cfg.dataset.train_key, cfg.dataset.valid_key) == ("models/v5", "train", "valid")
    assert cfg.origins["optimizer.lr"] == "opts.json:4"
    assert not cfg.left_alone


def test_the_older_document_as_printed(write):
    cfg = load_config("contrastive", config=write("opts.json", OLDER))
    assert (cfg.augmentation.crop, cfg.augmentation.jitter) == (5, 5)
    assert (cfg.model.backbone, cfg.artifact_dir, cfg.hparams.valid_interval) == ("resnet50", "models/v5", 5)


def test_a_whole_file_of_the_wild(write):
    cfg = load_config("contrastive", config=write("opts.json", WHOLE))
    assert cfg.dataset.path == "./x.h5"
    assert (cfg.general.device, cfg.general.num_workers, cfg.general.sync_batchnorm) == ("cpu", 4, False)
    scheduler = cfg.scheduler
    assert (scheduler.name, scheduler.lr_decay_epochs, scheduler.lr_decay_rate) == ("nenya", [700, 800, 900], 0.1)
    assert (scheduler.cosine, scheduler.warm) == (False, True)
    assert (cfg.hparams.log_every, cfg.trial_name) == (100, "trial_5")
    assert (cfg.task.method, cfg.augmentation.demean, cfg.augmentation.noise) == ("supcon", "none", 0.0)
    assert (cfg.augmentation.crop, cfg.augmentation.jitter) == (32, 0)
    assert set(cfg.left_alone) == {"nenya_data", "sensor", "s3_bucket", "tbl_file", "model_name", "nchannels"}


def test_the_sweep_document_serves_other_commands_too(write):
    cfg = load_config("contrastive", config=write("sweep.toml", SWEEP))
    assert (cfg.hparams.batch_size, cfg.general.num_workers, cfg.dataset.bands) == (6, 16, ["blue", "green"])
    assert cfg.artifact_dir == "/large-storage/darts-nextgen/artifacts"
    assert cfg.origins["hparams.batch_size"] == "sweep.toml:23"
    assert cfg.left_alone["sweep_db"] == "sweep.toml:8, of sweep"
    assert cfg.left_alone["labels_dir"].endswith("of prepare")
    assert {"max_epochs", "augment", "wandb_project", "train_data_dir"} <= set(cfg.left_alone)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ('{"cosine": true, "lr_decay_rate": 0.2}', (True, [], 0.2, False)),
        ('{"lr_decay_rate": 0.5}', (True, [], 0.5, False)),
        ('{"cosine": true, "warm": true, "lr_decay_epochs": [1]}', (True, [1], 0.1, True)),
        ('{"cosine": null, "warm": null}', (False, [], 0.1, False)),
        ('{"lr_decay_epochs": [3, 5]}', (False, [3, 5], 0.1, False)),
        ('{"lr_decay_epochs": 3, "warm": true}', (False, [3], 0.1, True)),
        ('{"lr_decay_epochs": "700, 800, 900", "cosine": true}', (True, [700, 800, 900], 0.1, False)),
        ('{"cosine": true, "batch_size_train": 257}', (True, [], 0.1, True)),  # forced, as published
        ('{"cosine": true, "warm": false, "batch_size_train": 256}', (True, [], 0.1, False)),
    ],
)
def test_schedules_from_joined_keys(write, options, found):
    scheduler = load_config("contrastive", config=write("a.json", options)).scheduler
    assert scheduler.name == "nenya"
    assert (scheduler.cosine, scheduler.lr_decay_epochs, scheduler.lr_decay_rate, scheduler.warm) == found


def test_a_file_without_a_schedule_keeps_that_of_the_recipe(write):
    assert load_config("contrastive", config=write("a.json", '{"batch_size_train": 512}')).scheduler.name == "cosine"


def test_another_schedule_on_the_command_line_wins(write):
    file = write("a.json", '{"cosine": true, "warm": true, "lr_decay_epochs": "7"}')
    cfg = load_config("contrastive", config=file, overrides=["scheduler=cosine", "scheduler.warmup_epochs=3"])
    assert (cfg.scheduler.name, cfg.scheduler.warmup_epochs) == ("cosine", 3)


def test_joined_keys_may_come_from_two_sources(write):
    file = write("a.json", '{"cosine": true, "lr_decay_rate": 0.1, "data_folder": "data"}')
    cfg = load_config("contrastive", config=file, flags=["--no-cosine", "--lr_decay_epochs", "7", "--images_file=b.h5"])
    assert (cfg.scheduler.cosine, cfg.scheduler.lr_decay_epochs, cfg.scheduler.lr_decay_rate) == (False, [7], 0.1)
    assert cfg.dataset.path == "data/b.h5"


def test_a_file_that_nenya_wrote_back(write):
    """It writes its options after it has changed them, and cannot read them again."""
    text = """{"ssl_method": "SimCLR", "ssl_model": "resnet50", "learning_rate": 0.05, "weight_decay": 0.0001,
    "batch_size_train": 64, "temp": 0.07, "trial": 5, "cosine": true, "warm": true, "lr_decay_epochs": [700, 800, 900],
    "lr_decay_rate": 0.1, "model_root": "v5", "model_name": "SimCLR_resnet50_lr_0.05", "model_folder": "models/v5/x",
    "latents_folder": "latents/v5/x", "warmup_from": 0.01, "warm_epochs": 10, "warmup_to": 0.0487, "nchannels": 1,
    "nenya_data": null, "warmup_epochs": null, "cuda_use": null}"""
    cfg = load_config("contrastive", config=write("a.json", text))
    assert (cfg.scheduler.warm, cfg.scheduler.warmup_from, cfg.scheduler.warmup_epochs) == (True, 0.01, 10)
    assert cfg.scheduler.lr_decay_epochs == [700, 800, 900]
    other = load_config("contrastive", config=write("a.json", text), overrides=["scheduler=cosine"])
    assert (other.scheduler.name, other.scheduler.warmup_epochs) == ("cosine", 0)  # nothing is left of the file's


def test_the_length_of_the_warm_up_may_be_given():
    cfg = load_config("contrastive", flags=["--warm", "true", "--warmup_epochs", "3", "--warmup_from", "0.001"])
    assert (cfg.scheduler.name, cfg.scheduler.warmup_epochs, cfg.scheduler.warmup_from) == ("nenya", 3, 0.001)
    cfg = load_config("contrastive", flags=["--warmup_epochs", "3"])
    assert (cfg.scheduler.name, cfg.scheduler.warmup_epochs) == ("cosine", 3)


@pytest.mark.parametrize(("value", "sigma"), [("0.", 0.0), ("null", 0.0), ("-1", 0.0), ("0.3", 0.3)])
def test_noise_of_zero_or_less_is_none(write, value, sigma):
    assert load_config("contrastive", config=write("a.json", f'{{"gauss_noise": {value}}}')).augmentation.noise == sigma


def test_the_names_that_nenya_derives(write):
    cfg = load_config("contrastive", config=write("opts.json", NEWER), overrides=["trial_name=trial_5"])
    name = "SimCLR_resnet50_lr_0.05_decay_0.0001_bsz_64_temp_0.07_trial_5_cosine"
    assert derived_names(cfg) == {
        "model_name": name,
        "model_folder": f"models/models/v5/{name}",  # its code puts models/ before what the document shows
        "latents_folder": f"latents/models/v5/{name}",
        "losses_file_train": f"models/models/v5/{name}/learning_curve/{name}_losses_train.h5",
        "losses_file_valid": f"models/models/v5/{name}/learning_curve/{name}_losses_valid.h5",
    }
    warm = load_config("contrastive", flags=["--warm", "true", "--ssl_method", "SupCon", "--ssl_model", "resnet18"])
    assert derived_names(warm)["model_name"] == (
        "SupCon_resnet18_lr_0.05_decay_0.0001_bsz_64_temp_0.07_trial_0_cosine_warm"
    )


def test_flags_with_hyphens_and_without_values():
    cfg = load_config("contrastive", flags=["--learning-rate", "1e-3", "--no-flip", "--cuda_use"])
    assert (cfg.optimizer.lr, cfg.augmentation.flip, cfg.general.device) == (1e-3, False, "auto")


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("dataloader.num_workers=3", "num_workers", 3),
        ("cuda_use=false", "device", "cpu"),
    ],
)
def test_aliases_known_everywhere(override, key, value):
    assert getattr(load_config("contrastive", overrides=[override]).general, key) == value


def test_the_other_aliases_known_everywhere():
    cfg = load_config("contrastive", overrides=["hparams.lr=0.3", "hparams.nb_epochs=3", "model_root=there"])
    assert (cfg.optimizer.lr, cfg.hparams.epochs, cfg.artifact_dir) == (0.3, 3, "there")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ('"ssl_method": "BYOL"', "must be SimCLR or SupCon, not 'BYOL'"),
        ('"random_cropjitter": 5', "must be [crop, jitter] in pixels, or 0"),
        ('"random_cropjitter": [1, 2, 3]', "must be [crop, jitter]"),
        ('"lr_decay_epochs": "soon"', "must be a list of epochs"),
        ('"lr_decay_rate": "slow"', "must be a number"),
        ('"cosine": "yes please"', "must be true or false"),
        ('"demean": 3', "must be true or false"),
        ('"cuda_use": "gpu"', "must be true or false"),
        ('"nchannels": "three"', "must be a number of bands"),
        ('"nchannels": 0', "must be a number of bands"),
    ],
)
def test_values_that_cannot_be_meant(write, mistakes, option, words):
    (problem,) = mistakes(config=write("a.json", "{\n" + option + "}")).values()
    assert words in problem.what
    assert problem.origin == "a.json:2"


def test_joined_keys_are_blamed_one_by_one(write, mistakes):
    file = write("a.json", '{"cosine": "often",\n"warm": 3,\n"lr_decay_rate": 0.1}')
    assert list(mistakes(config=file)) == ["cosine"]
    file = write("a.json", '{"cosine": true,\n"warm": 3,\n"lr_decay_rate": 0.1}')
    assert list(mistakes(config=file)) == ["warm"]


def test_two_names_of_one_option_that_differ(write, mistakes):
    file = write("a.json", '{"random_jitter": [40, 5],\n"random_cropjitter": [40, 6]}')
    (problem,) = mistakes(config=file).values()
    assert problem.what == "is given twice, first in a.json:1 as random_jitter"
    same = write("b.json", '{"random_jitter": [40, 5],\n"random_cropjitter": [40, 5]}')
    assert load_config("contrastive", config=same).augmentation.crop == 40


def test_every_alias_leads_to_an_option():
    targets = {native for table in (EVERYWHERE, *RECIPES.values()) for native, _ in table.values() if native}
    choices = {f"{group}={name}" for group in CHOICES for name in Library().names(group)}
    groups = {f"{group}.*" for group in CHOICES}
    assert targets <= {*scalars(), *part_keys(), *CHOICES, *choices, *groups}


def test_no_alias_hides_an_option():
    for recipe in RECIPES:
        assert not set(table_of(recipe)) & {*scalars(), *part_keys()}
        assert not {f"{group}={name}" for group in CHOICES for name in Library().names(group)} & set(table_of(recipe))
    assert known_elsewhere("epochs") == "contrastive"
    assert known_elsewhere("nonsense") is None


# --- the published configuration of SpectralEye (names and values; its references written out)

PUBLISHED = """\
defaults:
  - dataset: combined_dataset
  - augmentation: transform
  - model: mae_medium
  - loss: custom_loss
  - metric: reconstruction_mse
  - show_prediction: plot_rgb
  - optimizer: adam
  - scheduler: cosine_annealing
  - scheduler_seq: none
  - override hydra/job_logging: default
  - _self_
dataloader: {num_workers: 2, pin_memory: true, prefetch_factor: 2, persistent_workers: true, shuffle: true}
hparams: {nb_epochs: 250, batch_size: 2, lr: 0.0002, valid_interval: 5, use_gradient_checkpointing: true}
general:
  working_dir: working_env
  use_cuda: true
  device_id: 1
  use_ddp: false
  use_amp: true
  parallel: {use_parallel: true, device_ids: [0, 1, 2]}
  save_model: true
  model_path:
  save_results: true
  output_folder: results/${now:%Y-%m-%d}
  use_pretrained: false
  pretrained_path:
  seed: 51
spatial_size: 500
hydra:
  run: {dir: "runs/${model.name}"}
"""


def mae(*overrides, **rest):
    return load_config("mae", overrides=overrides, **rest)


def test_a_published_configuration_of_spectraleye(write):
    cfg = mae(config=write("config.yaml", PUBLISHED))
    names = [getattr(cfg, group).name for group in ("model", "loss", "metric", "optimizer", "scheduler")]
    assert names == ["mae_spectral", "mae_spectral", "reconstruction", "adam", "cosine"]
    assert (cfg.dataset.transform, cfg.augmentation.name, cfg.augmentation.shift) == ("log10_reflectance", "warp", 0.3)
    assert (cfg.hparams.epochs, cfg.hparams.batch_size, cfg.optimizer.lr) == (250, 2, 2e-4)
    general = cfg.general
    assert (general.device, general.device_ids, general.num_workers, general.seed) == (1, [0, 1, 2], 2, 51)
    assert (general.recompute, general.parallel, general.use_amp, cfg.model.init_from) == (True, "auto", True, None)
    assert {"spatial_size", "hydra.run.dir", "general.output_folder", "dataloader.shuffle"} <= set(cfg.left_alone)
    assert cfg.origins["general.device_ids"] == "config.yaml:21"


def test_a_published_model_file_in_a_folder_of_the_users(write):
    text = "name: mae_medium\nmodel:\n  img_size: 240\n  num_channels: 1\n  num_wavelengths: 30\n"
    text += "  spatial_patch_size: 12\n  wavelength_patch_size: 6\n  encoder_embed_dim: 256\n  mlp_ratio: 4\n"
    text += "  _target_: model_training.models.spectral_gpt.spectral_gpt.MaskedAutoencoderViT\n"
    write("conf/model/mae_medium.yaml", text)
    write("conf/model/mine.yaml", text)
    for choice in ("mae_medium", "mine"):
        model = (cfg := mae(f"model={choice}", config_dir="conf")).model
        assert (model.name, model.variant, model.encoder_depth) == ("mae_spectral", "mae_medium", 16)
        assert (model.img_size, model.in_chans, model.patch_size, model.embed_dim) == (240, 30, [12, 6], 256)
        assert cfg.origins["model.patch_size"] == f"conf/model/{choice}.yaml:6"
    assert mae("model.num_wavelengths=12", config_dir="conf").model.in_chans == 12


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["model.num_wavelengths=12"], "model.in_chans", 12),
        (["model.model.num_wavelengths=12"], "model.in_chans", 12),
        (["model.model.mask_ratio=0.5"], "model.mask_ratio", 0.5),
        (["model.spatial_patch_size=12"], "model.patch_size", [12, 5]),
        (["model.wavelength_patch_size=3", "model.spatial_patch_size=10"], "model.patch_size", [10, 3]),
        (["loss.reconstruction_weight=2"], "loss.mse_weight", 2.0),
        (["loss.angle_weight=2"], "loss.sam_weight", 2.0),
        (["loss.variance_weight=2"], "loss.variance_weight", 2.0),
        (["loss.range_weight=2"], "loss.range_penalty_weight", 2.0),
        (["accuracy=reconstruction_mse", "accuracy.ssim=false"], "metric.ssim", False),
        (["accuracy=none"], "metric.name", "none"),
        (["show_prediction.plots.prediction.nb_to_plot=2"], "show_prediction.nb_to_plot", 2),
        (["scheduler=reduce_on_plateau"], "scheduler.name", "plateau"),
        (["scheduler=warmup"], "scheduler.warmup_epochs", 5.0),
        (["scheduler=warmup", "scheduler.warmup_epochs=9"], "scheduler.warmup_epochs", 9.0),
        (["scheduler=cosine_annealing", "scheduler.T_max=3", "scheduler.eta_min=0"], "scheduler.min_factor", 0.0),
        (["scheduler=step_lr"], "scheduler.gamma", 0.9),
        (["scheduler=step_lr", "scheduler.gamma=0.5"], "scheduler.gamma", 0.5),
        (["scheduler=step_lr", "scheduler.step_size=400"], "scheduler.milestones", [400, 800]),
        (["scheduler=step_lr", "scheduler.step_size=999", "hparams.epochs=2000"], "scheduler.milestones", [999, 1998]),
        (["augmentation=transform"], "augmentation.rotate", 30.0),
        (["augmentation=transform", "augmentation.use_transform=false"], "augmentation.name", "none"),
        (["dataset.csv_path=a.csv"], "dataset.path", "a.csv"),
        (["dataset.train_ratio=0.7"], "dataset.valid_fraction", 0.3),
        (["dataset.seed=42"], "dataset.split_seed", 42),
        (["dataset.transform_type=null"], "augmentation.name", "none"),
        (["dataset.normalize=false"], "model.standardise", "none"),
        (["hparams.use_gradient_checkpointing=true"], "general.recompute", True),
        (["general.device_id=1"], "general.device", 1),
        (["general.device_id=1", "general.use_cuda=false"], "general.device", "cpu"),
        (["general.use_cuda=true"], "general.device", "auto"),
        (["general.use_ddp=true"], "general.parallel", "ddp"),
        (["general.parallel.device_ids=[0,2]"], "general.device_ids", [0, 2]),
        (["general.parallel.device_ids=[0,2]", "general.parallel.use_parallel=false"], "general.device_ids", []),
        (["general.pretrained_path=a.pt", "general.use_pretrained=true"], "model.init_from", "a.pt"),
        (["general.pretrained_path=a.pt", "general.use_pretrained=false"], "model.init_from", None),
    ],
)
def test_published_names_on_the_command_line(words, key, value):
    found = (cfg := mae(*words))
    for name in key.split("."):
        found = getattr(found, name)
    assert found == value
    assert cfg.origins.get(key, "command line") in ("command line", "default")


@pytest.mark.parametrize(
    ("word", "key", "words"),
    [
        ("model.num_channels=3", "model.num_channels", "must be 1"),
        ("general.use_pretrained=true", "general.use_pretrained", "pretrained_path is not given"),
        ("scheduler.eta_min=1e-6", "scheduler.eta_min", "write scheduler.min_factor"),
        ("scheduler.step_size=often", "scheduler.step_size", "whole number of epochs"),
        ("dataset.transform_type=augment_basics", "augmentation", "there is no 'augment_basics'"),
        ("model.num_wavelengths=many", "model.in_chans (written model.num_wavelengths)", "must be a whole number"),
        ("accuracy.sim=false", "metric.sim (written accuracy.sim)", "is not an option"),
        ("model.model.maskratio=1", "model.maskratio (written model.model.maskratio)", "is not an option"),
    ],
)
def test_published_names_with_values_that_cannot_be_meant(mistakes, word, key, words):
    assert words in mistakes(word, recipe="mae")[key].what


def test_other_published_files_in_a_folder_of_the_users(write):
    plots = "plots:\n  prediction:\n    _target_: model_training.plots.plot_bottleneck.display_rgb\n"
    write("conf/show_prediction/plot_rgb.yaml", f"{plots}    _partial_: true\n    nb_to_plot: 2\n")
    data = "_target_: model_training.dataset.combined_dataset.get_dataset\n_partial_: true\ncsv_path: all.csv\n"
    write("conf/dataset/combined_dataset.yaml", f"{data}train_ratio: 0.9\nseed: 42\ntrial_mode: false\n")
    loss = "_target_: model_training.losses.custom_loss.CustomLoss\nreconstruction_weight: 2.0\nangle_weight: 0.5\n"
    write("conf/loss/custom_loss.yaml", loss)
    write("conf/show_prediction/mine.yaml", f"{plots}    nb_to_plot: 3\n")
    assert mae("show_prediction=mine", config_dir="conf").show_prediction.nb_to_plot == 3
    cfg = mae("dataset=combined_dataset", "loss=custom_loss", config_dir="conf")
    assert (cfg.show_prediction.name, cfg.show_prediction.nb_to_plot, cfg.show_prediction.dpi) == ("plot_rgb", 2, 150)
    assert (cfg.dataset.path, cfg.dataset.valid_fraction, cfg.dataset.split_seed) == ("all.csv", 0.1, 42)
    assert cfg.dataset.transform == "log10_reflectance"
    assert (cfg.loss.name, cfg.loss.mse_weight, cfg.loss.sam_weight) == ("mae_spectral", 2.0, 0.5)


def test_a_name_of_theirs_for_a_choice_may_be_a_file_of_the_users(write):
    write("conf/loss/custom_loss.yaml", "name: mae_spectral\nrange_weight: 0.5\n")
    assert mae("loss=custom_loss", config_dir="conf").loss.range_penalty_weight == 0.5
    write("conf/recipe/own.yaml", "# @package _global_\ndefaults: [mae, {override /loss: custom_loss}, _self_]\n")
    assert load_config("own", config_dir="conf").loss.range_penalty_weight == 0.5
    text = "# @package _global_\ndefaults: [mae, {override /loss: custom_loss}, _self_]\nloss.range_weight: 0.7\n"
    write("conf/recipe/own.yaml", text)
    assert load_config("own", config_dir="conf").loss.range_penalty_weight == 0.7, "what builds on a file wins over it"


def test_names_of_another_recipe_with_a_section_are_mistakes(mistakes):
    assert set(mistakes("general.device_id=1", "dataset.csv_file=a.csv")) == {"general.device_id", "dataset.csv_file"}
