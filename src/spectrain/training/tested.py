"""A test: one pass over a split that leaves means, tables and pictures in a folder."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.batch import Batch
from ..core.step import Step
from ..data.mixture import MixedEvalOrder, members_of
from ..data.order import EvalOrder
from ..metrics.base import Metrics
from .evaluate import evaluate
from .subject import Source, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = dict[str, list[Any]]
PICTURES = 4
"""Batches that are drawn: the first ones."""


class Tested(dict[str, float]):
    """What a test found: mean loss, its parts and the metrics, by name.

    Attributes:
        images: a row an image: ``patch_id`` and its own values, column by column; empty where the metric has none.
        wavelengths: a row a band and data set, column by column; likewise.
        folder: where it was written.
    """

    def __init__(self, values: Mapping[str, float], images: Table, wavelengths: Table, folder: Path) -> None:
        super().__init__(values)
        self.images, self.wavelengths, self.folder = images, wavelengths, folder


def write_test(
    subject: Subject, source: Source, order: EvalOrder | MixedEvalOrder, folder: Path, pictures: int = PICTURES
) -> Tested:
    """Test a model on a split.

    Written are ``metrics.csv`` and ``metrics.json`` (means), ``images.csv`` (a row an image) and ``wavelengths.csv`` (a
    row a band) where the metric has such rows, and ``pictures/``.

    Args:
        subject: the model and its task.
        source: the split.
        order: in what batches.
        folder: made where it is missing.
        pictures: how many batches to draw at most.
    """
    tables = subject.task.tables()
    ids = source.patches.metadata()["patch_id"].astype(str).tolist()

    metrics = tables if isinstance(tables, Metrics) else None  # shown each batch as such

    def each(step: Step, batch: Batch) -> None:
        if tables is not None and metrics is None:
            tables.update(step.output, batch)

    found = evaluate(subject, source, order, each, metrics=metrics, pictures=pictures)
    drawn: list[Figure | None] = [subject.picture(step, batch, source) for step, batch in found.shown]
    figures = [figure for figure in drawn if figure is not None]
    folder.mkdir(parents=True, exist_ok=True)  # only now, so that a test that fails leaves nothing
    for number, figure in enumerate(figures, start=1):
        (folder / "pictures").mkdir(exist_ok=True)
        figure.savefig(folder / "pictures" / f"{subject.cfg.task.name}_{number:02d}.png")
    values = {name: found.losses.mean(name) for name in found.losses.names} | found.metrics
    images: Table = {}
    bands: Table = {}
    if tables is not None:
        images, bands = tables.images(), tables.bands([one.bands for one in members_of(source.patches)])
        images = {"patch_id": [ids[number] for number in images["index"]], **images} if images else {}
    write_columns(folder / "metrics.csv", {name: [value] for name, value in values.items()})
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    (folder / "metrics.json").write_text(json.dumps(finite, indent=1) + "\n")
    for name, table in (("images", images), ("wavelengths", bands)):
        if table:
            write_columns(folder / f"{name}.csv", table)
    return Tested(values, images, bands, folder)


def write_columns(path: Path, table: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of equal length as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
