"""A run in words: what was trained on what, how it stands, and its few key numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from ..progress import duration
from .panels import split, unit_of, unit_of_labels, words
from .read_run import ReadRun
from .scales import number
from .scores import tests_of

TELLING = {"jaccard": -1, "iou": -1, "accuracy": -1, "f1": -1, "rmse": 1, "psnr_masked": -1, "r2": -1}
"""Values that say more than a loss does -> 1 where small is good, else -1."""
STATUS = {
    "finished": "finished",
    "running": "running",
    "interrupted": "interrupted",
    "failed": "failed",
    "killed": "stopped without notice",
}


def summary(run: ReadRun) -> str:
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


def paths(run: ReadRun) -> str:
    """Return the names of the data's files or folders."""
    given = run.option("dataset.path") or []
    return ", ".join(Path(str(path)).name for path in (given if isinstance(given, list) else [given]))


class KeyNumber(NamedTuple):
    """A number that one asks for first.

    Attributes:
        name: what it is.
        value: as text.
        remark: behind it.
        raw: itself, NaN where runs are not to be compared by it.
        sign: 1 where small is good, -1 where large is, 0 where neither.
    """

    name: str
    value: str
    remark: str
    raw: float = math.nan
    sign: int = 0


def key_numbers(run: ReadRun) -> list[KeyNumber]:
    """Return the numbers that one asks for first."""
    found = [_best(run)] if run.rows else []
    if tested := _tested(run):
        found.append(tested)
    if quality := _quality(run):
        found.append(quality)
    elif run.rows and "loss_train" in run.rows[-1]:
        found.append(KeyNumber("Training loss", number(run.rows[-1]["loss_train"]), "last epoch"))
    wanted = run.option("hparams.epochs")
    done = int(run.rows[-1]["epoch"]) if run.rows else 0
    steps = int(max([row["step"] for row in run.rows[-1:]] + [line["step"] for line in run.intervals[-1:]], default=0))
    of = f"of {wanted:,}; " if isinstance(wanted, int) else ""
    found.append(KeyNumber("Epochs", f"{done:,}", f"{of}{steps:,} steps"))
    timings = run.facts.get("timings") or {}
    if isinstance(seconds := timings.get("training_s"), (int, float)):
        found.append(KeyNumber("Training time", duration(seconds), "h:min:s" if seconds >= 3600 else "min:s"))
    if isinstance(rate := timings.get("samples_per_s"), (int, float)):
        found.append(KeyNumber("Speed", number(rate, 3), "samples/s"))
    if isinstance(share := timings.get("data_wait"), (int, float)):
        found.append(KeyNumber("Waiting for data", f"{share:.1%}", "of the time"))
    return found


def _hiding(run: ReadRun) -> str:
    """Return what a masked autoencoder hides, "" of other models."""
    token, ratio = run.option("model.patch_size"), run.option("model.mask_ratio")
    if not (isinstance(token, list) and len(token) == 2 and isinstance(ratio, int | float)):
        return ""
    side, bands = token
    return f", which hides {ratio:.0%} of its tokens of {bands} × {side} × {side}"


def _quality(run: ReadRun) -> KeyNumber | None:
    """Return how well the best epoch fills in what was hidden, or predicts values; None of other tasks."""
    epoch = best_epoch(run)
    row = next((row for row in run.rows if row["epoch"] == epoch), {})
    monitored_name = monitored(run)[0]
    for stem in ("psnr_masked", "rmse"):
        if (value := row.get(f"{stem}_valid")) is not None and monitored_name != f"{stem}_valid":
            remark = [unit_of(stem, unit_of_labels(run)), f"epoch {epoch}"]
            said = ", ".join(filter(None, remark))
            return KeyNumber(words(stem), number(value), said, value, -1 if stem == "psnr_masked" else 1)
    return None


def best_epoch(run: ReadRun) -> int | None:
    """Return the epoch with the best monitored value, None where there is none."""
    name, sign = monitored(run)
    values = [(sign * row[name], row["epoch"]) for row in run.rows if name in row and not math.isnan(row[name])]
    return int(min(values)[1]) if values else None


def monitored(run: ReadRun) -> tuple[str, int]:
    """Return the value that decides what is best, and 1 where small is good, else -1."""
    best = run.facts.get("best") or {}
    name = str(best.get("monitor") or run.option("hparams.monitor") or "loss_valid")
    if not any(name in row for row in run.rows) and any("loss_train" in row for row in run.rows):
        return "loss_train", 1
    return name, -1 if run.option("hparams.monitor_mode") == "max" else 1


def _best(run: ReadRun) -> KeyNumber:
    name, sign = monitored(run)
    stem, phase = split(name)
    title = {"valid": f"Best validation {_inside(stem)}", "train": f"Best training {_inside(stem)}"}.get(
        phase, f"Best {_inside(stem)}"
    )
    epoch = best_epoch(run)
    row = next((row for row in run.rows if row["epoch"] == epoch), None)
    if row is None:
        return KeyNumber(title, "none", "no finite value yet")
    return KeyNumber(title, number(row[name]), f"epoch {epoch}", row[name], sign)


def _tested(run: ReadRun) -> KeyNumber | None:
    """Return the value that decides as a test in the run's folder found it; in place of a loss what tells more."""
    name, best = monitored(run)
    signs = {split(name)[0]: best, **TELLING} if split(name)[0] != "loss" else {**TELLING, "loss": best}
    for test in tests_of(run.folder):
        last = test.scores[-1]
        for stem, sign in signs.items():
            if (value := last.values.get(stem)) is None:
                continue
            return KeyNumber(
                f"Test {_inside(stem)}", number(value), f"{last.split}, {last.images:,} images", value, sign
            )
    return None


def _inside(stem: str) -> str:
    """Return a name as it is spelt inside a line."""
    spelt = words(stem)
    return spelt if spelt[:2].isupper() else spelt[:1].lower() + spelt[1:]
