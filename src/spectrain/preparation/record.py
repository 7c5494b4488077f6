"""What is stored with patches so that a raw scene can be made into the same bands again (preparation.json)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..core.bands import Bands
from ..core.errors import DataError

FORMAT, VERSION = "spectrain.preparation", 1


@dataclass(frozen=True)
class Preparation:
    """How bands are made from the files of a scene.

    Attributes:
        preset: "scenes", "s2" or "planet".
        bands: of what comes out, as stored: scale, offset and nodata are of `dtype`.
        dtype: of what comes out.
        images: patterns of the files of a scene (:mod:`.patterns`).
        band_names: of files that do not name their bands, in order.
        formulas: of the user's own bands.
        tpi_outer_radius: of relative_elevation, in metres.
        tpi_inner_radius: of relative_elevation, in metres; 0 takes the pixel itself too.
        scale: factor from stored to physical values, where a file says nothing.
        offset: summand from stored to physical values, where a file says nothing.
        nodata: stored value that means missing, where a file says nothing.
        quality: pattern of the quality mask, or None.
        quality_band: its band, from 1.
        quality_good: its values of pixels that are to be used.
        dem: raster or folder of the elevation, or None.
        aux: further rasters or folders of bands, such as tasselled cap.
        resolution: side of a pixel in units of the scene's coordinate system; None is that of its finest file.
        crs: of files that do not say theirs, or None.
        patch_size: side of the patches in px.
        labels: {"kind": "classes" or "values", "names": [...]}, or None where there were none.
    """

    preset: str
    bands: Bands
    dtype: str
    images: tuple[str, ...] = ()
    band_names: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()
    tpi_outer_radius: float = 100.0
    tpi_inner_radius: float = 0.0
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    quality: str | None = None
    quality_band: int = 1
    quality_good: tuple[int, ...] = ()
    dem: str | None = None
    aux: tuple[str, ...] = ()
    resolution: float | None = None
    crs: str | None = None
    patch_size: int = 256
    labels: Mapping[str, Any] | None = field(default=None)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        record = {item.name: getattr(self, item.name) for item in fields(self)} | {"bands": self.bands.to_json()}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}
        return {"format": {"name": FORMAT, "version": VERSION}, **plain}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], where: str = "preparation.json") -> Preparation:
        """Read what `to_json` wrote.

        Args:
            record: the content of preparation.json.
            where: for error messages.

        Raises:
            DataError: it is something else, damaged, or of a newer version.
        """
        tag = record.get("format") if isinstance(record, Mapping) else None
        name, version = (tag.get("name"), tag.get("version")) if isinstance(tag, Mapping) else (None, None)
        if name != FORMAT or not isinstance(version, int):
            raise DataError(
                f"this is no record of how patches were prepared but {name!r}",
                where=where,
                fix="prepare the data with spectrain prepare",
            )
        if version > VERSION:
            raise DataError(
                f"the patches were prepared by a newer spectrain: format version {version}, this one knows {VERSION}",
                where=where,
                fix="update spectrain, or prepare the data again with this version",
            )
        known = {item.name for item in fields(cls)}
        held = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
        try:
            bands = Bands.from_json(record["bands"])
            kept: dict[str, Any] = {key: value for key, value in held.items() if key in known}
            return cls(**{**kept, "bands": bands})
        except (LookupError, TypeError, AttributeError) as error:
            raise DataError(
                f"the record of how patches were prepared is damaged: {error}",
                where=where,
                fix="copy or prepare the data again",
            ) from error
