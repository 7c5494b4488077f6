"""A test: one pass over a split that leaves means, tables and pictures in a folder."""

from __future__ import annotations

import csv
import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.atomic import disk_errors
from ..core.batch import Batch
from ..core.step import Step
from ..data.mixture import MixedEvalOrder, datasets_of
from ..data.order import EvalOrder
from ..metrics.base import Breakdown, Metrics
from .evaluate import evaluate
from .subject import Source, Subject

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Table = dict[str, list[Any]]
_SAID = 8
PICTURES = 4
"""Batches that are drawn: the first ones."""


class Tested(dict[str, float]):
    """What a test found: mean loss, its parts and the metrics, by name.

    Attributes:
        split: which split it was.
        images: a row an image: ``patch_id`` and its own values, column by column; empty where the metric has none.
        wavelengths: a row a band and data set, column by column; likewise.
        breakdown: the metrics by region and scene, with intervals; None where the metric has no such sums.
        folder: where it was written.
        files: predictions of labelled pixels that were written there.
        calibration: how far their intervals hold what they promise, column by column; empty where there are none.
        pictures: what was drawn.
        count: images of the split.
        published: names by which users of another system know some of them.
        headline: which of them are said in a line; () says the first few.
    """

    def __init__(
        self,
        values: Mapping[str, float],
        images: Table,
        wavelengths: Table,
        folder: Path,
        *,
        split: str = "",
        breakdown: Breakdown | None = None,
        pictures: Sequence[Path] = (),
        files: Sequence[Path] = (),
        calibration: Mapping[str, Sequence[Any]] | None = None,
        count: int = 0,
        published: Mapping[str, str] | None = None,
        headline: Sequence[str] = (),
    ) -> None:
        super().__init__(values)
        self.images, self.wavelengths, self.folder = images, wavelengths, folder
        self.split, self.breakdown, self.pictures, self.count = split, breakdown, list(pictures), count
        self.calibration = dict(calibration or {})
        self.files, self.published, self.headline = list(files), dict(published or {}), tuple(headline)

    def line(self) -> str:
        """Return the scores of `headline` that are there, in one line; nothing where none has a value."""
        names = [name for name in self.headline if name in self] or list(self)[:_SAID]
        return ", ".join(f"{name} {self[name]:.4g}" for name in names if math.isfinite(self[name]))


def write_test(
    subject: Subject, source: Source, order: EvalOrder | MixedEvalOrder, folder: Path, pictures: int = PICTURES
) -> Tested:
    """Test a model on a split.

    Written are ``metrics.csv`` and ``metrics.json`` (means), ``images.csv`` (a row an image) and ``wavelengths.csv`` (a
    row a band) where the metric has such rows, ``regions.csv``, ``scenes.csv`` and ``intervals.csv`` where it can be
    taken of groups of images, and ``pictures/``; of labelled pixels ``predictions.npy`` and so on, and how far their
    uncertainty can be trusted (``calibration.csv``).

    Args:
        subject: the model and its task.
        source: the split.
        order: in what batches.
        folder: made where it is missing.
        pictures: how many batches to draw at most.
    """
    tables = subject.task.tables()
    metadata = source.patches.metadata()

    metrics = tables if isinstance(tables, Metrics) else None  # shown each batch as such
    scratch = Path(tempfile.mkdtemp(prefix="spectrain-"))
    pixels = subject.task.pixels(scratch)

    def each(step: Step, batch: Batch) -> None:
        if tables is not None and metrics is None:
            tables.update(step.output, batch)
        if pixels is not None:
            pixels.update(step.output, batch)

    try:
        found = evaluate(subject, source, order, each, metrics=metrics, pictures=pictures)
        files = [] if pixels is None else pixels.finish()
        folder.mkdir(parents=True, exist_ok=True)  # only now, so that a test that fails leaves nothing
        for file in files:
            with disk_errors(folder):
                shutil.move(file, folder / file.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sheets = [subject.picture(step, batch, source) for step, batch in found.shown]
    figures = {f"{subject.cfg.task.name}_{number:02d}": one for number, one in enumerate(sheets, start=1) if one}
    figures |= {} if found.figures is None else found.figures()
    values = {name: found.losses.mean(name) for name in found.losses.names} | found.metrics
    images: Table = {}
    bands: Table = {}
    breakdown: Breakdown | None = None
    if tables is not None:
        values |= tables.metrics() if metrics is None else {}
        images, bands = tables.images(), tables.bands([one.bands for one in datasets_of(source.patches)])
        if images:
            shown = metadata.iloc[images["index"]]
            images = {"patch_id": shown["patch_id"].astype(str).tolist(), **images}
            breakdown = tables.breakdown(groups_of(shown))
    write_columns(folder / "metrics.csv", {name: [value] for name, value in values.items()})
    (folder / "metrics.json").write_text(
        json.dumps({name: _finite(value) for name, value in values.items()}, indent=1) + "\n"
    )
    calibration = {} if pixels is None else pixels.calibration()
    for name, table in (("images", images), ("wavelengths", bands), ("calibration", calibration)):
        if table:
            write_columns(folder / f"{name}.csv", table)
    if breakdown is not None:
        _write_breakdown(breakdown, folder)
    return Tested(
        values,
        images,
        bands,
        folder,
        split=source.patches.split,
        breakdown=breakdown,
        pictures=_saved(figures, folder / "pictures"),
        files=[folder / file.name for file in files],
        calibration=calibration,
        count=len(source.patches),
        published=subject.task.published,
        headline=subject.task.headline,
    )


def groups_of(metadata: pd.DataFrame) -> dict[str, list[str]]:
    """Return the groups of images that their metadata tell of: regions, and scenes (files; the images themselves)."""
    found: dict[str, list[str]] = {}
    if "region" in metadata and metadata["region"].astype(str).str.len().any():
        found["region"] = metadata["region"].fillna("").astype(str).tolist()
    finest = next((name for name in ("scene", "file", "patch_id") if name in metadata), "patch_id")
    kind = {"scene": "scene", "file": "scene", "patch_id": "image"}[finest]
    return found | {kind: metadata[finest].astype(str).tolist()}


def _write_breakdown(found: Breakdown, folder: Path) -> None:
    for kind, table in found.tables.items():
        if kind != "image":  # which has a file of its own
            write_columns(folder / f"{kind}s.csv", table)
    names = [name for name in found.everything if name in found.intervals]
    low, high = ([found.intervals[name][side] for name in names] for side in (0, 1))
    write_columns(
        folder / "intervals.csv",
        {"metric": names, "value": [found.everything[name] for name in names], "low": low, "high": high},
    )


def _saved(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    paths = []
    for name, figure in figures.items():
        folder.mkdir(exist_ok=True)
        figure.savefig(folder / f"{name}.png")
        paths.append(folder / f"{name}.png")
    return paths


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_columns(path: Path, table: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of equal length as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
