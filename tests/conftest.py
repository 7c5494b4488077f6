"""Fixtures that every test may use."""

from __future__ import annotations

import base64
import gc
import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the commands that tests start: see one_thread
settings.register_profile("spectrain", deadline=None)  # tests are never timed
settings.load_profile("spectrain")
REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared" / "data"


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect without looking for garbage: thousands of tests stay to the end, and each look finds them all again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def no_cache_of_the_user(tmp_path_factory):
    """What trainings keep between runs goes to a folder of this session, also from commands that tests start."""
    before = os.environ.get("SPECTRAIN_CACHE")
    os.environ["SPECTRAIN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("SPECTRAIN_CACHE")
    if before is not None:
        os.environ["SPECTRAIN_CACHE"] = before


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small tensors are slower on two threads, and two test files may run side by side."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard():
    """A shell that starts the tests in the background has Ctrl-C ignored, by what they start too; some press it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def narrow():
    """Networks of an eighth of their width, for tests that ask what is done with a network and not how large it is."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("resnet", "unet"):
            patch.setattr(f"spectrain.models.{name}.WIDTH", 8)
        yield


@pytest.fixture(scope="module")
def undrawn():
    """Figures are saved as one pixel, for tests that do not look at them: drawing takes longer than training."""
    pixel = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda _, path, **options: Path(path).write_bytes(pixel))
        yield


@pytest.fixture
def wide(monkeypatch):
    """Networks of their published width, in a file whose other tests take narrow ones."""
    for name in ("resnet", "unet"):
        monkeypatch.setattr(f"spectrain.models.{name}.WIDTH", 64)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that is not in the repository."""
    if not SHARED.is_dir():
        pytest.skip("the shared real data (../shared/data) are not beside this checkout")
    return SHARED
