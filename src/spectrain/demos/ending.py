"""What a demo says at its end: what was learned against a simple baseline, what to do next, where everything is."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..runs.report import write_report
from ..runs.run import Run
from ..training.checkpoint import load_checkpoint
from .chain import CHAINS, near, place_of

TEST = Path("test", "patches", "val-test")


def tell(task: str, run: Run) -> None:
    """Say on the page of a finished demo what was learned beside a simple baseline, and draw its map there."""
    if task in CHAINS:
        from .maps import draw_map  # matplotlib takes half a second

        draw_map(task, run.folder / "plots" / "map.png")
    run.update_info(learned=LEARNED[task](run.folder))
    write_report([run.folder])


def ended(task: str, run: Run) -> list[str]:
    """Return the last lines of a demo, the page of the run at the very end.

    A training that was interrupted, or changed so that what a sentence compares is not measured, has the page alone.
    """
    last = [f"the report: {near(run.folder / 'report.html')}"]
    if run.info["status"] != "finished":
        return last
    said = run.info.get("learned")
    lines = [said, ""] if said else []
    if task in CHAINS:
        place, folder = place_of(task), near(run.folder)
        scene = place / CHAINS[task].files[0]
        lines += [
            "go on with:",
            f"  spectrain train {task} dataset.path={place / 'patches'} dataset.fold=1",
            f"  spectrain test {folder} --turns -o {place / 'turned'}",
            f"  spectrain predict {folder} {scene} -o {place / 'turned.tif'} --turns",
            "",
            f"the scene and its labels: {place}",
            f"the map: {', '.join(str(path) for path in sorted(place.glob('map*')))}",
        ]
        page = folder / TEST.parent / "index.html"
        lines += [f"the test: {page}"] if page.is_file() else []
    return lines + last


def contrastive(folder: Path) -> str:
    """Return what a linear fit on the features tells of images of other places; a constant explains nothing of it."""
    row = _last(folder)
    if not {"linear_DT_valid", "linear_lat_valid"} <= set(row):
        return ""
    return (
        f"learned without a label: from the features, a linear fit explains {_share(row['linear_DT_valid'])} of the "
        f"temperature range in images of other places, and {_share(row['linear_lat_valid'])} of their latitude "
        "(the mean: 0 %)"
    )


def mae(folder: Path) -> str:
    """Return the error of what was hidden, beside that of the mean spectrum of the training."""
    row = _last(folder)
    if "mse_masked_valid" not in row:
        return ""
    spread = np.array(_meta(folder)["statistics"]["std"])
    error, mean = math.sqrt(row["mse_masked_valid"]), math.sqrt(float(np.mean(spread**2)))
    return (
        f"learned: hidden values of unseen ground are filled in with an error of {error:.0f} "
        f"(the mean spectrum: {mean:.0f})"
    )


def segmentation(folder: Path) -> str:
    """Return intersection over union and accuracy in the squares that were kept, beside those of no building at all."""
    if (found := _tested(folder)) is None:
        return ""
    share = positives(*(found[name] for name in ("accuracy", "recall", "specificity")))
    return (
        f"learned: in squares that were kept from the training, buildings are found with an intersection over union of "
        f"{found['jaccard']:.2f} and an accuracy of {found['accuracy']:.2f} (all background: 0 and {1 - share:.2f})"
    )


def positives(accuracy: float, recall: float, specificity: float) -> float:
    """Return the share of positives that the three imply, since accuracy is the mean of the other two weighed by it."""
    return (accuracy - specificity) / (recall - specificity) if recall != specificity else math.nan


def regression(folder: Path) -> str:
    """Return the error at measured pixels of the squares that were kept, beside that of the mean of the training."""
    if (found := _tested(folder)) is None:
        return ""
    targets = np.load(folder / TEST / "targets.npy")
    (centre,) = _meta(folder)["config"]["task"]["centre"]
    mean = float(np.sqrt(np.mean((targets - centre) ** 2)))
    return (
        f"learned: at {targets.size} measured pixels of squares that were kept from the training, NDVI is told with an "
        f"error of {found['rmse']:.3f} (the mean: {mean:.3f}), and {_share(found['coverage_90'])} of them lie in "
        "intervals that are to hold 90 %"
    )


LEARNED: dict[str, Callable[[Path], str]] = {
    "contrastive": contrastive,
    "mae": mae,
    "segmentation": segmentation,
    "regression": regression,
}


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _tested(folder: Path) -> dict[str, float] | None:
    """Return the metrics of the test; None where the demo was changed so that there was none."""
    path = folder / TEST / "metrics.json"
    found: dict[str, float] | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def _last(folder: Path) -> dict[str, float]:
    """Return the numbers of the last validation, without those that were not taken."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return next((row for row in reversed(rows) if "loss_valid" in row), {})


def _meta(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_checkpoint(folder / "checkpoints" / "best.pt")["meta"]
    return found
