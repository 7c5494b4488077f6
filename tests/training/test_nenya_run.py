"""A whole options file of Nenya, trained: what the run did and recorded."""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
from test_schedules import published_rates

import spectrain

pytestmark = pytest.mark.usefixtures("narrow")

OPTIONS = {
    "ssl_method": "SupCon", "ssl_model": "resnet18", "nchannels": 2, "learning_rate": 0.05, "batch_size_train": 8,
    "batch_size_valid": 4, "epochs": 3, "feat_dim": 8, "temp": 0.5, "weight_decay": 1e-4, "momentum": 0.9,
    "cosine": False, "warm": False, "lr_decay_epochs": "1, 2", "lr_decay_rate": 0.1, "random_jitter": [3, 2],
    "rotate": True, "flip": True, "demean": True, "gauss_noise": 0.01, "train_key": "train", "valid_key": "valid",
    "images_file": "images.h5", "model_root": "v5", "save_freq": 2, "valid_freq": 2, "print_freq": 1, "num_workers": 0,
    "cuda_use": False, "trial": 5, "syncBN": False,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        for split in ("train", "valid"):
            file[split] = rng.normal(size=(16, 2, 16, 16)).astype(np.float32)
            file[f"{split}_labels"] = np.arange(16) % 4
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_key_of_an_options_file_does_what_it_says(folder, caplog):
    Path("opts.json").write_text(json.dumps({**OPTIONS, "data_folder": str(folder)}))
    run = spectrain.train("contrastive", config="opts.json", overrides=["model.stem=large", "hparams.plot_interval=0"])

    info = json.loads((run.folder / "run.json").read_text())
    assert info["status"] == "finished"
    name = "SupCon_resnet18_lr_0.05_decay_0.0001_bsz_8_temp_0.5_trial_5"
    assert info["derived_names"] == {
        "model_name": name,
        "model_folder": f"models/v5/{name}",
        "latents_folder": f"latents/v5/{name}",
        "losses_file_train": f"models/v5/{name}/learning_curve/{name}_losses_train.h5",
        "losses_file_valid": f"models/v5/{name}/learning_curve/{name}_losses_valid.h5",
    }
    assert run.folder.parent == folder / "v5" / "trial_5"
    assert (run.folder / "checkpoints" / "epoch_0002.pt").is_file()
    assert caplog.text.count("under a quarter of the side") == 1

    with h5py.File(run.folder / "curves.h5") as file:
        rates = published_rates(0.05, 3, 2, cosine=False, warm=False, milestones=[1, 2])
        np.testing.assert_allclose(file["lr"][:], rates)
        assert file["epoch_valid"][:].tolist() == [2, 3]  # there: after the second epoch alone
        assert file["loss_valid"].shape == (2,)
        assert all(math.isfinite(value) for value in file["loss_train"])
