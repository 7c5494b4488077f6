"""A run in words: what was trained on what, how it stands, and its few key numbers."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

from ..progress import duration
from .panels import split, unit_of, unit_of_labels, words
from .scales import number
from .subject import Subject

STATUS = {
    "finished": "finished",
    "running": "running",
    "interrupted": "interrupted",
    "failed": "failed",
    "killed": "stopped without notice",
}


def summary(run: Subject) -> str:
    """Return one sentence: the model, the recipe, the data, the length. What is not known is left out."""
    variant = run.option("model.variant")
    model = (variant if variant != "custom" else None) or run.option("model.name") or "A model"
    parameters = run.facts.get("parameters")
    sentence = f"{model}"
    if isinstance(parameters, int):
        sentence += f" with {parameters:,} parameters"
    sentence += _hiding(run)
    sentence += f", trained by the recipe {run.facts.get('recipe') or 'unknown'}"
    sizes = run.facts.get("data") or {}
    members = run.facts.get("members") or []
    if shapes := [shape for shape in members or [sizes.get("train")] if isinstance(shape, list) and len(shape) == 4]:
        sentence += " on " + " and ".join(
            f"{count:,} patches of {bands} × {height} × {width}" for count, bands, height, width in shapes
        )
        sentence += f" (bands × height × width) from {paths(run)}"
    elif paths(run):
        sentence += f" on {paths(run)}"
    if isinstance(shape := sizes.get("valid"), list) and shape:
        sentence += f", validated on {shape[0]:,} others"
    return sentence + "."


def paths(run: Subject) -> str:
    """Return the names of the data's files or folders."""
    given = run.option("dataset.path") or []
    return ", ".join(Path(str(path)).name for path in (given if isinstance(given, list) else [given]))


def key_numbers(run: Subject) -> list[tuple[str, str, str]]:
    """Return name, value and remark of the numbers that one asks for first."""
    found = [_best(run)] if run.rows else []
    if quality := _quality(run):
        found.append(quality)
    elif run.rows and "loss_train" in run.rows[-1]:
        found.append(("Training loss", number(run.rows[-1]["loss_train"]), "last epoch"))
    wanted = run.option("hparams.epochs")
    done = int(run.rows[-1]["epoch"]) if run.rows else 0
    steps = int(max([row["step"] for row in run.rows[-1:]] + [line["step"] for line in run.intervals[-1:]], default=0))
    found.append(
        ("Epochs", f"{done:,}", f"of {wanted:,}; {steps:,} steps" if isinstance(wanted, int) else f"{steps:,} steps")
    )
    timings = run.facts.get("timings") or {}
    if isinstance(seconds := timings.get("training_s"), (int, float)):
        found.append(("Training time", duration(seconds), "h:min:s" if seconds >= 3600 else "min:s"))
    if isinstance(rate := timings.get("samples_per_s"), (int, float)):
        found.append(("Speed", number(rate, 3), "samples/s"))
    if isinstance(share := timings.get("data_wait"), (int, float)):
        found.append(("Waiting for data", f"{share:.1%}", "of the training time"))
    return found


def _hiding(run: Subject) -> str:
    """Return what a masked autoencoder hides, "" of other models."""
    token, ratio = run.option("model.patch_size"), run.option("model.mask_ratio")
    if not (isinstance(token, list) and len(token) == 2 and isinstance(ratio, int | float)):
        return ""
    side, bands = token
    return f", which hides {ratio:.0%} of its tokens of {bands} × {side} × {side}"


def _quality(run: Subject) -> tuple[str, str, str] | None:
    """Return how well the best epoch fills in what was hidden, or predicts values; None of other tasks."""
    epoch = best_epoch(run)
    row = next((row for row in run.rows if row["epoch"] == epoch), {})
    monitored_name = monitored(run)[0]
    for stem in ("psnr_masked", "rmse"):
        if (value := row.get(f"{stem}_valid")) is not None and monitored_name != f"{stem}_valid":
            remark = [unit_of(stem, unit_of_labels(run)), f"epoch {epoch}"]
            return words(stem), number(value), ", ".join(filter(None, remark))
    return None


def best_epoch(run: Subject) -> int | None:
    """Return the epoch with the best monitored value, None where there is none."""
    name, sign = monitored(run)
    values = [(sign * row[name], row["epoch"]) for row in run.rows if name in row and not math.isnan(row[name])]
    return int(min(values)[1]) if values else None


def monitored(run: Subject) -> tuple[str, int]:
    """Return the value that decides what is best, and 1 where small is good, else -1."""
    best = run.facts.get("best") or {}
    name = str(best.get("monitor") or run.option("hparams.monitor") or "loss_valid")
    if not any(name in row for row in run.rows) and any("loss_train" in row for row in run.rows):
        return "loss_train", 1
    return name, -1 if run.option("hparams.monitor_mode") == "max" else 1


def local_time(stamp: object) -> str:
    """Return an ISO time as "2026-01-31 14:05 UTC"; what is none as it is."""
    try:
        return datetime.fromisoformat(str(stamp)).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return str(stamp)


def _best(run: Subject) -> tuple[str, str, str]:
    name, _ = monitored(run)
    stem, phase = split(name)
    spelt = words(stem) if words(stem)[:2].isupper() else words(stem)[:1].lower() + words(stem)[1:]
    title = {"valid": f"Best validation {spelt}", "train": f"Best training {spelt}"}.get(phase, f"Best {spelt}")
    epoch = best_epoch(run)
    row = next((row for row in run.rows if row["epoch"] == epoch), None)
    if row is None:
        return title, "none", "no finite value yet"
    return title, number(row[name]), f"epoch {epoch}"
