from __future__ import annotations

import subprocess

import pytest

from spectrain.runs import environment
from spectrain.runs.environment import git_state, hardware, versions


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "code.py").write_text("one\n")
    git("add", "code.py")
    return tmp_path, git


def test_commit_and_changes_since(repository):
    folder, git = repository
    assert git_state(folder) is None  # no commit yet
    git("commit", "-q", "-m", "first")
    (folder / "runs").mkdir()
    (folder / "runs" / "metrics.csv").write_text("a training's files are not changes of the code")
    assert git_state(folder / "runs") == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (folder / "code.py").write_text("two\n")
    assert git_state(folder)["dirty"] is True


def test_no_repository_no_git_and_a_slow_git_are_no_failure(tmp_path, repository, monkeypatch):
    assert git_state(tmp_path.parent) is None
    folder, git = repository
    git("commit", "-q", "-m", "first")
    real = subprocess.run

    def slow(command, **options):
        if "status" in command:
            raise subprocess.TimeoutExpired(command, 5)
        return real(command, **options)

    monkeypatch.setattr(environment.subprocess, "run", slow)
    assert git_state(folder)["dirty"] is None
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    assert git_state(folder) is None


def test_versions_and_hardware():
    import torch

    assert versions()["torch"] == torch.__version__.partition("+")[0]
    found = hardware()
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28
    assert found["cpu"]
    assert len(found["gpus"]) == torch.cuda.device_count()
