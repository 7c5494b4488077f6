"""`spectrain train --members N`: the same training by several seeds, and an ensemble of what they come to."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import Config, load_config
from ..core.atomic import atomic_write, disk_errors
from ..core.damage import reading
from ..core.errors import RunError
from ..core.launched import launched_world
from ..core.registry import lookup
from ..runs.folder import MEMBERS, claimed_folder
from ..runs.migrations import migrated
from ..runs.run import Run
from ..tasks.base import Task
from .conclusion import is_tested, recalibration, test_and_keep
from .processes.devices import resolve_device
from .trained.ensembles import FILE, write_ensemble
from .trained.model import load_trained
from .whole_run import StoppedError, whole_run

log = logging.getLogger("spectrain")

PLAN, CONFIG = MEMBERS, "config.yaml"
NAME, VERSION = "spectrain.members", 1


@dataclass(frozen=True)
class Ensemble:
    """What `train` of several members left.

    Attributes:
        folder: an ensemble, which `predict` and `test` take wherever they take a run; members are ``model_1`` and so on
            in it.
        runs: the members.
        status: "finished", or "interrupted" where it was asked to stop.
    """

    folder: Path
    runs: list[Run]
    status: str


def train_members(cfg: Config, count: int) -> Ensemble:
    """Train ``count`` members in a new folder, the one that a run of this configuration would have.

    They differ in their seed: ``general.seed`` and the numbers after it. The data are split alike for all.

    Raises:
        RunError: the task cannot put models together, there is something in the folder, or other processes were started
            with this one.
    """
    if lookup("task", cfg.task.name).ensemble is Task.ensemble:
        raise RunError(f"models of the task {cfg.task.name!r} are not put together", where="--members", fix="train one")
    if launched_world()[2] > 1:
        raise RunError(
            "members are trained one after the other by one process",
            where="--members",
            fix="start it once, and name the devices that train each member by general.device_ids",
        )
    folder = claimed_folder(cfg)
    cfg = dataclasses.replace(cfg, out_dir=str(folder))
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / CONFIG, cfg.to_yaml())
    record = {"format": {"name": NAME, "version": VERSION}, "members": count}
    atomic_write(folder / PLAN, json.dumps(record) + "\n")
    return _train(cfg, folder, count)


def is_members(folder: Path) -> bool:
    """Say whether a folder is one of `train_members`, finished or not."""
    return (folder / PLAN).is_file()


def resume_members(folder: Path, plugins: Sequence[str] = ()) -> Ensemble:
    """Go on with the members in a folder: each one that is not finished at its last checkpoint.

    Args:
        folder: of the members.
        plugins: modules or files to import first.

    Raises:
        RunError: the folder's files are damaged, or of a newer version.
    """
    file = folder / PLAN
    with reading(file, RunError, fix="train into a new folder"):
        count = int(migrated(json.loads(file.read_text()), NAME, VERSION, where=str(file))["members"])
    cfg = load_config(config=folder / CONFIG, plugins=plugins, use_personal=False)
    # the folder may have been moved
    return _train(dataclasses.replace(cfg, out_dir=str(folder.absolute())), folder.absolute(), count)


def _train(cfg: Config, folder: Path, count: int) -> Ensemble:
    runs: list[Run] = []
    try:
        for number in range(1, count + 1):
            log.info("member %d of %d", number, count)
            runs.append(whole_run(member_config(cfg, folder, number), folder / f"model_{number}"))
        _conclude(cfg, folder, runs)
    except (StoppedError, KeyboardInterrupt):  # also between two members, and while they are tested as one
        log.info("stopped; continue with: spectrain train --resume %s", folder)
        return Ensemble(folder, runs, "interrupted")
    return Ensemble(folder, runs, "finished")


def _conclude(cfg: Config, folder: Path, runs: Sequence[Run]) -> None:
    """Recalibrate and test the members as one, and make their folder an ensemble."""
    count = len(runs)
    checkpoints = [f"model_{number}/checkpoints/best.pt" for number in range(1, count + 1)]
    models = [load_trained(folder / one) for one in checkpoints]
    device = resolve_device(cfg.general.device, 0, cfg.general.device_ids)
    fitted = recalibration(models, runs[0].cfg, device)
    listed = [
        {"checkpoint": one, "seed": cfg.general.seed + number, "run": f"{run.run_name}/{run.run_id}"}
        for number, (one, run) in enumerate(zip(checkpoints, runs, strict=True))
    ]
    write_ensemble(folder, listed, {} if fitted is None else {"recalibration": fitted})
    del models
    if is_tested(cfg):
        test_and_keep(folder, runs[0].cfg)
    log.info("%s: %d models as one; map with: spectrain predict %s SCENE -o MAP.tif", folder / FILE, count, folder)


def member_config(cfg: Config, folder: Path, number: int) -> Config:
    """Return the configuration of a member, from 1."""
    name = f"model_{number}"
    general = dataclasses.replace(cfg.general, seed=cfg.general.seed + number - 1)
    each = cfg.all_checkpoint_dir and str(Path(cfg.all_checkpoint_dir) / name)
    return dataclasses.replace(cfg, general=general, out_dir=str(folder / name), all_checkpoint_dir=each)
