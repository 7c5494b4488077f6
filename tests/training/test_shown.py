"""Of a validation, no more is kept than its picture shows; the picture is the same."""

from __future__ import annotations

import io

import pytest
import small_mae

from spectrain.config import load_config
from spectrain.tasks.contrastive import Contrastive
from spectrain.tasks.mae import MaskedAutoencoding
from spectrain.training.api import train_config
from spectrain.training.evaluate import evaluate
from spectrain.training.session import build_session
from spectrain.training.testing import test as run_test

pytestmark = pytest.mark.usefixtures("narrow")

CONTRASTIVE = [
    "model.backbone=resnet18",
    "model.stem=large",
    "model.feat_dim=8",
    "augmentation.crop=null",
    "augmentation.jitter=0",
    "hparams.batch_size=8",
    "hparams.epochs=1",
    "dataset.window=8",
    "trackers=[]",
    "general.device=cpu",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    small_mae.write_cubes(folder)
    return folder


def config(folder, recipe, data, *more):
    if recipe == "mae":
        return small_mae.config(folder / data, "show_prediction=plot_rgb", *more)
    overrides = [f"dataset.path={folder / data}", *CONTRASTIVE, *more]
    return load_config("contrastive", overrides=overrides, use_personal=False)


def drawn(session, found):
    step, batch = found.shown[0]
    file = io.BytesIO()
    session.picture(step, batch, session.valid).savefig(file, format="png")
    return file.getvalue()


@pytest.mark.parametrize("data", ["whole.h5", "holes.h5"])
@pytest.mark.parametrize(("recipe", "task", "views"), [("mae", MaskedAutoencoding, 1), ("contrastive", Contrastive, 2)])
def test_what_is_drawn_is_kept_alone_and_the_picture_is_the_same(folder, monkeypatch, recipe, task, views, data):
    session = build_session(config(folder, recipe, data, "show_prediction.nb_to_plot=2"))
    try:
        few = evaluate(session, session.valid, session.valid_order)
        monkeypatch.setattr(task, "shown", lambda self, output, batch: (output, batch))
        whole = evaluate(session, session.valid, session.valid_order)
        assert drawn(session, few) == drawn(session, whole)
    finally:
        session.close()
    (_, kept), (_, held) = few.shown[0], whole.shown[0]
    assert len(kept.index) == 2 * views < len(held.index)
    assert kept.image.untyped_storage().nbytes() == kept.image.numel() * 4
    assert few.values("valid") == pytest.approx(whole.values("valid"), nan_ok=True)


def test_without_a_picture_nothing_is_kept(folder):
    for session in (
        build_session(small_mae.config(folder / "whole.h5", "show_prediction=none")),
        build_session(config(folder, "contrastive", "whole.h5", "show_prediction=none")),
    ):
        [(_, batch)] = evaluate(session, session.valid, session.valid_order).shown
        session.close()
        assert len(batch.index) == batch.image.numel() == 0


def test_a_plot_that_does_not_say_how_many_it_draws_gets_all(folder):
    session = build_session(config(folder, "mae", "whole.h5", "dataset.valid_fraction=0.5"))
    session.task.plot = lambda step, batch: None
    [(step, batch)] = evaluate(session, session.valid, session.valid_order).shown
    session.close()
    assert len(batch.index) == len(step.output.target) == 8 == session.valid_order.batch_size


def test_a_contrastive_test_draws_images_too(folder, tmp_path):
    """The groups that its loss compares are joined without their images."""
    run = train_config(config(folder, "contrastive", "whole.h5", "task.valid_group=2", f"out_dir={tmp_path / 'run'}"))
    [found] = run_test(run.folder, output=tmp_path / "out", batch_size=1)
    names = sorted(path.name for path in (found.folder / "pictures").iterdir())
    assert names[0] == "contrastive_01.png" and len(names) <= 4
