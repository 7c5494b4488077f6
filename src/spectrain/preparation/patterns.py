"""Which files a scene is made of, by patterns such as ``a=scenes_2019/{scene}.tif``.

``{scene}`` stands for the scene's name, the same in all patterns; ``*``, ``**`` and ``?`` as in a shell; of
``one|other`` the first counts that a scene has. Where no pattern has ``{scene}``, the files of a folder are one scene,
called as the folder. Letters before ``=`` are a prefix of the bands' names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..core.errors import DataError, perhaps_beside

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img")
_PREFIX = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PART = re.compile(r"\{scene\}|\*\*/|\*\*|\*|\?|[^{*?]+|\{")


@dataclass(frozen=True)
class Pattern:
    """One pattern.

    Attributes:
        prefix: of the bands' names, or "".
        text: the pattern, with forward slashes, relative to a folder.
    """

    prefix: str
    text: str

    @classmethod
    def read(cls, written: str) -> Pattern:
        """Read ``pattern`` or ``prefix=pattern``."""
        found = _PREFIX.fullmatch(written)
        return cls(found[1], found[2]) if found else cls("", written)

    @property
    def named(self) -> bool:
        """The pattern says what the scene is called."""
        return "{scene}" in self.text

    def files(self, root: Path, scene: str | None = None) -> dict[str, list[Path]]:
        """Return the files below a folder that match, by scene, in the order of their paths.

        Args:
            root: the folder.
            scene: look for this one alone; without ``{scene}`` it does not matter.
        """
        found: dict[str, list[Path]] = {}
        for text in self.text.split("|"):
            new: dict[str, list[Path]] = {}
            for path in sorted(root.glob(text.replace("{scene}", "*" if scene is None else _literal(scene)))):
                match = _expression(text, scene).fullmatch(path.relative_to(root).as_posix())
                if match is not None and path.is_file() and not path.name.startswith("."):
                    name = match["scene"] if self.named else (path.parent.name or root.resolve().name)
                    new.setdefault(name, []).append(path)
            found = new | found
        return found

    def place(self, path: Path) -> tuple[Path, str] | None:
        """Return the folder that the pattern is relative to, and the scene of a file; None where it does not match."""
        parts = path.absolute().parts
        for text in self.text.split("|"):
            depth = text.count("/") + 1
            for count in range(1, len(parts)) if "**" in text else [depth]:
                match = _expression(text).fullmatch("/".join(parts[-count:])) if count < len(parts) else None
                if match is not None:
                    name = match["scene"] if self.named else path.absolute().parent.name
                    return Path(*parts[:-count]), name
        return None


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene.

    Attributes:
        name: of the scene.
        images: (prefix, path).
        quality: the quality mask, or None.
        label: raster or vector file of its labels, or None.
    """

    name: str
    images: tuple[tuple[str, Path], ...]
    quality: Path | None = None
    label: Path | None = None


def find_scenes(root: Path, written: Sequence[str]) -> list[SceneFiles]:
    """Return the scenes below a folder, sorted by name.

    Args:
        root: the folder.
        written: patterns; none takes the rasters in the folder, a scene each, else the folders in it, a scene each.

    Raises:
        DataError: there is no such folder, nothing matches, or a scene lacks files that others have.
    """
    if not root.is_dir():
        raise DataError("there is no such folder" + perhaps_beside(root), where=str(root), fix="correct data-dir")
    patterns = [Pattern.read(one) for one in written or default_patterns(root)]
    found = [pattern.files(root) for pattern in patterns]
    for pattern, files in zip(patterns, found, strict=True):
        if not files:
            raise DataError(
                f"no file matches {pattern.text!r}",
                where=str(root),
                fix="correct images, e.g. images='{scene}.tif' or images='{scene}/*.tif'",
            )
    names = sorted(set().union(*found))
    scenes = []
    for name in names:
        lacking = [pattern.text for pattern, files in zip(patterns, found, strict=True) if name not in files]
        if lacking and any(pattern.named for pattern in patterns):
            raise DataError(
                f"the scene {name!r} has no file {lacking[0]!r}, others have",
                where=str(root),
                fix="add it, take the scene out, or correct images",
            )
        images = [(p.prefix, path) for p, files in zip(patterns, found, strict=True) for path in files.get(name, ())]
        scenes.append(SceneFiles(name, tuple(images)))
    return scenes


def default_patterns(root: Path) -> list[str]:
    """Return the patterns of a folder of rasters, or of a folder of folders of rasters."""
    for start in ("images/", ""):
        folder = root / start
        if folder.is_dir() and (kinds := _suffixes(folder)):
            return [f"{start}{{scene}}{kinds[0]}"]
    inner = [kinds for folder in sorted(root.iterdir()) if folder.is_dir() and (kinds := _suffixes(folder))]
    if inner:
        return [f"{{scene}}/*{inner[0][0]}"]
    raise DataError(
        "there is no raster in this folder, nor in the folders in it",
        where=str(root),
        fix="correct data-dir, or say with images where they are, e.g. images='*/{scene}.tif'",
    )


def beside(root: Path, pattern: str, scene: SceneFiles) -> Path | None:
    """Return the file of a scene that a pattern names: below the root, else beside or below the scene's own files.

    Raises:
        DataError: several files match.
    """
    read = Pattern("", pattern)
    if read.named:
        found = read.files(root, scene.name).get(scene.name, [])
    else:
        folders = dict.fromkeys([path.parent for _, path in scene.images])
        found = [path for folder in folders for paths in read.files(folder).values() for path in paths]
        found = found or [path for paths in read.files(root).values() for path in paths]
    if len(found) > 1:
        raise DataError(
            f"{len(found)} files match {pattern!r} for the scene {scene.name!r}: {found[0].name}, {found[1].name}",
            where=str(root),
            fix="write a pattern that only one matches",
        )
    return found[0] if found else None


def rasters_in(place: str | Path, what: str) -> list[Path]:
    """Return a raster, or the rasters of a folder and below.

    Raises:
        DataError: there are none.
    """
    path = Path(place).expanduser()
    found = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError("there is no raster here", where=str(path), fix=f"correct {what}")
    return found


@cache
def _expression(text: str, scene: str | None = None) -> re.Pattern[str]:
    """Return what relative paths match, with a group ``scene``; of one scene alone where it is given."""
    out, seen = "", False
    for part in _PART.findall(text):
        if part == "{scene}":
            out += "(?P=scene)" if seen else f"(?P<scene>{'[^/]+?' if scene is None else re.escape(scene)})"
            seen = True
        else:
            shell = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
            out += shell.get(part) or re.escape(part)
    return re.compile(out)


def _suffixes(folder: Path) -> list[str]:
    return [one.suffix for one in sorted(folder.iterdir()) if one.suffix.lower() in SUFFIXES and one.is_file()]


def _literal(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)
