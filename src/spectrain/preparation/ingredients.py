"""What bands a scene can give: those of its files, and those that are made of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.bands import Band, Bands
from ..core.errors import DataError, nearest
from ..data.band_table import read_band_table
from ..data.raster.geotiff import BANDS
from ..data.raster.rasters import Raster, read_raster, resolution
from .formulas import Formula

ROLES: dict[str, tuple[str, ...]] = {
    "blue": ("B02", "B2"),
    "green": ("B03", "B3"),
    "red": ("B04", "B4"),
    "nir": ("B08", "B8"),
    "swir1": ("B11",),
    "swir2": ("B12",),
}
"""Names that formulas use, and what Sentinel-2 calls these bands."""
BUILT_IN = {"ndvi": "max(-1, min(1, (nir-red)/(nir+red))) in -1..1"}
"""Formulas that are there without being given."""
TERRAIN = {"relative_elevation": (-200.0, 200.0), "slope": (0.0, 90.0)}
"""Bands made of the elevation, and the range that they are stored in."""
TASSELLED_CAP = ("tc_brightness", "tc_greenness", "tc_wetness")
RANGES: dict[str, tuple[float, float]] = {**TERRAIN, **dict.fromkeys(TASSELLED_CAP, (0.0, 255.0))}
LIMITS: dict[str, tuple[float, float]] = {
    "ndvi": (-1.0, 1.0),
    "relative_elevation": (-50.0, 50.0),
    "slope": (0.0, 90.0),
    **dict.fromkeys(TASSELLED_CAP, (0.0, 255.0)),
}
"""Physical values that the published normalisation makes 0 and 1."""
UNITS = {"relative_elevation": "m", "slope": "degree", "ndvi": "1", "dem": "m"}


@dataclass(frozen=True, slots=True)
class Channel:
    """A band of a file.

    Attributes:
        raster: the file.
        number: from 1.
        band: as the file and the options describe it, under the name it has here.
    """

    raster: Raster
    number: int
    band: Band


@dataclass(frozen=True)
class Described:
    """What options say of bands whose file does not."""

    band_names: Sequence[str] = ()
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    crs: str | None = None


def channels_of(files: Sequence[tuple[str, Path]], said: Described) -> dict[str, Channel]:
    """Return the bands of the files of a scene by name.

    A band is called what its file calls it, else what ``band_names`` do; the only band of a file without names is
    called as the file. A prefix comes before it with an underscore.

    Args:
        files: (prefix or "", path).
        said: what the options say.

    Raises:
        DataError: a file is damaged or has no place; two bands have one name.
    """
    found: dict[str, Channel] = {}
    for prefix, path in files:
        raster = _told(placed(path, said.crs))
        for number, name in enumerate(_names(raster, said.band_names), start=1):
            full = f"{prefix}_{name}" if prefix else name
            if full in found:
                raise DataError(
                    f"the band {full!r} is in this file and in {found[full].raster.path}",
                    where=str(path),
                    fix="tell them apart by a prefix: images=[a=one/{scene}.tif,b=other/{scene}.tif]",
                )
            found[full] = Channel(raster, number, _described(raster, number, full, said))
    return found


def placed(path: Path, crs: str | None = None) -> Raster:
    """Return what a file's header says, with a coordinate system.

    Raises:
        DataError: it is damaged, or has none and ``crs`` does not say it.
    """
    raster = read_raster(path)
    if raster.crs is not None:
        return raster
    if crs is None or raster.transform[:2] == (1.0, 0.0):
        raise DataError(
            "the file has no coordinate system, so nobody knows where it lies",
            where=str(path),
            fix="write it into the file (gdal_edit.py -a_srs), or give crs=EPSG:... where only its name is missing",
        )
    return replace(raster, crs=crs_text(crs))


def _told(raster: Raster) -> Raster:
    """Return a file with the wavelengths of a table bands.csv beside it, or a folder up, that is of so many bands."""
    tables = [folder / BANDS for folder in (raster.path.parent, raster.path.parent.parent)]
    for path in tables:
        if path.is_file():
            table = read_band_table(path)
            if len(table.wavelength) == raster.shape[0]:
                return replace(raster, bands=table.described(raster.bands, str(path), str(raster.path)))
    return raster


def crs_text(crs: str) -> str:
    """Return a coordinate system as WKT.

    Raises:
        DataError: it is not known.
    """
    from ..data.raster.rasters import rasterio_package

    try:
        return str(rasterio_package().crs.CRS.from_user_input(crs).to_wkt())
    except (rasterio_package().errors.CRSError, ValueError) as error:
        raise DataError(f"{crs!r} is no coordinate system", where="crs", fix="write it as EPSG:32633") from error


def _names(raster: Raster, band_names: Sequence[str]) -> list[str]:
    count = raster.shape[0]
    if band_names and len(band_names) <= count:
        return [*band_names, *(f"band_{number}" for number in range(len(band_names) + 1, count + 1))]
    names = list(raster.bands.names)
    if names == list(Bands.unnamed(count).names) and count == 1:
        names = [raster.path.stem]
    return [re.sub(r"\W+", "_", name).strip("_") or f"band_{place}" for place, name in enumerate(names, start=1)]


def _described(raster: Raster, number: int, name: str, said: Described) -> Band:
    band = raster.bands[number - 1]
    whole = raster.dtype.kind in "iu"  # what is stored as decimals is physical already
    silent = whole and (band.scale, band.offset) == (1.0, 0.0)
    return replace(
        band,
        name=name,
        scale=said.scale if silent and said.scale is not None else band.scale,
        offset=said.offset if silent and said.offset is not None else band.offset,
        nodata=said.nodata if whole and band.nodata is None else band.nodata,
        resolution=resolution(raster),
    )


class Ingredients:
    """What bands there are by name, and what each is made of.

    Args:
        channels: bands of the scene's files.
        aux: bands of further rasters: name -> the files that hold it.
        dem: whether there is an elevation model.
        formulas: the user's own.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        aux: Mapping[str, Sequence[Channel]],
        dem: bool,
        formulas: Sequence[str] = (),
    ) -> None:
        self.channels, self.aux = dict(channels), dict(aux)
        self.dem = dem or "dem" in channels
        self.formulas = {formula.name: formula for formula in map(Formula.read, formulas)}

    def formula(self, name: str) -> Formula | None:
        """Return the formula of a band, the user's or a built-in one (``ndvi``, ``PREFIX_ndvi``); None for others."""
        if name in self.formulas:
            return self.formulas[name]
        if name in self.channels or name in self.aux:
            return None
        prefix, _, last = name.rpartition("_")
        if last not in BUILT_IN:
            return None
        text = BUILT_IN[last]
        if prefix:
            text = re.sub(r"\b(red|nir)\b", lambda one: f"{prefix}_{one[0]}", text)
        return Formula.read(f"{name}={text}")

    def channel(self, name: str) -> Channel | None:
        """Return the file's band of this name, or the one that plays its role ("red" is B04); None where none does."""
        if name in self.channels:
            return self.channels[name]
        prefix, _, role = name.rpartition("_")
        others = [f"{prefix}_{other}" if prefix else other for other in ROLES.get(role, ())]
        return next((self.channels[other] for other in others if other in self.channels), None)

    def needed(self, names: Sequence[str]) -> list[str]:
        """Return the names with all that they are made of, each behind what it needs.

        Raises:
            DataError: there is no such band; or a formula goes in a circle.
        """
        order: list[str] = []

        def visit(name: str, above: tuple[str, ...]) -> None:
            if name in above:
                circle = " -> ".join((*above, name))
                raise DataError(f"the formulas go in a circle: {circle}", where="formulas", fix="break it")
            if name in order:
                return
            formula = self.formula(name)
            if formula is not None:
                for one in formula.needs:
                    visit(one, (*above, name))
            elif name in TERRAIN and name not in self.channels and name not in self.aux:
                visit("dem", (*above, name))
            elif not (name in self.aux or (name == "dem" and self.dem) or self.channel(name) is not None):
                raise self._missing(name, above)
            order.append(name)

        for name in names:
            visit(name, ())
        return order

    def _missing(self, name: str, above: tuple[str, ...]) -> DataError:
        known = [*self.channels, *self.formulas, *self.aux, *BUILT_IN, *TERRAIN]
        near = nearest(name, known)
        needed = f", which {above[-1]!r} needs" if above else ""
        fix = f"did you mean {near[0]!r}? " if near and near[0] != name else ""
        if name == "dem":
            fix = "give an elevation model: dem (or arcticdem-dir), a raster or a folder of rasters; "
        elif name in TASSELLED_CAP:
            fix = "give rasters of it with tcvis-dir or aux, or a formula; "
        files = list(dict.fromkeys(str(channel.raster.path) for channel in self.channels.values()))
        listed = ", ".join([*self.channels, *self.formulas, *self.aux])
        return DataError(
            f"there is no band {name!r}{needed}",
            where=", ".join(files[:3]) + ", ..." * (len(files) > 3),
            fix=f"{fix}the scene has {listed or 'none'}",
        )


def stored_form(names: Sequence[str], ingredients: Ingredients, pixel: float | None) -> tuple[Bands, str]:
    """Return how chosen bands are stored: bands with scale, offset and nodata, and the type.

    Bands of files that are all of one type of whole numbers keep it. Where bands are made, or types differ, all are
    unsigned 16-bit: whole numbers of up to 16 bits as they are (signed ones moved up), the others in steps of 1, 2 or 5
    times a power of ten over their range. Where one has no range, all are float32 in physical values, NaN is missing.

    Args:
        names: of the bands.
        ingredients: what they are made of.
        pixel: side of the grid's pixels in metres, or None.
    """
    chosen = [ingredients.channel(name) if ingredients.formula(name) is None else None for name in names]
    types = {channel.raster.dtype.name for channel in chosen if channel is not None}
    if None not in chosen and len(types) == 1 and (dtype := types.pop())[0] in "iu":
        return Bands(_raw(name, channel) for name, channel in zip(names, chosen, strict=True) if channel), dtype
    made = [_quantised(name, channel, ingredients, pixel) for name, channel in zip(names, chosen, strict=True)]
    if all(band is not None for band in made):
        return Bands(band for band in made if band is not None), "uint16"
    return Bands(
        Band(name, limits=LIMITS.get(name), unit=UNITS.get(name), resolution=pixel)
        if channel is None
        else replace(_raw(name, channel), scale=1.0, offset=0.0, nodata=None)
        for name, channel in zip(names, chosen, strict=True)
    ), "float32"


def _raw(name: str, channel: Channel) -> Band:
    return replace(channel.band, name=name)


def _quantised(name: str, channel: Channel | None, ingredients: Ingredients, pixel: float | None) -> Band | None:
    """Return a band as unsigned 16-bit numbers; None where it has no range."""
    if channel is None and name in ingredients.aux and name not in RANGES:
        channel = ingredients.aux[name][0]
    if channel is not None:
        band, kind = _raw(name, channel), channel.raster.dtype.name
        if kind in ("uint8", "uint16"):
            return band
        if kind not in ("int8", "int16"):
            return None
        nodata = None if band.nodata is None else band.nodata + 32768
        return replace(band, offset=band.offset - 32768 * band.scale, nodata=nodata)
    formula = ingredients.formula(name)
    span = formula.range if formula is not None else RANGES.get(name)
    if span is None:
        return None
    step = nice_step(span[1] - span[0])
    return Band(
        name, None, None, UNITS.get(name), step, span[0], 65535.0, pixel, LIMITS.get(name, span if formula else None)
    )


def nice_step(width: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that goes into a range at most 65 534 times."""
    least = width / 65534
    power = math.floor(math.log10(least))
    steps = (float(f"{digit}e{power + more}") for more in (0, 1) for digit in (1, 2, 5))
    return next(step for step in steps if step >= least * (1 - 1e-12))
