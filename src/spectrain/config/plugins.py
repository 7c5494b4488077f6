"""Plugins: modules that register parts when they are imported.

They come from the command line, a Python call, or the entry points of installed packages. Never from a configuration,
a run or a checkpoint: those must not be able to run code.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ..core.errors import ConfigError, Problem, SpectrainError

ENTRY_POINTS = "spectrain.plugins"

_loaded: dict[str, None] = {}


def load_plugins(plugins: Sequence[str | Path] = ()) -> None:
    """Import installed plugins, then those named; each once in a process.

    Args:
        plugins: names of modules, or paths of ``.py`` files.

    Raises:
        ConfigError: one cannot be found or fails while it is imported; the failure is its cause.
    """
    for point in _installed():
        try:
            point.load()
        except Exception as error:
            package = f"installed package {point.dist.name if point.dist else point.value}"
            raise ConfigError([_failure(f"plugin {point.name}", package, error)]) from error
    for plugin in plugins:
        try:
            _load(str(plugin))
        except Exception as error:
            raise ConfigError([_failure(f"--plugin {plugin}", "command line", error)]) from error
        _loaded[placed(plugin)] = None


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """Return the entry points of all installed packages; the text of each package is read to find them, 15 ms."""
    return tuple(entry_points(group=ENTRY_POINTS))


def loaded_plugins() -> list[str]:
    """Return what was named and imported so far, in order, to be named to processes that this one starts."""
    return list(_loaded)


def placed(plugin: str | Path) -> str:
    """Return a plugin as another folder finds it too: a file by its absolute path, a module by its name."""
    return str(Path(plugin).absolute()) if str(plugin).endswith(".py") else str(plugin)


def _failure(key: str, origin: str, error: Exception) -> Problem:
    if isinstance(error, SpectrainError):
        return Problem(key, origin, error.what, error.fix)
    if isinstance(error, ModuleNotFoundError):
        return Problem(key, origin, f"cannot be found: {error}", "name an installed module, or a file that ends in .py")
    return Problem(key, origin, f"fails while it is imported: {type(error).__name__}: {error}")


def _load(plugin: str) -> None:
    if not plugin.endswith(".py"):
        importlib.import_module(plugin)
        return
    path = Path(plugin).resolve()
    if not path.is_file():
        raise SpectrainError(f"there is no file {plugin}")
    name = f"spectrain_plugin_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpectrainError(f"{plugin} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
