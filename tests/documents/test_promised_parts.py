"""What the documents promise and no other test shows: functions, defaults, tips, and what is said of mistakes."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from promised import documents
from steps_of import config, write_data
from test_schedules import published_rates

import spectrain
from spectrain.cli import main
from spectrain.config import load_config
from spectrain.config.library import Library
from spectrain.core.bands import Bands
from spectrain.core.errors import ConfigError, DataError
from spectrain.core.registry import lookup
from spectrain.inspection.data_set import inspect
from spectrain.training import api
from spectrain.training.api import train_config
from spectrain.training.processes import devices

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)


def resolved(recipe, *overrides, **rest):
    return load_config(recipe, overrides=overrides, use_personal=False, **rest)


@pytest.fixture(scope="module")
def plain():
    """Each recipe as it is where nothing is said."""
    return {recipe: resolved(recipe) for recipe in ("contrastive", "mae", "regression", "segmentation")}


# --- Nenya


def test_the_optimizer_is_sgd_with_decay_on_every_parameter():
    cfg = resolved("contrastive", config=HERE / "nenya_options.json")
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = cfg.optimizer.build(parameters=list(model.parameters()))
    assert isinstance(optimizer, torch.optim.SGD)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    assert {(group["weight_decay"], group["momentum"]) for group in optimizer.param_groups} == {(1e-4, 0.9)}


def test_the_classes_are_made_as_the_documents_print_it():
    with torch.device("meta"):
        model = spectrain.SupConResNet(name="resnet50", feat_dim=128)
    assert model.head[-1].out_features == 128
    criterion = spectrain.SupConLoss(temperature=0.07)
    views = torch.nn.functional.normalize(torch.randn(4, 2, 8), dim=2)  # [B,V,D]
    assert torch.isfinite(criterion(views)) and torch.isfinite(criterion(views, labels=torch.tensor([0, 0, 1, 1])))
    loss = spectrain.MAESpectralLoss(mse_weight=1.0, sam_weight=0.1, variance_weight=0.01, range_penalty_weight=0.001)
    assert loss.weights["sam"] == 0.1 and loss.weights["range"] == 0.001


def test_views_are_drawn_together_and_others_pushed_apart():
    criterion, generator = spectrain.SupConLoss(temperature=0.07), torch.Generator().manual_seed(0)
    features = (1 + 0.5 * torch.randn(6, 2, 4, generator=generator)).requires_grad_()  # [B,V,D], all much alike

    def likeness() -> tuple[float, float]:
        first, second = torch.nn.functional.normalize(features.detach(), dim=2).unbind(1)
        cosine = first @ second.T
        return float(cosine.diagonal().mean()), float(cosine[~torch.eye(6, dtype=torch.bool)].mean())

    together, apart = likeness()
    optimizer = torch.optim.SGD([features], lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        criterion(torch.nn.functional.normalize(features, dim=2)).backward()
        optimizer.step()
    assert together < 0.9 and apart > 0.7
    assert likeness()[0] > 0.9 and likeness()[1] < 0.5


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ({"cosine": True}, {"cosine": True, "warm": False}),
        ({"lr_decay_epochs": [4, 9]}, {"cosine": False, "warm": False, "milestones": [4, 9]}),
        ({"cosine": True, "warm": True}, {"cosine": True, "warm": True}),
    ],
    ids=["cosine", "falls", "warm"],
)
def test_the_rate_of_a_step_is_the_published_one(words, form):
    flags = [word for key, value in words.items() for word in (f"--{key}", str(value))]
    cfg = resolved("contrastive", "hparams.epochs=20", flags=[*flags, "--learning_rate", "0.05"])
    found = [spectrain.learning_rate(cfg, step, 3) for step in range(60)]
    assert found == pytest.approx(published_rates(0.05, 20, 3, **form))


def test_a_meter_weighs_values_by_their_samples():
    meter = spectrain.Meter()
    assert np.isnan(meter.avg)
    meter.update(3.0, 10)
    meter.update(1.0, 30)
    assert (meter.val, meter.avg, meter.sum, meter.count) == (1.0, 1.5, 60.0, 40)


def test_a_projection_may_be_of_any_length():
    for length in (128, 256):
        model = spectrain.SupConResNet("resnet18", feat_dim=length).eval()
        assert model(torch.randn(2, 1, 8, 8)).shape == (2, length)


def test_any_combination_of_augmentations_is_a_configuration():
    part = lookup("augmentation", "warp")
    for flip, rotate, (crop, jitter) in itertools.product([False, True], [False, True], [(None, 0), (40, 5)]):
        chosen = part.Config(flip=flip, rotate=rotate, crop=crop, jitter=jitter)
        assert part.from_config(chosen, bands=Bands.unnamed(1)) is not None


def test_the_defaults_are_those_of_the_tips(plain):
    assert plain["contrastive"].loss.temperature == 0.07
    for cfg in plain.values():
        assert cfg.hparams.checkpoint_every == "10min" and isinstance(cfg.general.seed, int)


# --- a GPU, where there need not be one


@pytest.fixture
def pretended(monkeypatch):
    """Two GPUs that nothing is ever sent to."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)


def test_a_gpu_is_used_with_its_fastest_kernels(pretended):
    devices.use_device(torch.device("cpu"))
    assert not torch.backends.cudnn.benchmark
    devices.use_device(devices.resolve_device("auto"))
    assert torch.backends.cudnn.benchmark


def test_a_number_is_a_gpu(pretended):
    assert devices.resolve_device("0") == torch.device("cuda", 0)
    assert devices.resolve_device(1) == torch.device("cuda", 1)


def test_mixed_precision_is_on_for_gpus_by_default(plain):
    use_amp = plain["mae"].general.use_amp
    assert use_amp == "auto"
    assert devices.autocast_dtype(use_amp, torch.device("cuda", 0)) is torch.bfloat16
    assert devices.autocast_dtype(use_amp, torch.device("cpu")) is None


def test_a_run_on_a_gpu_says_its_memory(monkeypatch, plain):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**30)
    session = SimpleNamespace(cfg=plain["mae"], device=torch.device("cuda", 0))
    state = SimpleNamespace(progress=SimpleNamespace(step=1, best_epoch=0))
    assert api._results(session, state, None)["timings"] == {"gpu_memory_mib": 3072}


def test_out_of_memory_says_what_the_document_says():
    said = devices.memory_advice(torch.OutOfMemoryError("CUDA out of memory."))
    for word in ("hparams.batch_size", "hparams.accumulate_grad_batches", "a smaller model", "general.use_amp=true"):
        assert word in said.fix


# --- the AGB U-Net


def test_fourteen_bands_are_drawn():
    for split in ("train", "val", "test"):
        for root, shape in (("images", (14, 24, 24)), ("labels", (24, 24))):
            (Path(root) / split).mkdir(parents=True)
            np.save(Path(root) / split / "abc.npy", np.random.default_rng(0).random(shape, np.float32))
    assert "patches of 14 × 24 × 24" in str(inspect("images", output="picture.png", labels="labels"))
    assert Path("picture.png").stat().st_size > 1000


FLAGS = sorted({one for found in documents() if found.stem == "sparse_regression" for promise in found.promises
                for one in promise.there if one.startswith("--") and one != "--help"})  # fmt: skip


def test_a_flag_of_theirs_is_explained(capsys):
    assert len(FLAGS) >= 13
    for flag in FLAGS:
        with pytest.raises(SystemExit) as stopped:
            main(["options", flag.removeprefix("--")])
        assert not stopped.value.code
        assert f"| `{flag.removeprefix('--')}` |" in capsys.readouterr().out


def test_the_momentum_of_sgd_is_that_of_the_document():
    assert resolved("regression", flags=["--optimizer", "SGD"]).optimizer.momentum == 0.9


def test_every_epoch_is_kept_where_a_folder_is_named(tmp_path):
    data = write_data(tmp_path / "toy.h5")
    small = ["hparams.batch_size=4", "hparams.epochs=2", f"out_dir={tmp_path / 'run'}"]
    train_config(config(data, "toy_dense", *small, f"all_checkpoint_dir={tmp_path / 'all'}"))
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["epoch_0001.pt", "epoch_0002.pt"]


def test_paths_may_be_ones_own_defaults():
    words = {"train_input_data_dir": "A", "train_label_data_dir": "B", "all_checkpoint_dir": "C"}
    Path("spectrain.toml").write_text("[spectrain]\n" + "".join(f'{key} = "{one}"\n' for key, one in words.items()))
    cfg = load_config("regression")
    assert (cfg.dataset.path, cfg.dataset.labels_path, cfg.all_checkpoint_dir) == ("A", "B", "C")
    assert load_config("regression", flags=["--train_input_data_dir", "D"]).dataset.path == "D"


# --- SpectralEye


@pytest.mark.parametrize("size", ["mae_tiny", "mae_small", "mae_base", "mae_medium", "mae_large", "mae_huge"])
def test_each_size_is_a_file_of_the_group(size):
    assert Library().file("model", size).name == f"{size}.yaml"


GROUPS = {
    "accuracy": ("metric", "name: reconstruction\nssim: false\n", "ssim", False),
    "augmentation": ("augmentation", "name: warp\nrotate: 5\n", "rotate", 5.0),
    "dataset": ("dataset", "window: 128\n", "window", 128),
    "loss": ("loss", "name: mae_spectral\nsam_weight: 0.5\n", "sam_weight", 0.5),
    "metric": ("metric", "name: reconstruction\nssim: false\n", "ssim", False),
    "model": ("model", "name: mae_tiny\nmask_ratio: 0.5\n", "mask_ratio", 0.5),
    "optimizer": ("optimizer", "name: adam\nlr: 0.01\n", "lr", 0.01),
    "scheduler": ("scheduler", "name: cosine\nwarmup_epochs: 3\n", "warmup_epochs", 3.0),
    "show_prediction": ("show_prediction", "name: plot_rgb\ndpi: 99\n", "dpi", 99),
}


@pytest.mark.parametrize("without", ["accuracy", "metric"])  # which are one group here
def test_each_group_of_theirs_may_hold_a_file_of_ones_own(without):
    groups = {folder: found for folder, found in GROUPS.items() if folder != without}
    for folder, (_, text, *_) in groups.items():
        (Path("conf") / folder).mkdir(parents=True)
        (Path("conf") / folder / "mine.yaml").write_text(text)
    cfg = resolved("mae", *(f"{folder}=mine" for folder in groups), config_dir="conf")
    for folder, (group, _, key, expected) in groups.items():
        assert getattr(getattr(cfg, group), key) == expected
        assert cfg.origins[f"{group}.{key}"].startswith(f"conf/{folder}/mine.yaml:")


def test_a_file_of_a_group_of_theirs_is_checked_and_may_have_a_name_of_ours():
    Path("conf/accuracy").mkdir(parents=True)
    Path("conf/accuracy/reconstruction.yaml").write_text("ssim: false\n")
    assert resolved("mae", config_dir="conf").metric.ssim is False
    Path("conf/accuracy/reconstruction.yaml").write_text("ssmi: false\n")
    with pytest.raises(ConfigError, match=r"metric\.ssmi(.|\n)*did you mean metric\.ssim"):
        resolved("mae", config_dir="conf")


def test_a_path_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"there is no such file(.|\n)*gone\.csv(.|\n)*dataset\.path"):
        spectrain.train("mae", overrides=["dataset.csv_file=gone.csv"])
