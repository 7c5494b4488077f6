"""`spectrain prepare`: scenes to patches, scene by scene; killed at any moment, the same command goes on."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.atomic import atomic_write, disk_errors, remove_leftovers
from ..core.errors import DataError
from ..data.ground import footprints
from .assemble import NPY, Rowset, by_split, write_npy, write_zarr
from .assign import SPLITS
from .execute import execute
from .job import Job
from .layouts import scenes_of
from .made import Prepared
from .options import EARTH_ENGINE, PATCHES, Kind, PrepareOptions
from .parts import OF_SCENES, Part, part_key
from .patch_sets import prepare_patches
from .plan import Plan, make_plan
from .points.dealt import DealtPoints, deal
from .progress import Progress
from .resolve import expect_kind, kind_of, resolve, resolve_patches
from .written import config_text, labels_text

log = logging.getLogger("spectrain")
MANIFEST, PARTS = "prepared.json", ".parts"
FORMAT, VERSION = "spectrain.prepared", 1


def prepare(
    kind: str = "scenes",
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    flags: Sequence[str] = (),
    **options: Any,
) -> Prepared:
    """Make patches with splits of scenes and labels, as `spectrain prepare` does.

    A scene that fails is named in the result, and the others go on; the same call again does those alone.

    Args:
        kind: "scenes", "s2", "planet", or "patches" that are there already.
        config: options file; of TOML [spectrain] and [darts] are read.
        overrides: ``key=value`` words.
        flags: ``--key value`` words.
        options: options by name.

    Raises:
        ConfigError: names every wrong option.
        DataError: no scene can be used, a region or split is unknown, the disk is full, or the folder holds patches
            that were prepared otherwise.
    """
    expect_kind(kind)
    if kind == PATCHES:
        return prepare_patches(*resolve_patches(config, overrides, flags, options))
    resolved = resolve(kind, config, overrides, flags, options)
    return prepare_scenes(kind_of(kind), resolved)


def prepare_scenes(kind: Kind, options: PrepareOptions) -> Prepared:
    """Make patches with options that are complete; see `prepare`."""
    if any(getattr(options, name) is not None for name in EARTH_ENGINE):
        log.info("ee-project is accepted and left alone: nothing is downloaded; give rasters with tcvis-dir")
    scenes, vectors = scenes_of(kind, options)
    plan = make_plan(kind, options, scenes, vectors)
    folder = Path(options.train_data_dir or "").expanduser()
    parts = (Path(options.preprocess_cache).expanduser() if options.preprocess_cache else folder / PARTS).absolute()
    with disk_errors(folder, OF_SCENES):
        folder.mkdir(parents=True, exist_ok=True)
        parts.mkdir(parents=True, exist_ok=True)
    _expect_ours(folder, plan)
    jobs, failed = _jobs(plan, parts)
    failed = {**plan.failed, **failed}
    key = plan.output_key([job.folder.name for job in jobs])
    before = _manifest(folder)
    _remove_leftovers(folder)
    if before and before.get("output") == key and before.get("complete") and not failed and _whole(folder, before):
        log.info("%s is complete: nothing to do", folder)
        return _told(folder, before)
    dealt = _dealt(plan, jobs, (folder / PARTS).absolute())  # not in a cache, which others may share
    if dealt is not None:
        jobs = [replace(job, points=dealt.of(job.files.name)) for job in jobs]
    failed |= _work(jobs, options)
    done = [part for job in jobs if job.files.name not in failed and (part := Part.find(job.folder)) is not None]
    if not done:
        some = next(iter(failed.items()), ("", "nothing was found"))
        raise DataError(
            f"none of {len(scenes)} scenes could be prepared; {some[0]}: {some[1]}", where=str(options.data_dir)
        )
    names = [job.folder.name for job in jobs if job.files.name not in failed]
    said = () if dealt is None else dealt.lines
    prepared = _assemble(kind, options, plan, folder, done, failed, plan.output_key(names), said)
    if not failed:
        shutil.rmtree(folder / PARTS, ignore_errors=True)
    return prepared


def _jobs(plan: Plan, parts: Path) -> tuple[list[Job], dict[str, str]]:
    """Return a job a scene, and the scenes whose files are gone."""
    jobs, failed = [], {}
    for leftover in parts.glob(".*.partial-*") if not plan.options.preprocess_cache else ():
        shutil.rmtree(leftover, ignore_errors=True)
    for scene in plan.scenes:
        try:
            jobs.append(replace(plan.job(scene), folder=parts / part_key(plan.part_record(scene), plan.files(scene))))
        except DataError as error:
            failed[scene.name] = str(error)
    return jobs, failed


def _dealt(plan: Plan, jobs: Sequence[Job], parts: Path) -> DealtPoints | None:
    """Return the points by scene, where labels are points."""
    if plan.labels is None or plan.labels.points is None or not jobs:
        return None
    return deal(plan.labels.points, {job.files.name: plan.grids[job.files.name] for job in jobs}, parts)


def _work(jobs: Sequence[Job], options: PrepareOptions) -> dict[str, str]:
    """Do what is not done; return what failed."""
    waiting = [job for job in jobs if Part.find(job.folder) is None]
    by_name = {job.files.name: job for job in waiting}
    failed: dict[str, str] = {}
    progress = Progress(len(jobs), len(jobs) - len(waiting))
    if len(waiting) < len(jobs):
        log.info("%s of %s scenes are there already", len(jobs) - len(waiting), len(jobs))
    try:
        workers = options.workers or options.dask_worker or 1
        for outcome in execute(waiting, workers=workers, scheduler=options.scheduler):
            if outcome.fatal:
                raise DataError(outcome.error or "")
            if outcome.error is not None:
                failed[outcome.name] = outcome.error
                log.warning("%s failed: %s", outcome.name, outcome.error)
            part = Part.find(by_name[outcome.name].folder)
            progress.step(len(part) if part else 0, outcome.error is not None)
    except KeyboardInterrupt:
        log.info("give the same command again: it goes on where it stood")
        raise
    finally:
        progress.close()
    return {job.files.name: failed[job.files.name] for job in jobs if job.files.name in failed}


def _assemble(
    kind: Kind,
    options: PrepareOptions,
    plan: Plan,
    folder: Path,
    parts: Sequence[Part],
    failed: Mapping[str, str],
    key: str,
    before_all: Sequence[str] = (),
) -> Prepared:
    """Write what the folder is for; the manifest says when all is there."""
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part.about["dropped"])
    rowsets = by_split(parts, plan.assignment, options, dropped)
    if not rowsets:
        reasons = ", ".join(f"{count} patches: {why}" for why, count in sorted(dropped.items()))
        raise DataError(
            f"no patch is left ({reasons})", where=str(options.data_dir), fix="see the options that leave patches out"
        )
    before = _manifest(folder)
    if before is None or before.get("output") != key:
        _remove_outputs(folder)
        _write_manifest(folder, {"options": plan.options_key, "output": key, "complete": False})
    record = plan.record.to_json()
    write = write_zarr if options.format == "zarr" else write_npy
    lines = [*plan.lines, *before_all, *_counted(parts, options)]
    lines += write(folder, rowsets, parts, plan.record.bands, record, options)
    patches = {name: len(rowset.table) for name, rowset in rowsets.items()}
    _write_beside(kind, options, plan, folder, parts, rowsets)
    about = {
        "options": plan.options_key,
        "output": key,
        "complete": not failed,
        "patches": patches,
        "dropped": dict(sorted(dropped.items())),
        "failed": dict(failed),
        "lines": lines,
        "scenes": {part.about["scene"]: plan.assignment.split_of.get(part.about["scene"], "") for part in parts},
    }
    _write_manifest(folder, about)
    return _told(folder, about)


def _write_beside(
    kind: Kind,
    options: PrepareOptions,
    plan: Plan,
    folder: Path,
    parts: Sequence[Part],
    rowsets: Mapping[str, Rowset],
) -> None:
    split_of, patches = plan.assignment.split_of, {name: len(rowset.table) for name, rowset in rowsets.items()}
    used = [
        (split_of[part.about["scene"]], file, rows)
        for part in parts
        if part.about["scene"] in split_of
        for file, rows in part.about["polygons"]
    ]
    blocked = {} if options.blocks is None else {name: footprints(rowset.table) for name, rowset in rowsets.items()}
    text = labels_text(used, blocked)
    if text is not None:
        atomic_write(folder / "labels.geojson", text, OF_SCENES)
    atomic_write(folder / "config.toml", config_text(kind, options, plan.record.bands, patches), OF_SCENES)


def _counted(parts: Sequence[Part], options: PrepareOptions) -> list[str]:
    """Return lines on what was done to scenes."""
    padded = sum(part.about["padded"] for part in parts)
    by_file: dict[str, int] = {}
    for part in parts:
        by_file |= part.about["mended"]
    mended = sum(by_file.values())
    lines = []
    counted = [part.about["points"] for part in parts if "points" in part.about]
    if counted:
        points, held = (sum(one) for one in zip(*counted, strict=True))
        merged = f", {points - held} of them in one with another: the {options.points_merge} counts"
        bare = sum(not one[0] for one in counted)
        lacking = f"; {bare} of {len(parts)} scenes have none" if bare else ""
        lines.append(f"points lie in {held} pixels" + (merged if points > held else "") + lacking)
    if padded:
        lines.append(f"{padded} patches are larger than their scene: what is beyond it is missing in them")
    if mended:
        lines.append(f"{mended} polygons were not valid and were mended")
    polygons = [(file, rows) for part in parts for file, rows in part.about["polygons"]]
    without = sum(
        bool(part.about["polygons"]) and not any(rows for _, rows in part.about["polygons"]) for part in parts
    )
    if 0 < without < len(parts):
        lines.append(f"{without} scenes have no label polygon: all of them is background")
    if polygons and not any(rows for _, rows in polygons):
        lines.append(
            f"no label polygon lies in any scene, so all is background: see the place, the coordinate system and the "
            f"scenes' names in {polygons[0][0]}"
        )
    return lines


def _expect_ours(folder: Path, plan: Plan) -> None:
    """Raise where the folder holds patches that were prepared otherwise, or something that is not ours."""
    before = _manifest(folder)
    names = [f"{split}.zarr" for split in SPLITS] + ["images", "labels"]
    there = [name for name in names if (folder / name).exists()]
    if before is None and there:
        raise DataError(
            f"there is {there[0]} already, which was not prepared here",
            where=str(folder),
            fix="choose another train-data-dir, or remove it",
        )
    if before is not None and before.get("options") != plan.options_key:
        raise DataError(
            "the folder holds patches that were prepared with other options",
            where=str(folder),
            fix="choose another train-data-dir, or remove this one",
        )


def _manifest(folder: Path) -> dict[str, Any] | None:
    """Return what the folder says of itself; None where it says nothing."""
    path = folder / MANIFEST
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        tag = found["format"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"the file is damaged: {error}", where=str(path), fix="remove the folder") from error
    if tag.get("name") != FORMAT or tag.get("version", 0) > VERSION:
        raise DataError(
            f"the folder was prepared by a newer spectrain: format {tag}", where=str(path), fix="update spectrain"
        )
    return found


def _write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    record = {"format": {"name": FORMAT, "version": VERSION}, **content}
    atomic_write(folder / MANIFEST, json.dumps(record, indent=1, ensure_ascii=False) + "\n", OF_SCENES)


def _remove_outputs(folder: Path) -> None:
    """Remove what an earlier preparation of other scenes wrote."""
    for name in [f"{split}.zarr" for split in SPLITS] + ["images", "labels"]:
        shutil.rmtree(folder / name, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed process had not finished."""
    remove_leftovers(folder)
    for leftover in (*folder.glob(".*.zarr.partial-*"), folder / ".npy-partial"):
        shutil.rmtree(leftover, ignore_errors=True)


def _whole(folder: Path, about: Mapping[str, Any]) -> bool:
    """Say whether all that the manifest speaks of is there."""
    if (folder / "patches.parquet").exists():
        return all((folder / "images" / NPY[name]).is_dir() for name in about["patches"])
    return all((folder / f"{name}.zarr").is_dir() for name in about["patches"])


def _told(folder: Path, about: Mapping[str, Any]) -> Prepared:
    return Prepared(folder, about["patches"], about["dropped"], about["failed"], tuple(about["lines"]))
