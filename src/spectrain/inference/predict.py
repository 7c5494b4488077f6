"""`spectrain predict`: a map of a scene by one trained model or several."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .. import __version__
from ..core.errors import RunError, SpectrainError, first_line, nearest
from ..runs.progress import duration
from ..tasks.base import Layer
from ..training.processes.devices import memory_advice, resolve_device
from ..training.trained.members import Loaded, load_members, require_one_interval
from .mapping.members import Member, all_bands, window_of
from .mapping.polygons import Polygons, polygon_layer, write_polygons
from .mapping.raster import block_cache, files_of, map_files
from .mapping.scene import open_map_scenes
from .mapping.tiles import Axis, default_halo
from .mapping.windows import SceneWindows

log = logging.getLogger("spectrain")

RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".nc")
DISAGREEMENT = 0.2
"""Windows that differ by more of the map's deviation are a warning."""
SAY_EVERY = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Mapped:
    """What `predict` left.

    Attributes:
        maps: the GeoTIFFs, the main one first, each with the names of its layers.
        polygons: the vector file, where one was asked for.
    """

    maps: Mapping[Path, tuple[str, ...]]
    polygons: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Everything that was written."""
        return [*self.maps, *([self.polygons] if self.polygons else [])]


def predict(
    runs: str | Path | Sequence[str | Path],
    scene: str | Path,
    output: str | Path,
    *,
    window: int | None = None,
    halo: int | None = None,
    layers: Sequence[str] = (),
    interval: float | None = None,
    turns: bool = False,
    polygons: str | Path | None = None,
    min_area: float = 0.0,
    batch_size: int | None = None,
    device: str | int = "auto",
    dem: str | Path | None = None,
    aux: str | Path | Sequence[str | Path] = (),
    overwrite: bool = False,
    plugins: Sequence[str] = (),
) -> Mapped:
    """Map a scene by a trained model, or by several as an ensemble, into a cloud-optimised GeoTIFF.

    The scene is looked at window by window (see `inference.tiles`), so its size does not matter; memory grows with its
    width alone. A pixel without any valid band stays missing in the map; where some bands are missing it is mapped from
    the others, as in training. Several models see each window in one pass.

    Args:
        runs: run folder (its best checkpoint, else its last) or checkpoint; or several of the same task and classes; or
            the folder of an ensemble.
        scene: raster, or folder with a raster for each band; bands are matched by name.
        output: GeoTIFF to write. Layers of another type go into files beside it, such as ``OUT_probability.tif``.
        window: side of the windows in px; None is the size of the images that the model was trained on.
        halo: px at each side of a window that serve as context alone; None is a quarter of the window.
        layers: which of the task's maps to write; all where empty.
        interval: share of pixels that the bounds of a regression are to hold, 0.5, 0.68, 0.9 or 0.95, of a model of
            quantiles also that between two of its own; None is as the runs say (``task.interval``).
        turns: see each window in its eight turns and flips, and average (`training.turned.Turned`).
        polygons: GeoJSON (longitude and latitude) or GeoParquet (CRS of the scene) to write besides: connected pixels
            of one class, with class, name, area_m2 and mean probability; of two classes only the second.
        min_area: polygons of fewer square metres are left out.
        batch_size: windows at once; None is the run's.
        device: "auto", "cpu", "cuda" or the number of a GPU.
        dem: elevation model, where the run's bands are derived from one.
        aux: further rasters, one or several, where the run's bands are derived from them.
        overwrite: replace what is there.
        plugins: modules to import first.

    Raises:
        RunError: no such run; its task has no maps; the runs do not go together; or the map cannot be written.
        DataError: the scene is missing or damaged, or lacks bands.
    """
    chosen_runs = [runs] if isinstance(runs, str | Path) else list(runs)
    if not chosen_runs:
        raise RunError("no run is named", fix="name one, or several for an ensemble")
    output, place = Path(output).expanduser(), Path(scene).expanduser()
    _check_output(output, place)
    _check_runs(chosen_runs, place)
    target = resolve_device(device, 0)
    members = load_members(chosen_runs, plugins)
    if interval is None:
        require_one_interval(members)
    else:
        members[0].task.interval_of(interval)
    shown = _chosen_layers(members, layers)
    places = files_of(output, shown)
    vectors = None if polygons is None else Path(polygons).expanduser()
    if vectors is None and min_area:
        raise SpectrainError("there are no polygons to leave out", where="--min-area", fix="name a file by --polygons")
    _say_uncalibrated(members)
    _refuse_existing([*places, *([vectors] if vectors else [])], overwrite)
    size = window_of(members, window)
    further = [Path(one) for one in ([aux] if isinstance(aux, str | Path) else aux)]
    scenes = open_map_scenes(
        place,
        [member.trained.meta.get("preparation") for member in members],
        all_bands(members),
        None if dem is None else Path(dem),
        further,
    )
    task, grid = members[0].task, scenes[0].grid
    traced = None
    if vectors is not None:
        traced = Polygons(polygon_layer(vectors, task.layers(len(members)), grid), grid, min_area)
    models = [Member(member, one, str(place), target, turns=turns) for member, one in zip(members, scenes, strict=True)]
    rows, columns = (
        Axis.cover(pixels, side, default_halo(side) if halo is None else halo)
        for pixels, side in zip(grid.size, size, strict=True)
    )
    hparams = members[0].trained.cfg.hparams
    windows = SceneWindows(models, rows, columns, batch_size or hparams.evaluation_batch_size)
    if grid.crs is None:
        log.warning("%s: says not where it lies, so neither does the map", place)
    progress = _Progress(str(place), *grid.size)
    with (
        _clear_memory_errors(),
        block_cache(),
        torch.inference_mode(),
        map_files(places, grid, _tags(members, place)) as files,
    ):
        for strip in windows.strips():
            found = {name: one.cpu().numpy() for name, one in task.maps(strip.values).items()}
            seen = strip.seen.cpu().numpy()
            for file in files:
                file.write(strip.row, found, seen)
            if traced is not None:
                traced.write(strip.row, found, seen)
            progress.rows(seen)
    progress.end()
    for member in models:
        if (doubt := member.units.warning()) is not None:
            log.warning("%s: %s", place, doubt)
    if (share := windows.agreement.share()) > DISAGREEMENT:
        log.warning(
            "neighbouring windows differ by %.0f %% of the map's own deviation where they are joined: their pattern "
            "may be seen; a larger --window (now %d px) brings the map nearer to one pass over the scene",
            100 * share,
            min(size),
        )
    if traced is not None and vectors is not None:
        frame = traced.table()
        write_polygons(frame, vectors)
        log.info("%s: %d polygons", vectors, len(frame))
    return Mapped({path: tuple(layer.name for layer in held) for path, held in places.items()}, vectors)


def _check_output(output: Path, scene: Path) -> None:
    """Refuse what is no place for a GeoTIFF, before anything is loaded."""
    if output.suffix.lower() not in (".tif", ".tiff"):
        raise RunError("a map is a GeoTIFF", where=str(output), fix=f"call it {output.stem}.tif")
    if output.is_dir():
        raise RunError("is a folder", where=str(output), fix=f"name a file, such as {output / 'map.tif'}")
    if output.resolve() == scene.resolve():
        raise RunError("the map would replace the scene", where=str(output), fix="give another -o")


def _check_runs(runs: Sequence[str | Path], scene: Path) -> None:
    """Refuse a raster among the runs, as where `--layers mean lower` came last, of which the second is no layer."""
    for run in map(Path, runs):
        if run.is_file() and run.suffix.lower() in RASTERS:
            raise RunError(
                "is a raster, and stands where runs are named",
                where=str(run),
                fix=f"name runs first and one scene last, here {scene}; --layers is said again for each layer",
            )


def _refuse_existing(paths: Sequence[Path], overwrite: bool) -> None:
    there = [str(path) for path in paths if path.exists()]
    if there and not overwrite:
        raise RunError("is there already", where=", ".join(there), fix="give another -o, or --overwrite to replace it")


def _chosen_layers(members: Sequence[Loaded], names: Sequence[str]) -> tuple[Layer, ...]:
    """Return the layers to write, in the task's order."""
    layers = members[0].task.layers(len(members))
    known = [layer.name for layer in layers]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            fix = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            if len(members) == 1 and name in [layer.name for layer in members[0].task.layers(2)]:
                fix = "it needs several runs: name them all before the scene"
            raise SpectrainError(f"there is no layer {name!r}", where="--layers", fix=fix)
    return tuple(layer for layer in layers if not names or layer.name in names)


def _say_uncalibrated(members: Sequence[Loaded]) -> None:
    """Say that several models' variances are as they give them, where each alone is recalibrated."""
    if len(members) > 1 and not members[0].task.recalibrated and any(_fitted(one) for one in members):
        log.info(
            "each run is recalibrated by itself, not together with the others: variances are as the models give them; "
            "`spectrain train --members %d` makes an ensemble that is recalibrated as one",
            len(members),
        )


def _fitted(member: Loaded) -> bool:
    return member.trained.meta.get("recalibration") is not None


def _tags(members: Sequence[Loaded], scene: Path) -> dict[str, str]:
    """Return what the file says of where it comes from."""
    ids = [f"{member.name}/{member.trained.meta.get('run_id')}" for member in members]
    return {
        "SPECTRAIN_VERSION": __version__,
        "SPECTRAIN_RUNS": ", ".join(ids),
        "SPECTRAIN_TASK": members[0].trained.cfg.task.name,
        "SPECTRAIN_SCENE": scene.name,
    }


@contextmanager
def _clear_memory_errors() -> Iterator[None]:
    """Say what to lower where the device ran out of memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if memory_advice(error) is None:
            raise
        fix = "lower --batch-size, or --window"
        raise RunError("the device ran out of memory", where=first_line(error), fix=fix) from error


class _Progress:
    """Says now and then how far the map is."""

    def __init__(self, name: str, height: int, width: int) -> None:
        self.name, self.height, self.width, self.done, self.seen = name, height, width, 0, 0
        self.begun = self.said = time.monotonic()

    def rows(self, seen: NDArray[np.bool_]) -> None:
        """Count the rows that are finished."""
        self.done += len(seen)
        self.seen += int(seen.sum())
        if time.monotonic() - self.said > SAY_EVERY:
            self.said = time.monotonic()
            left = (self.said - self.begun) / self.done * (self.height - self.done)
            log.info("%3.0f %%, %.2g Mpx/s, %s left", 100 * self.done / self.height, self.rate, duration(left))

    @property
    def rate(self) -> float:
        """Millions of pixels of the scene a second."""
        return self.done * self.width / 1e6 / max(time.monotonic() - self.begun, 1e-9)

    def end(self) -> None:
        """Say what was mapped."""
        total = self.height * self.width
        missing = f", {100 - 100 * self.seen / total:.1f} % of them missing" if self.seen < total else ""
        log.info("%s: %d × %d px mapped%s, %.2g Mpx/s", self.name, self.width, self.height, missing, self.rate)
        if not self.seen:
            log.warning("%s: no pixel has a valid band, so the map is empty", self.name)
