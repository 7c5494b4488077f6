"""A masked autoencoder's training in a real MLflow store: everything that the document promises to be found there."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

import spectrain
from spectrain.training.trained.model import load_trained


def test_a_training_leaves_numbers_pictures_and_its_best_model(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    with h5py.File("cube.h5", "w") as file:
        file["cube"] = np.random.default_rng(0).random((10, 32, 64)).astype("float32")
        file["wavelength_nm"] = np.linspace(450, 900, 10)
    words = ["dataset.path=cube.h5", "dataset.window=16", "model=mae_tiny", "model.patch_size=[8,5]"]
    words += ["hparams.epochs=2", "hparams.valid_interval=1", "hparams.batch_size=2", "general.device=cpu"]
    run = spectrain.train("mae", overrides=[*words, "mlflow.tags.version=v1.0"])

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("mae_tiny")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name.startswith("mae_tiny_20")
    assert found.data.tags["version"] == "v1.0"
    assert found.data.params["model.embed_dim"] == "192" and found.data.params["hparams.batch_size"] == "2"
    for name in ("loss_train", "loss_valid", "mse_valid", "sam_valid", "psnr_valid", "ssim_valid"):
        assert [point.step for point in client.get_metric_history(found.info.run_id, name)] == [1, 2]
    plots = [Path(file.path).name for file in client.list_artifacts(found.info.run_id, "plots")]
    assert plots == ["mae_0001.png", "mae_0002.png"]
    facts = json.loads(Path(client.download_artifacts(found.info.run_id, "model/model.json")).read_text())
    assert facts["value"] == min(
        point.value for point in client.get_metric_history(found.info.run_id, facts["monitor"])
    )
    assert [band["wavelength"] for band in facts["bands"][0]] == np.linspace(450, 900, 10).tolist()
    kept = load_trained(client.download_artifacts(found.info.run_id, "model/best.pt"))
    assert sum(weight.numel() for weight in kept.model.parameters()) == facts["parameters"]
    assert facts["fingerprint"] == run.info["fingerprint"]
