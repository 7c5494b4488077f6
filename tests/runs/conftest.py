from __future__ import annotations

import logging

import pytest
from fake_config import FakeConfig

from spectrain.runs.log import LogFile


@pytest.fixture(autouse=True)
def quiet_trackers(monkeypatch):
    """No tracker looks for an account, sends usage data or finds the developer's own settings."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    """A configuration whose runs lie in the test's own folder, which is the working directory too."""
    monkeypatch.chdir(tmp_path)
    yield FakeConfig(artifact_dir=str(tmp_path / "runs"))
    for handler in list(logging.getLogger("spectrain").handlers):
        if isinstance(handler, LogFile):  # of a run that the test did not finish
            handler.detach()
    logging.getLogger("spectrain").setLevel(logging.NOTSET)
