"""What the demos with scenes do before and after the training: prepare the scene, and map it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runs.run import Run

log = logging.getLogger("spectrain")


@dataclass(frozen=True)
class Chain:
    """A scene with labels.

    Attributes:
        files: that are copied to where the user stands: the scene, then its labels.
        prepare: options of `spectrain prepare scenes`.
        vectors: the map is traced into polygons too.
    """

    files: tuple[str, str]
    prepare: tuple[str, ...]
    vectors: bool = False


CHAINS = {
    "segmentation": Chain(
        ("buildings.tif", "buildings.geojson"),
        (
            "images=buildings.tif",
            "labels=buildings.geojson",
            "extent=hull",
            "formulas=rise=dsm-dtm",
            "bands=[rise,hag]",
            "blocks=100",
            "patch-size=32",
            "test-val-split=0.2",
        ),
        vectors=True,
    ),
    "regression": Chain(
        ("ndvi.tif", "ndvi_seen.csv"),
        (
            "images=ndvi.tif",
            "labels=points",
            "points=demo-regression/ndvi_seen.csv",
            "points-value=ndvi",
            "points-crs=EPSG:32633",
            "blocks=160",
            "patch-size=16",
            "test-val-split=0.2",
            "seed=1",  # of 1 to 12 the one by which training, validation and test are most alike in their labels
        ),
    ),
}


def place_of(task: str) -> Path:
    """Return the folder for the scene, the patches and the map of a demo, relative to where the user stands."""
    return Path(f"demo-{task}")


def prepared(task: str, source: Path) -> None:
    """Copy the scene and its labels from ``source`` and cut them into patches, as the command that is logged does."""
    from ..preparation.run import prepare

    chain, place = CHAINS[task], place_of(task)
    place.mkdir(exist_ok=True)
    for name in chain.files:
        shutil.copy2(source / name, place / name)  # with its date: done before, nothing is prepared anew
    patches = place / "patches"
    words = [f"data-dir={place}", *chain.prepare]
    _say("prepare scenes", *words, "-o", patches)
    log.info("%s", prepare("scenes", overrides=words, train_data_dir=str(patches)))


def mapped(task: str, run: Run) -> None:
    """Map the whole scene by the trained model, as the command that is logged does."""
    from ..inference.predict import predict

    chain, place = CHAINS[task], place_of(task)
    scene, output = place / chain.files[0], place / "map.tif"
    polygons = place / "map.geojson" if chain.vectors else None
    traced: Sequence[object] = ["--polygons", polygons] if polygons else []
    _say("predict", near(run.folder), scene, "-o", output, *traced)
    predict(run.folder, scene, output, polygons=polygons, overwrite=True)


def near(path: Path) -> Path:
    """Return a path below where the user stands as one writes it there; others as they are."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _say(*words: object) -> None:
    """Log the command that a step is, to be copied."""
    log.info("\n$ spectrain %s", " ".join(f"'{one}'" if "[" in str(one) else str(one) for one in words))
