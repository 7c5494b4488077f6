"""What is wrong with the options of a view, all of it at once, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..config.coerce import Misfit, coerce
from ..config.option import options_of
from ..core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from .warp_augmentation import WarpAugmentation


def check(config: WarpAugmentation.Config, bands: int) -> None:
    """Raise a `ConfigError` with every option that is out of range, or that excludes another.

    Ranges are checked here too, for those who make a `Config` in Python.
    """
    found = [*_out_of_range(config)] or [*_excluding(config, bands)]
    if problems := [Problem(f"augmentation.{key}", "augmentation=warp", what, fix) for key, what, fix in found]:
        raise ConfigError(problems)


def _out_of_range(config: WarpAugmentation.Config) -> Iterator[tuple[str, str, str | None]]:
    """Yield key, what is wrong and how to mend it, of each option by itself."""
    for name, option in options_of(type(config)).items():
        try:
            coerce(getattr(config, name), option)
        except Misfit as misfit:
            yield name, misfit.what, misfit.fix
    if config.scale >= 1:
        yield "scale", f"must be less than 1, not {config.scale}", "at 1 an image would shrink to nothing"
    for name in ("brightness", "contrast", "speckle"):
        if (value := getattr(config, name)) >= 1:
            yield name, f"must be less than 1, not {value}", "at 1 an image may turn black"
    if config.band_dropout >= 1:
        yield "band_dropout", f"must be less than 1, not {config.band_dropout}", "at 1 nothing would be left to see"


def _excluding(config: WarpAugmentation.Config, bands: int) -> Iterator[tuple[str, str, str | None]]:
    """Yield the same, of options that do not fit each other or the bands."""
    if config.jitter > 0 and config.crop is None:
        yield "jitter", "there is no window whose centre could move", "set augmentation.crop, or use augmentation.shift"
    if config.size is not None and config.crop is not None:
        fix = "set augmentation.crop=null (a window that is not zoomed) or augmentation.size=null (one that is)"
        yield "size", f"a view cannot be a window of {config.size} px and the crop of {config.crop} px, zoomed", fix
    if isinstance(config.size, list) and len(config.size) != 2:
        yield "size", f"must be one number or two, not {len(config.size)}", "write [height, width]"
    if isinstance(config.shift, list) and len(config.shift) != 2:
        yield "shift", f"must be one number or two, not {len(config.shift)}", "write [y, x]"
    if isinstance(config.noise, list) and len(config.noise) != bands:
        yield "noise", f"has {len(config.noise)} numbers for {bands} bands", "write one number, or one a band"
    if config.published and config.corners != "zero":
        yield "published", "the published form has zero corners", "set augmentation.corners=zero"
    if config.dihedral:
        moves = {
            "crop": config.crop is not None,
            "shift": any(config.shift) if isinstance(config.shift, list) else config.shift != 0,
            "scale": config.scale != 0,
            "rotate": not isinstance(config.rotate, bool) and config.rotate != 0,
        }
        for key in (key for key, moved in moves.items() if moved):
            fix = "write true (quarter turns) or false" if key == "rotate" else "leave it at its default"
            yield key, "interpolates, which augmentation.dihedral=true excludes", fix
