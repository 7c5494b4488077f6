"""Which charts a report has: what belongs on one pair of axes, for one run or for several side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .read_run import ReadRun
from .series import FloatArray, Panel, Series

PHASES = {"train": "training", "valid": "validation"}
COLOURS = 8
ABBREVIATIONS = {
    "mse": "MSE",
    "rmse": "RMSE",
    "sam": "spectral angle",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "knn": "kNN",
    "bce": "cross-entropy",
    "f1": "F1",
    "jaccard": "intersection over union",
    "kappa": "Cohen's kappa",
    "hamming": "Hamming distance",
    "auroc": "area under ROC",
    "iou": "IoU",
}
MEASURES = {
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
    "me": "mean error",
    "r2": "R²",
    "gaussian_nll": "Gaussian NLL",
    "laplacian_nll": "Laplacian NLL",
    "ence": "ENCE",
    "sharpness": "sharpness",
    "z_rms": "RMS of error over deviation",
    "crps": "CRPS",
}
"""What a regression measures; what follows in a name is the quantity that it is of."""
UNITS = {"sam": "rad", "psnr": "dB"}
POWERS = {"rmse": 1, "mae": 1, "me": 1, "sharpness": 1, "crps": 1, "mse": 2}
"""Measures in the unit of the labels, or in its square."""
NOT_DRAWN = {"epoch", "step", "lr", "samples_per_s", "data_wait"}
# title, unit, name in metrics.jsonl, factor
SPEED = (("Speed", "samples/s", "samples_per_s", 1.0), ("Time spent waiting for data", "%", "data_wait", 100.0))


def run_panels(run: ReadRun) -> list[Panel]:
    """Return the charts of one run: its loss over all else, then each metric, learning rate and speed."""
    there = [split(name)[0] for name in _columns([run])]
    stems = dict.fromkeys(["loss", *(name for name in there if name == "rmse"), *there])
    panels = [_phases(run, stem) for stem in stems]
    panels.append(_single("Learning rate", "", run, *_rates(run)))
    for title, unit, name, factor in SPEED:
        steps, values = run.interval(name)
        panels.append(_single(title, unit, run, steps, values * factor, zero=True))
    return [panel for panel in panels if panel.lines]


def compared_panels(runs: Sequence[ReadRun], labels: Sequence[str], places: Sequence[int]) -> list[Panel]:
    """Return charts with a line for each run: one for each value of an epoch, then learning rate and speed.

    Args:
        runs: of one task.
        labels: what they are called.
        places: their numbers on the page, which give them their colours.
    """
    named = list(zip(places, runs, labels, strict=True))
    columns = sorted(_columns(runs), key=lambda name: (split(name)[0] != "loss", split(name)[1] != "valid"))
    panels = []
    for name in columns:
        stem, phase = split(name)
        title = f"{words(stem)}, {PHASES[phase]}" if phase else words(stem)
        lines = [Series(label, *run.column(name), look(at), at) for at, run, label in named]
        unit = unit_of(stem, units.pop() if len(units := {unit_of_labels(run) for run in runs}) == 1 else "")
        panels.append(Panel(title, unit, "epoch", _filled(lines), stem=stem, phase=phase))
    x_title = "epoch" if all(run.rows for run in runs) else "epoch, or optimiser step before the first"
    for title, unit, name, factor in (("Learning rate", "", "lr", 1.0), *SPEED):
        lines = []
        for at, run, label in named:
            steps, values = _rates(run) if name == "lr" else run.interval(name)
            lines.append(Series(label, run.epochs_of(steps), values * factor, look(at), at))
        panels.append(Panel(title, unit, x_title, _filled(lines), zero=name != "lr"))
    return [panel for panel in panels if panel.lines]


def split(name: str) -> tuple[str, str]:
    """Return "loss_valid" as ("loss", "valid"), a name without phase as (name, "")."""
    match = re.fullmatch(r"(.+)_(train|valid)", name)
    return (match[1], match[2]) if match else (name, "")


def words(stem: str) -> str:
    """Return a name as the title of a chart; what a probe predicts keeps its own spelling."""
    for prefix, way in (("knn_", "by nearest neighbours"), ("linear_", "by a linear probe")):
        if stem.startswith(prefix):
            return f"{stem.removeprefix(prefix)} {way}"
    if stem.startswith("loss_"):
        return f"Loss part: {_spelt(stem.removeprefix('loss_'))}"
    measure = stem.removesuffix("_masked")
    text = _spelt(measure) + (" of masked values" if measure != stem else "")
    return text[:1].upper() + text[1:]


def unit_of(stem: str, labels: str = "") -> str:
    """Return the unit of a metric or of a part of the loss, "" for none.

    Args:
        stem: its name.
        labels: unit of the labels that are predicted, "" where there are none or it is not known.
    """
    measure = stem.removeprefix("loss_").removesuffix("_masked")
    found = _measure_of(measure)
    power = POWERS.get(found[0], 0) if labels and found else 0
    return UNITS.get(measure, "") or ("", labels, f"{labels}²" if labels.isalpha() else f"({labels})²")[power]


def unit_of_labels(run: ReadRun) -> str:
    """Return the unit of what a regression predicts, "" where it is not known and of other tasks."""
    return str(run.option("task.unit") or "")


def look(place: int) -> str:
    """Return the CSS class of a run's line; after eight runs the colours begin again, dashed."""
    return f"run{place % COLOURS}" + (" again" if place >= COLOURS else "")


def _measure_of(measure: str) -> tuple[str, str] | None:
    """Return "rmse_height" as ("rmse", "height"), "coverage_90" as ("coverage_90", ""); None for other names."""
    match = re.fullmatch(rf"({'|'.join(MEASURES)}|coverage_\d+|below_[\d.]+)(?:_(.+))?", measure)
    return (match[1], match[2] or "") if match else None


def _spelt(measure: str) -> str:
    if found := _measure_of(measure):
        name, quantity = found
        kind, _, share = name.partition("_")
        said = f"coverage at {share} %" if kind == "coverage" else f"share below the {share} % quantile"
        return MEASURES.get(name, said) + (f" of {quantity}" if quantity else "")
    return " ".join(ABBREVIATIONS.get(part, part) for part in measure.split("_"))


def _columns(runs: Sequence[ReadRun]) -> list[str]:
    names = dict.fromkeys(name for run in runs for row in run.rows for name in row)
    return [name for name in names if name not in NOT_DRAWN]


def _rates(run: ReadRun) -> tuple[FloatArray, FloatArray]:
    """Return steps and learning rates: of every step where the curves have them, else of the log intervals."""
    rates = run.curves.get("lr")
    if rates is None or not rates.size:
        return run.interval("lr")
    return np.arange(1.0, rates.size + 1), rates


def _phases(run: ReadRun, stem: str) -> Panel:
    lines = []
    if stem == "loss":
        each = run.curves.get("loss_step_train", np.zeros(0))
        steps, values = (np.arange(1.0, each.size + 1), each) if each.size else run.interval("loss_train")
        lines.append(Series("each step", run.epochs_of(steps), values, "faint"))
    for phase, label in PHASES.items():
        lines.append(Series(label, *run.column(f"{stem}_{phase}"), phase))
    lines.append(Series("", *run.column(stem), "train"))
    title, drawn = words(stem), _filled(lines)
    if len(drawn) == 1 and drawn[0].label:  # alone, a line is named by the title
        title, drawn = f"{title}, {drawn[0].label}", (replace(drawn[0], label=""),)
    remark = (run.facts.get("remarks") or {}).get(stem, "")
    return Panel(title, unit_of(stem, unit_of_labels(run)), _x_title(run), drawn, stem=stem, remark=str(remark))


def _single(title: str, unit: str, run: ReadRun, steps: FloatArray, values: FloatArray, *, zero: bool = False) -> Panel:
    line = Series("", run.epochs_of(steps), values, "train")
    return Panel(title, unit, _x_title(run), _filled([line]), zero=zero)


def _x_title(run: ReadRun) -> str:
    return "epoch" if run.rows else "optimiser step"


def _filled(lines: list[Series]) -> tuple[Series, ...]:
    return tuple(line for line in lines if line.x.size)
