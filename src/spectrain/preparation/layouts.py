"""Where the scenes and labels of each preset are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import DataError, perhaps_beside
from .options import Kind, PrepareOptions
from .patterns import SceneFiles, beside, find_scenes
from .points.dealt import POINTS
from .vectors import is_vector

PLANET_LABELS = "*/TrainingLabel*.gpkg"
PLANET_FOOTPRINTS = "*/ImageFootprints*.gpkg"
FOOTPRINTS = "footprints"
"""Value of ``extent``: what was labelled of a scene is what these say."""


def scenes_of(kind: Kind, options: PrepareOptions) -> tuple[list[SceneFiles], list[Path]]:
    """Return the scenes, sorted by name, and the vector files of all scenes' labels.

    Raises:
        DataError: there are none, or files are missing.
    """
    root = Path(options.data_dir or "").expanduser().absolute()
    if kind == "s2":
        return _s2(root, options), []
    if kind == "planet" and options.labels is None:
        return _planet(root, options), planet_labels(options)
    scenes = _planet(root, options) if kind == "planet" else find_scenes(root, options.images)
    scenes = [_with_quality(root, options, scene) for scene in scenes]
    if options.labels in (None, POINTS):
        return scenes, []
    assert options.labels is not None
    whole = (Path(options.labels_dir or "").expanduser() / Path(options.labels).expanduser()).absolute()
    if "{scene}" not in options.labels and is_vector(whole):
        beside_scenes = root / Path(options.labels).expanduser()
        return scenes, [whole if options.labels_dir or whole.exists() or not beside_scenes.exists() else beside_scenes]
    where = Path(options.labels_dir).expanduser().absolute() if options.labels_dir else root
    scenes = [replace(scene, label=beside(where, options.labels, scene)) for scene in scenes]
    labels = {scene.label for scene in scenes}
    # where scenes are all rasters of a folder, the labels among them are none
    return [scene for scene in scenes if not labels & {path for _, path in scene.images}], []


def _with_quality(root: Path, options: PrepareOptions, scene: SceneFiles) -> SceneFiles:
    return scene if options.quality is None else replace(scene, quality=beside(root, options.quality, scene))


def _s2(root: Path, options: PrepareOptions) -> list[SceneFiles]:
    """Return scenes of ``*/*_SR*.tif`` with ``*_SCL*.tif`` and the shapefile of the tile beside them."""
    found = []
    for scene in find_scenes(root, options.images):
        scene = _with_quality(root, options, scene)
        if options.labels == POINTS:
            found.append(scene)
            continue
        if options.labels is not None:
            found.append(replace(scene, label=beside(root, options.labels, scene)))
            continue
        shapes = sorted(scene.images[0][1].parent.glob("*.shp"))
        if len(shapes) > 1:  # the one of the Sentinel-2 tile, by whose id the scene's name ends
            shapes = [path for path in shapes if scene.name.endswith(path.stem) or path.stem.endswith(scene.name)]
        found.append(replace(scene, label=shapes[0] if len(shapes) == 1 else None))
    return found


def _planet(root: Path, options: PrepareOptions) -> list[SceneFiles]:
    """Return scenes of ``*_SR.tif`` or ``*_SR_clip.tif`` at any depth, each called as its folder."""
    scenes = find_scenes(root, options.images)
    _expect_once(scenes)
    return [_with_quality(root, options, scene) for scene in scenes]


def _expect_once(scenes: Sequence[SceneFiles]) -> None:
    for scene in scenes:
        if len(scene.images) > 1:
            raise DataError(
                f"the scene {scene.name!r} is there twice",
                where=f"{scene.images[0][1]} and {scene.images[1][1]}",
                fix="take one of them out",
            )


def planet_labels(options: PrepareOptions) -> list[Path]:
    """Return the files of labels below ``labels_dir``; none where it is not given.

    Raises:
        DataError: there are none in it.
    """
    if options.labels_dir is None:
        return []
    folder = Path(options.labels_dir).expanduser().absolute()
    found = sorted(folder.glob(PLANET_LABELS))
    if not found:
        raise DataError(f"no file matches {PLANET_LABELS}", where=str(folder), fix="correct labels-dir")
    return found


def planet_footprints(options: PrepareOptions) -> list[Path]:
    """Return the files below ``labels_dir`` that say what was labelled of each scene; often there are none."""
    if options.labels_dir is None or options.extent != FOOTPRINTS:
        return []
    return sorted(Path(options.labels_dir).expanduser().absolute().glob(PLANET_FOOTPRINTS))


def point_files(options: PrepareOptions) -> list[Path]:
    """Return the files of points: from where one stands, or in the folder of the scenes; patterns in their order.

    Raises:
        DataError: one is not there, or nothing matches a pattern.
    """
    roots = [Path.cwd(), *([] if options.data_dir is None else [Path(options.data_dir).expanduser().absolute()])]
    found: list[Path] = []
    for written in options.points:
        path = Path(written).expanduser()
        pattern = any(sign in written for sign in "*?[")
        for root in roots:
            place = Path(path.anchor) if path.is_absolute() else root
            new = sorted(place.glob(str(path.relative_to(path.anchor)))) if pattern else [place / path]
            if new := [one for one in new if one.is_file()]:
                break
        else:
            raise DataError(
                "there is no such file of points" + perhaps_beside(path),
                where=written,
                fix="correct points; a path counts from where you stand, or from data-dir",
            )
        found += new
    return list(dict.fromkeys(found))
