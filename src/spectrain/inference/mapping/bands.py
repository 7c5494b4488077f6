"""Which channels of a scene a model takes, and how their stored values are to be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...core.bands import Band, Bands
from ...core.errors import DataError, nearest

log = logging.getLogger("spectrain")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The channels of a scene that a model takes.

    Attributes:
        channels: their numbers, in the model's order.
        bands: what they are, named as in the training, stored as the scene says.
    """

    channels: tuple[int, ...]
    bands: Bands


def choose_bands(trained: Bands, scene: Bands, where: str) -> Chosen:
    """Return the channels of a scene for a model, by name; by position where one of the two names no bands.

    Where the scene says nothing of how its values are stored (neither scale nor offset, no nodata), they are taken to
    be stored as those of the training were.

    Args:
        trained: the bands of the training.
        scene: the bands of the scene.
        where: the scene, for messages.

    Raises:
        DataError: a band is missing, which names it and the nearest names; or one of another wavelength.
    """
    missing = [name for name in trained.names if name not in scene.names]
    if missing and len(scene) != len(trained) and (_unnamed(scene) or _unnamed(trained)):
        raise _nothing_says_which(trained, scene, where)
    if len(scene) > len(trained) and _unnamed(scene) and _unnamed(trained):
        said = "%s: neither it nor the training names bands, so the first %d of %d are taken"
        log.warning(said, where, len(trained), len(scene))
    if missing and len(scene) == len(trained) and (_unnamed(scene) or _unnamed(trained)):
        said = "the scene" if _unnamed(scene) else "the training"
        log.warning("%s: %s names no bands, so they are taken in order: %s", where, said, ", ".join(trained.names))
        channels = tuple(range(len(scene)))
    elif missing:
        raise _missing(missing, trained, scene, where)
    else:
        channels = tuple(scene.position(name) for name in trained.names)
    found = [scene[channel] for channel in channels]
    bands = Bands(replace(band, name=one.name) for band, one in zip(found, trained, strict=True))
    trained.require(bands, where=where)
    return Chosen(channels, _as_stored(trained, bands, where))


def _unnamed(bands: Bands) -> bool:
    return bands.names == Bands.unnamed(len(bands)).names


def _missing(missing: Sequence[str], trained: Bands, scene: Bands, where: str) -> DataError:
    near = [(name, close[0]) for name in missing if (close := nearest(name, scene.names))]
    alike = "; ".join(f"{name!r} may be {close!r}" for name, close in near)
    count = "" if len(scene) == len(trained) else f" of {len(trained)}"
    fix = (f"{alike}; " if near else "") + f"the scene has {', '.join(scene.names)}"
    return DataError(
        f"the scene lacks {len(missing)}{count} bands that the model was trained on: {', '.join(missing)}",
        where=where,
        fix=fix,
    )


def _nothing_says_which(trained: Bands, scene: Bands, where: str) -> DataError:
    """Return the error for bands of another number that are not told by names."""
    if _unnamed(trained):
        known, order = " without names", "the order of the training"
    else:
        known, order = f": {', '.join(trained.names)}", "this order, or describe the scene's bands by these names"
    return DataError(
        f"the scene has {len(scene)} bands{' without names' * _unnamed(scene)}, and the model was trained on "
        f"{len(trained)}{known}",
        where=where,
        fix=f"give a scene of the {len(trained)} bands in {order}",
    )


def _as_stored(trained: Bands, scene: Bands, where: str) -> Bands:
    """Return the scene's bands, with the training's scale, offset and nodata where the scene says nothing of them."""
    plain = [(band.scale, band.offset) == (1.0, 0.0) for band in scene]
    scaled = [(band.scale, band.offset) != (1.0, 0.0) for band in trained]
    if all(plain) and any(scaled):
        log.info("%s: says nothing of scale and offset; those of the training are taken", where)
        scene = Bands(_like(one, band) for one, band in zip(trained, scene, strict=True))
    silent = all(band.nodata is None for band in scene)
    if silent and any(band.nodata is not None for band in trained):
        scene = Bands(replace(band, nodata=one.nodata) for one, band in zip(trained, scene, strict=True))
    return scene


def _like(trained: Band, scene: Band) -> Band:
    return replace(scene, scale=trained.scale, offset=trained.offset)
