"""Where a run lives: names without races between processes, and the places of its files."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.atomic import disk_errors
from ..core.errors import RunError
from .info import FILE

if TYPE_CHECKING:
    from ..config.schema import Config

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
CHECKPOINTS = "checkpoints"
ENSEMBLE, MEMBERS = "ensemble.json", "members.json"
"""Files of a folder of several models: what it is made of, and how many are to be trained in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that belongs to one run, and the run's names."""

    folder: Path
    run_name: str
    run_id: str


def claim_folder(cfg: Config) -> Place:
    """Make the folder of a new run.

    ``{artifact_dir}/{run_name}/{run_id}``; with a trial name ``{artifact_dir}/{trial_name}/{run_name}-{run_id}``; with
    ``out_dir`` that folder itself. Making a folder succeeds in one process only, so no two runs share one.

    Raises:
        RunError: a name is not one folder name, the folder holds another run already, or it cannot be made.
    """
    run_name = plain_name("run_name", cfg.run_name or default_name(cfg))
    given = plain_name("run_id", cfg.run_id) if cfg.run_id else None
    while True:
        run_id = given or random_id()
        folder = _folder(cfg, run_name, run_id)
        if _claim(folder):
            return Place(folder, run_name, run_id)
        if given or cfg.out_dir:
            other = "choose another " + ("out_dir" if cfg.out_dir else "run_id")
            if not (folder / FILE).exists():
                raise RunError(
                    "a run is beginning in the folder, or was killed as it began",
                    where=str(folder),
                    fix=f"{other}; or remove {folder / CHECKPOINTS} where no process is at it",
                )
            raise RunError(
                "the folder holds a run already",
                where=str(folder),
                fix=f"go on with that run by --resume {folder}, or {other}",
            )


def claimed_folder(cfg: Config) -> Path:
    """Return a folder for several runs of one configuration, where a run of it would be; nothing is made.

    Raises:
        RunError: there is something in it, or a name is not one folder name.
    """
    run_name = plain_name("run_name", cfg.run_name or default_name(cfg))
    folder = _folder(cfg, run_name, plain_name("run_id", cfg.run_id) if cfg.run_id else random_id())
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(
            "the folder is not empty",
            where=str(folder),
            fix=f"go on with what is in it by --resume {folder}, or choose another out_dir or run_id",
        )
    return folder


def _folder(cfg: Config, run_name: str, run_id: str) -> Path:
    if cfg.out_dir:
        return Path(cfg.out_dir).absolute()
    parent = Path(cfg.artifact_dir).absolute()
    if cfg.trial_name:
        return parent / plain_name("trial_name", cfg.trial_name) / f"{run_name}-{run_id}"
    return parent / run_name / run_id


def _claim(folder: Path) -> bool:
    """Make the folder; return whether it is this process's alone."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / FILE).exists():
            return False
        try:
            # an out_dir of the user's may be there before; this one is made by exactly one process
            (folder / CHECKPOINTS).mkdir()
        except FileExistsError:
            return False
    return True


def release_folder(folder: Path) -> None:
    """Give back a folder that was claimed and in which no run began: what was claimed and written goes."""
    with suppress(OSError):
        (folder / CHECKPOINTS).rmdir()
    with suppress(OSError):
        (folder / "config.yaml").unlink()


def find_folder(path: Path | str) -> Path:
    """Return the run folder that ``path`` is, or that the checkpoint ``path`` lies in.

    Raises:
        RunError: there is no run there.
    """
    path = Path(path).absolute()
    for folder in (path, path.parent, path.parent.parent) if path.is_file() else (path,):
        if (folder / FILE).is_file():
            return folder
    if path.is_file():
        what, fix = "the file does not lie in a run folder", "give the run folder itself"
    elif (path / ENSEMBLE).is_file():
        what, fix = "this is an ensemble of several runs, and one is wanted", "give one of its members"
    elif (path / MEMBERS).is_file():
        what = "the members of this ensemble are not all trained yet"
        fix = f"go on with them by `spectrain train --resume {path}`, or give one of its members"
    elif path.is_dir():
        what, fix = "this is not a run folder: it has no run.json", "give the folder with run.json in it"
    else:
        what, fix = "there is no such run", "give a run folder or a checkpoint in it"
    raise RunError(what, where=str(path), fix=fix)


def default_name(cfg: Config) -> str:
    """Return "{recipe}-{model}" as a folder name: runs of one name differ in options or seed, not in kind.

    A model that comes in sizes has the name of its size, which may say the recipe already: "mae_tiny".
    """
    model = size_name(cfg) or cfg.model.name
    parts = [str(part) for part in (cfg.recipe, model) if part]
    if model.startswith(f"{cfg.recipe}_"):
        parts = [model]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(dict.fromkeys(parts))).lstrip(".") or "run"


def size_name(cfg: Config) -> str | None:
    """Return what the model's sizes are called ("mae_large"); None where it has no such name."""
    size: str | None = getattr(cfg.model, "variant", None)
    return None if size == "custom" else size


def random_id() -> str:
    """Return eight random letters and digits; an identity, not a part of the experiment's randomness."""
    number = int.from_bytes(os.urandom(8), "big")
    return "".join(ALPHABET[number // 36**place % 36] for place in range(8))


def plain_name(key: str, name: str) -> str:
    """Return ``name`` if it can name one folder; else a `RunError` says why not."""
    name = str(name)
    if name in ("", ".", "..") or any(letter in name for letter in "/\\\0") or len(name.encode()) > 200:
        raise RunError(
            f"{name!r} cannot be the name of a folder", where=key, fix="use letters, digits, '.', '_' and '-'"
        )
    return name
