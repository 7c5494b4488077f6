"""The models that are used together: loaded, and held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import RunError
from ...tasks.base import Layer, Task
from .ensembles import is_ensemble, read_ensemble
from .model import Trained, load_trained


@dataclass(frozen=True)
class Loaded:
    """A run with its task.

    Attributes:
        trained: model and configuration.
        task: what was learned, without metrics and pictures.
    """

    trained: Trained
    task: Task

    @property
    def name(self) -> str:
        """Of the run, or of its checkpoint where it says none."""
        return str(self.trained.meta.get("run_name") or self.trained.path.name)


def load_members(runs: Sequence[str | Path], plugins: Sequence[str] = ()) -> list[Loaded]:
    """Load the runs and hold them against each other. An ensemble's folder stands for all models in it.

    The first one's task puts them together. It takes the recalibration of a single run, or of the one ensemble that was
    named; of several runs nobody knows one. Bounds in maps are the first one's (`require_one_interval`).

    Raises:
        RunError: no such run; one that comes twice; an ensemble that is damaged or lacks models; a run whose task has
            no maps; or they have different tasks, classes, units or preparations.
    """
    found, fitted = [], []
    for run in runs:
        checkpoints: Sequence[str | Path] = [run]
        if is_ensemble(Path(run)):
            ensemble = read_ensemble(Path(run))
            checkpoints = ensemble.checkpoints
            fitted.append(ensemble.recalibration)
        for one in checkpoints:
            trained = load_trained(one, plugins)
            task: Task = trained.cfg.task.build(loss=trained.cfg.loss.build(), metric=None, plot=None)
            if not task.layers():
                raise RunError(
                    f"the task {trained.cfg.task.name!r} has no maps: it gives no value for each pixel",
                    where=str(run),
                    fix="`spectrain embed RUN DATA` embeds images, `spectrain test RUN` measures what the model does",
                )
            found.append(Loaded(trained, task))
    first = found[0]
    _require_different(found)
    for other in found[1:]:
        _require_alike(first, other, str(other.trained.path))
    for member in found:
        member.task.join([other.task for other in found])
    if len(found) == 1:
        first.task.recalibrate(first.trained.meta.get("recalibration"))
    elif len(runs) == 1 and fitted:
        first.task.recalibrate(fitted[0])
    return found


def require_one_interval(members: Sequence[Loaded]) -> None:
    """Raise where the runs say different shares of the bounds in maps (``task.interval``)."""
    said = {getattr(one.trained.cfg.task.options, "interval", None): one.trained.path for one in reversed(members)}
    if len(said) > 1:
        each = ", ".join(f"{share:g} ({path})" for share, path in sorted(said.items()))
        raise RunError(
            "the runs say different shares that the bounds of a map are to hold",
            where=f"task.interval: {each}",
            fix="name one for all by --interval",
        )


def _require_different(found: Sequence[Loaded]) -> None:
    """Raise where one model comes twice: it would agree with itself, and the ensemble seem surer than it is."""
    seen: set[Path] = set()
    for one in found:
        if (path := one.trained.path.resolve()) in seen:
            raise RunError("the model is named twice", where=str(one.trained.path), fix="name each run once")
        seen.add(path)


def _require_alike(first: Loaded, other: Loaded, where: str) -> None:
    other.task.interval = first.task.interval  # which is said of the bounds' layers, and is no difference of models
    fix = "an ensemble is of runs of one task; map them one by one"
    one, two = first.trained.cfg.task.name, other.trained.cfg.task.name
    if one != two:
        raise RunError(f"the runs are of different tasks: {one} and {two}", where=where, fix=fix)
    if (ours := _shown(first.task.layers())) != (theirs := _shown(other.task.layers())):
        raise RunError(f"the runs draw different maps: {ours} and {theirs}", where=where, fix=fix)
    _require_one_unit(first.task, other.task, where)


def _require_one_unit(first: Task, other: Task, where: str) -> None:
    """Raise where both say a unit and it is not the same."""
    for ours, theirs in zip(first.layers(), other.layers(), strict=True):
        if ours.unit and theirs.unit and ours.unit != theirs.unit:
            raise RunError(
                f"the runs are of different units: {ours.unit} and {theirs.unit}",
                where=where,
                fix="an ensemble is of runs that learned the same labels; map them one by one",
            )


def _shown(layers: Sequence[Layer]) -> str:
    return "; ".join(f"{layer.name} ({', '.join(layer.classes or layer.bands)})" for layer in layers)
