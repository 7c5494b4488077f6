"""`spectrain test`: a trained model on a split of its own data or of others."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..config.schema import DatasetOptions
from ..core.atomic import atomic_write
from ..core.bands import Bands
from ..core.errors import DataError, RunError
from ..data.folds import undrawn
from ..data.mixture import by_dataset, datasets_of, eval_order, mixture_of
from ..data.opening import open_patches, recognise
from ..data.patches import Patches
from ..data.values import Values
from ..models.any_bands import AnyBands
from ..runs.report import write_report
from ..runs.report.scores import NAME as TESTS
from ..runs.report.scores import VERSION as TESTS_VERSION
from ..runs.report.test_page import SplitTest, test_page
from .inputs.classes import with_ignored
from .inputs.measured_labels import doubt_units, with_limits
from .processes.devices import autocast_dtype, resolve_device
from .subject import EnsembleSubject, Source, Subject, source_of
from .tested import Tested, write_test
from .trained.ensembles import folder_of_ensemble, is_ensemble, read_ensemble
from .trained.members import load_members
from .trained.model import Trained, load_trained, model_for
from .trained.other_data import opened_elsewhere
from .trained.turned import Turned

log = logging.getLogger("spectrain")

_AT_ONCE = 64
"""Patches whose labels are compared at once."""


def test(
    run: str | Path | Sequence[str | Path],
    data: str | Path | Sequence[str | Path] | None = None,
    output: str | Path | None = None,
    *,
    labels: str | Path | None = None,
    splits: Sequence[str] = (),
    turns: bool = False,
    batch_size: int | None = None,
    device: str | int = "auto",
    overrides: DatasetOptions | None = None,
    plugins: Sequence[str] = (),
) -> list[Tested]:
    """Test a trained model, and write means, a table of images, a table of bands and pictures.

    Other bands than those of the training are refused, unless the model is for any bands. Such a model is then
    standardised by the statistics of the data given, which the log says. Several models are tested as one: they see
    each batch together, and the task says what they come to (`Task.ensemble`).

    Args:
        run: run folder (its best checkpoint, else its last) or checkpoint; or several of the same task and bands; or
            the folder of an ensemble.
        data: data set, or several; None is the one the run was trained on, of several runs the same of all.
        output: folder; None is ``test/DATA`` in the run folder, or in that of the ensemble. Each split has a folder in
            it.
        labels: folder of the labels of ``data``, where they lie apart (`dataset.labels_path`).
        splits: which; none takes ``val-test`` and ``test`` where they are, else the validation split; of other data
            all there is.
        turns: see each image in its eight turns and flips, and average (`Turned`); for tasks with maps.
        batch_size: images at once; None is the run's.
        device: "auto", "cpu", "cuda" or the number of a GPU.
        overrides: how the data are to be read; None is as the run's were, but for what it says of single bands
            (``dataset.bands`` and ``wavelengths``, lists of scales and so on) where other data have other bands.
            Another ``transform`` for bands that the model was trained on is warned of: the training's statistics stay.
        plugins: modules to import first.

    Returns:
        What was found, a split each.

    Raises:
        RunError: no such run, or its checkpoint cannot be read; several that do not go together, or without an output
            folder.
        DataError: the data's bands are not those of the model, or a split that there is not.
    """
    named = [Path(run)] if isinstance(run, str | Path) else [Path(one) for one in run]
    several = len(named) > 1 or is_ensemble(named[0])
    models = [one.trained for one in load_members(named, plugins)] if several else [load_trained(named[0], plugins)]
    trained = models[0]
    if len(named) > 1 and output is None:
        raise RunError("several runs have no folder of their own", where="test", fix="name one for the results by -o")
    places = _places(trained, data)
    options = overrides or (trained.cfg.dataset if data is None else undrawn(trained.cfg.dataset))
    if labels is not None:
        if data is None:
            raise RunError("labels are named without their images", where="test", fix="name these by --data")
        options = replace(options, labels_path=str(labels))
    target = resolve_device(device, 0)
    inside = folder_of_ensemble(named[0]) if several else trained.run_folder
    folder = folder_of_test(inside, places) if output is None else Path(output)
    fitted = recalibration_of(named, trained)
    results = []
    for split in list(dict.fromkeys(splits)) or _default_splits(places, options, own=data is None):
        if data is None or overrides is not None:
            patches = open_patches(places if len(places) > 1 else places[0], split, options)
        else:
            patches = mixture_of([opened_elsewhere(trained, place, split, options) for place in places])
        if data is None:
            _require_same_patches(models, patches)
        _doubt_transform(trained, patches, options)
        doubt_units(trained.cfg, patches)
        subject, source = subject_of(
            models, patches, options, target, own=data is None, turns=turns, recalibration=fitted
        )
        size = batch_size or trained.cfg.hparams.evaluation_batch_size
        order = eval_order(patches, size, group=subject.task.evaluation_group)
        with source.loader:
            results.append(write_test(subject, source, order, folder / split))
    write_page(trained, places, results, folder, models=len(models))
    if output is None and (inside / "report.html").is_file():
        write_report([inside])  # which shows the tests that lie in the run folder
    return results


def recalibration_of(runs: Sequence[Path], first: Trained) -> dict[str, Any] | None:
    """Return what was fitted on the validation labels of a run, or of an ensemble; None for several runs."""
    if len(runs) > 1:
        return None
    if is_ensemble(runs[0]):
        return read_ensemble(runs[0]).recalibration
    found: dict[str, Any] | None = first.meta.get("recalibration")
    return found


def subject_of(
    models: Sequence[Trained],
    patches: Patches,
    options: DatasetOptions,
    device: torch.device,
    *,
    own: bool = True,
    turns: bool = False,
    scored: bool = True,
    recalibration: dict[str, Any] | None = None,
) -> tuple[Subject, Source]:
    """Return trained models with their task, and a split, ready to be evaluated.

    Args:
        models: one or several.
        patches: the split.
        options: how it is read.
        device: where they run.
        own: they were trained on these data.
        turns: each image is seen in its eight turns and flips.
        scored: its metrics are taken and its pictures drawn; False computes neither.
        recalibration: of what they say together.

    Raises:
        DataError: the split's bands are not theirs.
        RunError: they were trained on values of different transforms.
    """
    metric = plot = None
    if scored:
        bands = Values(patches.bands, options.transform).transformed
        metric, plot = models[0].cfg.metric.build(), models[0].cfg.show_prediction.build(bands=bands)
    found = []
    for trained in models:
        if trained.cfg.dataset.transform != models[0].cfg.dataset.transform:
            raise RunError("the runs' dataset.transform differ", where=str(trained.path), fix="test them one by one")
        cfg = with_limits(with_ignored(replace(trained.cfg, dataset=options), patches), patches)
        model = model_for(replace(trained, cfg=cfg), patches, own=0 if own else None).to(device).eval()
        subject = Subject(
            cfg=cfg,
            device=device,
            amp=autocast_dtype(cfg.general.use_amp, device),
            task=cfg.task.build(loss=cfg.loss.build(), metric=metric, plot=plot),
            augmentation=by_dataset([cfg.augmentation.build(bands=one.bands) for one in datasets_of(patches)]),
            model=Turned(model).eval() if turns else model,
        )
        found.append(subject)
    whole = found[0]
    if turns and not whole.task.layers():
        raise RunError("the task has no maps that could be turned", where="turns", fix="leave it out")
    if len(found) > 1:  # with a task of its own: the recalibration is of all, not of the first
        held = {field.name: getattr(whole, field.name) for field in fields(Subject)}
        task = whole.cfg.task.build(loss=whole.cfg.loss.build(), metric=metric, plot=plot)
        whole = EnsembleSubject(**held | {"task": task}, members=found)
    whole.task.recalibrate(recalibration)
    return whole, source_of(whole.cfg, patches, whole.task, device)


def _require_same_patches(models: Sequence[Trained], patches: Patches) -> None:
    """Raise unless all models keep the same patches for this split: else some were trained on them.

    They are told by their ids, and where runs read other files by their labels too: height and biomass of the same
    places have the same names, and a mean of both is neither.
    """
    ids = patches.ids()
    for other in models[1:]:
        theirs = open_patches(other.cfg.dataset.path or (), patches.split, other.cfg.dataset)
        if (found := theirs.ids()) != ids:
            apart = len(set(ids) ^ set(found))
            raise RunError(
                f"the runs keep different patches for {patches.split!r}: {apart} are not in both"
                if apart
                else f"the runs keep the patches of {patches.split!r} in another order",
                where=str(other.path),
                fix="test them one by one, or name data that none was trained on by --data",
            )
        ours = models[0].cfg.dataset
        if (ours.path, ours.labels_path) != (other.cfg.dataset.path, other.cfg.dataset.labels_path):
            _require_same_labels(patches, theirs, str(other.path))


def _require_same_labels(patches: Patches, other: Patches, where: str) -> None:
    """Raise unless two data sets of the same patches have the same labels."""
    for one, two in zip(datasets_of(patches), datasets_of(other), strict=True):
        for start in range(0, len(one), _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, len(one)))
            ours, theirs = one.labels(rows), two.labels(rows)
            if ours is None and theirs is None:
                continue
            ours, theirs = np.asarray(ours), np.asarray(theirs)
            decimals = ours.dtype.kind == theirs.dtype.kind == "f"
            if not np.array_equal(ours, theirs, equal_nan=decimals):
                raise RunError(
                    f"the runs have other labels for the same patches of {patches.split!r}: not those of {one.path}",
                    where=where,
                    fix="test them one by one: an ensemble is of runs that learned the same labels",
                )


def write_page(
    trained: Trained, places: Sequence[Path], results: Sequence[Tested], folder: Path, models: int = 1
) -> Path:
    """Write ``index.html``, the splits side by side, and ``tests.json``, the same for a program; return the page."""
    name = f"{trained.meta.get('run_name') or trained.path.stem} {trained.meta.get('run_id') or ''}".strip()
    if models > 1:
        name = f"{models} models as one, the first {name}"
    data = ", ".join(str(place) for place in places)
    tests = [SplitTest(one.split, one.count, one, one.breakdown, one.pictures, one.calibration) for one in results]
    atomic_write(
        folder / "index.html", test_page(name, data, tests, getattr(trained.cfg.task.options, "unit", None) or "")
    )
    record = {
        "format": {"name": TESTS, "version": TESTS_VERSION},
        "model": name,
        "checkpoint": str(trained.path),
        "data": [str(place) for place in places],
        "splits": {one.split: _record(one) for one in results},
    }
    atomic_write(folder / "tests.json", json.dumps(record, indent=1) + "\n")
    return folder / "index.html"


def _record(one: Tested) -> dict[str, Any]:
    intervals = {} if one.breakdown is None else one.breakdown.intervals
    metrics = {
        name: {"value": value, **({"low": intervals[name][0], "high": intervals[name][1]} if name in intervals else {})}
        for name, value in one.items()
    }
    groups = {} if one.breakdown is None else one.breakdown.tables
    over = None if one.breakdown is None else one.breakdown.over
    found: dict[str, Any] = _plain({"images": one.count, "metrics": metrics, "intervals_over": over, "by": groups})
    return found


def _plain(value: Any) -> Any:
    """Return the value with None for numbers that JSON does not know."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _doubt_transform(trained: Trained, patches: Patches, options: DatasetOptions) -> None:
    """Warn where values of another transform than the training's are standardised by its statistics.

    Data that are stored in another way (as logarithms already) need another transform, so it is no mistake by itself.
    """
    ours, theirs = options.transform, trained.cfg.dataset.transform
    known = [Bands.from_json(record["bands"]) for record in (trained.meta, *trained.meta.get("more", []))]
    for one in datasets_of(patches):
        trained_on = not isinstance(trained.model, AnyBands) or any(bands.same(one.bands) for bands in known)
        if ours != theirs and trained_on:  # others have statistics of their own
            log.warning(
                "%s: dataset.transform is %s here and was %s in the training, whose means and deviations standardise "
                "these bands; that is right where these data are stored otherwise and the values come out alike: "
                "else leave dataset.transform as it was",
                one.path,
                ours,
                theirs,
            )


def _places(trained: Trained, data: str | Path | Sequence[str | Path] | None) -> list[Path]:
    given = trained.cfg.dataset.places if data is None else data
    if not given:
        raise DataError("no data were named", where="test", fix="spectrain test RUN --data DATA")
    return [Path(given)] if isinstance(given, str | Path) else [Path(one) for one in given]


def _default_splits(places: Sequence[Path], options: DatasetOptions, *, own: bool) -> list[str]:
    """Return the splits to test on where none is named: those kept for it, else what there is."""
    reader = recognise(places[0].expanduser(), options)
    there = reader.splits(places[0].expanduser())
    kept = [str(split) for split in ("val-test", "test") if split in there]
    if kept:
        return kept
    if not own:
        return [reader.pool or options.valid_key or "test"]
    return [options.valid_key if options.valid_key and not _has_test(places, options) else "test"]


def held_out(options: DatasetOptions) -> list[str]:
    """Return the splits of a configuration's data that are kept for tests; none where there are none."""
    places = options.places
    there = recognise(places[0], options).splits(places[0])
    kept = [str(split) for split in ("val-test", "test") if split in there]
    return kept or (["test"] if _has_test(places, options) else [])


def _has_test(places: Sequence[Path], options: DatasetOptions) -> bool:
    """Say whether these options give a test split: one that is drawn (``test_fraction``) or of a splits file."""
    try:
        return len(open_patches(places, "test", options)) > 0
    except DataError:
        return False


def folder_of_test(run: Path, places: Sequence[Path]) -> Path:
    """Return where a test on these data is kept in a run folder."""
    return run / "test" / "+".join(place.stem for place in places)
