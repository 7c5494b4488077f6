"""Which vector files may be opened, so that a file cannot send the reader elsewhere.

GDAL looks at what is in a file and not at its name: text in a ``.geojson`` may name databases, servers and other files,
or a pipeline to run. So what a file is is told here by its first bytes, and only formats are opened that hold their own
features.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

from ...core.damage import reading
from ...core.errors import DataError

HEAD = 1 << 16
"""Bytes that are looked at, more than any driver of GDAL does to tell what a file is."""
_BINARY = (b"SQLite format 3\0", b"\0\0\x27\x0a", b"fgb\x03", b"PAR1")
"""How GeoPackage, Shapefile, FlatGeobuf and Parquet begin."""
_JSON = re.compile(
    rb'"type"\s*:\s*"(FeatureCollection|Feature|GeometryCollection|Topology|(Multi)?(Point|LineString|Polygon))"'
)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)")
_ROOTS = (b"kml", b"FeatureCollection", b"CityModel")
"""Root elements of KML and GML."""
_ELSEWHERE = re.compile(
    rb"gdal_streamed_alg|<OGR\w*DataSource|<OGRVRT|<VRTDataset|<GDAL_WM|<!ENTITY|<!DOCTYPE|<(\w+:)?NetworkLink\b"
)
_BESIDE = (
    *(".dbf", ".shx", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".xsd", ".gfs", ".xml", ".txt", ".qmd", ".md", ".pdf"),
    ".html",
)
"""Endings in an archive of what lies beside a shapefile or GML."""
_FIX = "name a local GeoPackage, Shapefile, GeoJSON, FlatGeobuf, GeoParquet, KML or GML, or write it as one (ogr2ogr)"


class OtherFormatError(DataError):
    """A file begins as none of the formats that hold their own features; it may be whole, and of something else."""


def expect_own_features(path: Path) -> dict[str, Any]:
    """Return the options with which a vector file is to be opened.

    Raises:
        OtherFormatError: it is of no format that holds its own features.
        DataError: it cannot be read, or leads elsewhere.
    """
    with reading(path):
        if not path.is_file():
            raise DataError("there is no such file", where=str(path), fix=_FIX)
        with path.open("rb") as file:
            head = file.read(HEAD)
        if head[:4] == b"PK\3\4":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if not name.lower().endswith((*_BESIDE, "/")):
                        with archive.open(name) as entry:
                            _expect(entry.read(HEAD), path, f" {name!r} in the archive")
            return {}
        return _expect(head, path, "")


def _expect(head: bytes, path: Path, which: str) -> dict[str, Any]:
    """Return the options for a file that begins so; an empty one is for the reader to refuse."""
    if head.startswith(_BINARY):
        return {}
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if found := _ELSEWHERE.search(text):
        name = found[0].decode(errors="replace")
        raise DataError(f"the vector file{which} leads elsewhere ({name})", where=str(path), fix=_FIX)
    if text[:1] in (b"{", b"[") and _JSON.search(text):
        return {}
    if text[:1] == b"<":
        bare = re.sub(rb"<\?.*?\?>|<!--.*?-->", b"", text, flags=re.DOTALL)
        root = _ROOT.search(bare)
        if root and root[1] in _ROOTS:
            # the schema that GML names may be on a server
            return {} if root[1] == b"kml" else {"DOWNLOAD_SCHEMA": "NO"}
    raise OtherFormatError(
        f"the vector file{which} is of no kind that holds its own features", where=str(path), fix=_FIX
    )
