"""Which of GDAL's drivers may open a file, so that a file cannot send the reader elsewhere.

GDAL looks at what is in a file and not at its name: text in a ``.tif`` may make it read any other file of the machine
as pixels, or ask servers. So only formats are opened that hold their own pixels; a VRT, which names other files, only
where it is called ``.vrt``, and where all that it names lies on this machine and holds its own pixels too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ...core.damage import reading
from ...core.errors import DataError

PIXELS = (
    *("GTiff", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "HFA", "netCDF", "HDF5", "HDF5Image", "HDF4", "ENVI"),
    *("EHdr", "AAIGrid", "PNG", "JPEG", "BMP", "NITF", "GRIB", "PCIDSK", "RST", "SRTMHGT", "DTED", "XYZ", "WEBP"),
    *("GSAG", "GSBG", "GS7BG", "SAGA", "USGSDEM", "PNM", "GIF", "KEA", "LERC", "JPEGXL", "GPKG"),
)
"""Drivers of formats that hold their own pixels."""
NAMES = frozenset(("SourceFilename", "SourceDataset", "MaskFilename", "OverviewFilename"))
RAW, LARGEST, DEEPEST = "VRTRawRasterBand", 64 << 20, 8
"""Bytes of a VRT, and VRTs in VRTs, at most."""


def drivers_for(path: Path) -> list[str]:
    """Return the drivers that may open a file.

    Raises:
        DataError: it is a VRT that names what is no file of this machine with pixels of its own.
    """
    if path.suffix.lower() != ".vrt":
        return list(PIXELS)
    _expect_local(path, 0)
    return ["VRT"]


def _expect_local(path: Path, depth: int) -> None:
    """Raise where a VRT, or one that it names, leads elsewhere."""
    if depth > DEEPEST or path.stat().st_size > LARGEST:
        raise DataError("the VRT is nested too deeply, or too large", where=str(path), fix=_FIX)
    with reading(path):
        for name in _named(path):
            if re.match(r"/vsi|[A-Za-z][A-Za-z0-9+_.-]+:", name) and not Path(name).is_file():
                raise DataError(f"the VRT names {name!r}, which is no file of this machine", where=str(path), fix=_FIX)
            source = path.parent / name
            if source.is_file() and source.read_bytes()[: 1 << 10].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
                _expect_local(source, depth + 1)


def _named(path: Path) -> Iterator[str]:
    """Yield the files that a VRT names.

    Raises:
        DataError: it reads bytes of any file as pixels, runs code, or declares entities.
    """
    text = path.read_bytes()
    if b"<!ENTITY" in text or b"<!DOCTYPE" in text:
        raise DataError("the VRT declares entities", where=str(path), fix=_FIX)
    tree = ElementTree.fromstring(text)
    if tree.tag != "VRTDataset":
        raise DataError(f"the text is no VRT but {tree.tag}", where=str(path), fix=_FIX)
    for element in tree.iter():
        if element.get("subClass") == RAW:
            raise DataError("the VRT reads the bytes of any file as pixels", where=str(path), fix=_FIX)
        if element.tag == "PixelFunctionLanguage" and (element.text or "").strip().lower() == "python":
            raise DataError("the VRT holds code", where=str(path), fix=_FIX)
        if element.tag in NAMES and element.text:
            yield element.text.strip()


_FIX = "name local files with pixels of their own, or write it as a GeoTIFF (gdal_translate)"
