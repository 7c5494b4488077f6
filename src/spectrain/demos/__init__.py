"""A first training on real data that come with the package; each demo ends in a run folder with a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import SpectrainError
from ..runs.run import Run

# What each demo changes in its recipe, so that it is done in a few minutes on two cores.
DEMOS: dict[str, list[str]] = {
    "contrastive": [
        "dataset.path={folder}/ocean_sst.h5",
        "model.stem=large",
        "model.feat_dim=64",
        "optimizer=adamw",
        "optimizer.lr=0.001",
        "hparams.epochs=16",
        "hparams.batch_size=64",
        "hparams.log_every=2",
        "metric=embedding",
        "metric.probe=[DT,lat]",
        "show_prediction=views",
        "hparams.plot_interval=5",
        "run_name=demo-contrastive",
    ],
    "mae": [
        "dataset.path={folder}/indian_pines.h5",
        "dataset.window=32",
        "dataset.stride=8",
        "dataset.valid_fraction=0.25",
        "trackers=[]",
        "model=mae_tiny",
        "model.patch_size=[4,5]",
        "model.embed_dim=96",
        "model.encoder_depth=4",
        "model.decoder_depth=2",
        "optimizer.lr=0.004",
        "optimizer.weight_decay=0.01",
        "scheduler.warmup_epochs=3",
        "hparams.epochs=60",
        "hparams.batch_size=8",  # steps are what it lacks: with 16 and 40 epochs the error was a quarter higher
        "hparams.valid_interval=5",
        "hparams.log_every=11",
        "run_name=demo-mae",
    ],
    "segmentation": [
        "dataset.path=demo-segmentation/patches",
        "trackers=[]",
        "model.encoder=resnet18",
        "hparams.epochs=60",
        "hparams.plot_interval=5",
        "hparams.test_at_end=true",
        "task.class_names=[other,building]",
        "run_name=demo-segmentation",
    ],
    "regression": [
        "dataset.path=demo-regression/patches",
        "trackers=[]",
        "task.names=[ndvi]",
        "hparams.epochs=60",
        "hparams.batch_size=8",
        "hparams.valid_interval=5",
        "hparams.plot_interval=4",
        "run_name=demo-regression",
    ],
}


def run(task: str = "contrastive", overrides: Sequence[str] = ()) -> Run:
    """Train the demo of ``task`` into ``./runs`` and return its run.

    Those with scenes prepare them first and map them last, in ``./demo-TASK``; see `demos.chain`. What was learned, and
    the map, stand on the run's page.

    Raises:
        SpectrainError: there is no such demo; names those that there are. Or a folder ``./demo-TASK`` is not a demo's.
    """
    if task not in DEMOS:
        raise SpectrainError(f"there is no demo {task!r}", fix=f"there is {', '.join(DEMOS)}")
    from ..training.api import resolve, train_config
    from .chain import CHAINS, mapped, prepared
    from .ending import tell

    folder = Path(__file__).resolve().parent
    changed = {override.split("=", 1)[0] for override in overrides}
    ours = [line.format(folder=folder) for line in DEMOS[task] if line.split("=", 1)[0] not in changed]
    cfg = resolve(task, overrides=[*ours, *overrides])[0]  # first, so that a mistake leaves nothing
    if task in CHAINS:
        prepared(task, folder)
    made = train_config(cfg)
    if made.info["status"] == "finished":
        if task in CHAINS:
            mapped(task, made)
        tell(task, made)
    return made
