"""Rasters that lead elsewhere or say that they are enormous: refused, and nobody is asked."""

from __future__ import annotations

import socket
import struct
import threading

import numpy as np
import pytest
from hostile_reading import reads, refused
from kinds import read_patches
from test_geotiff import write

from spectrain.data.raster.rasters import open_raster

VRT = '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"{}>{}</VRTRasterBand>'
VRT += "</VRTDataset>"
SOURCE = "<SimpleSource><SourceFilename relativeToVRT='{}'>{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
RAW = "<SourceFilename>/etc/passwd</SourceFilename><ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset>"
RAW += "<LineOffset>4</LineOffset>"
WMS = """<GDAL_WMS><Service name="TMS"><ServerUrl>{}/${{z}}.png</ServerUrl></Service><DataWindow>
<UpperLeftX>-2e7</UpperLeftX><UpperLeftY>2e7</UpperLeftY><LowerRightX>2e7</LowerRightX><LowerRightY>-2e7</LowerRightY>
<TileLevel>1</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY></DataWindow>
<Projection>EPSG:3857</Projection><BandsCount>3</BandsCount></GDAL_WMS>"""
CODE = VRT.format(' subClass="VRTDerivedRasterBand"', "<PixelFunctionLanguage>Python</PixelFunctionLanguage>")


@pytest.fixture
def asked():
    """A port of this machine, and who came to it."""
    found = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            try:
                while True:
                    with server.accept()[0] as one:
                        found.append(one.recv(99))
            except OSError:
                pass

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", found


@pytest.mark.parametrize("ending", [".tif", ".vrt"])
@pytest.mark.parametrize("what", ["file", "server", "map server", "code", "entities"])
def test_a_text_that_leads_elsewhere(tmp_path, asked, what, ending):
    address, found = asked
    text = {
        "file": VRT.format(' subClass="VRTRawRasterBand"', RAW),
        "server": VRT.format("", SOURCE.format(0, f"/vsicurl/{address}/x.tif")),
        "map server": WMS.format(address),
        "code": CODE,
        "entities": "<!DOCTYPE a [<!ENTITY b 'c'>]>" + VRT.format("", "&b;"),
    }[what]
    path = tmp_path / f"a{ending}"
    path.write_text(text)
    assert str(path) in refused(lambda: open_raster(path).read())
    assert not found


def test_a_vrt_of_a_vrt_that_leads_elsewhere(tmp_path, asked):
    address, found = asked
    (tmp_path / "inner.tif").write_text(WMS.format(address))
    (tmp_path / "outer.vrt").write_text(VRT.format("", SOURCE.format(1, "inner.tif")))
    assert "inner.tif" in refused(lambda: open_raster(tmp_path / "outer.vrt").read())
    (tmp_path / "self.vrt").write_text(VRT.format("", SOURCE.format(1, "self.vrt")))
    assert "self.vrt" in refused(lambda: open_raster(tmp_path / "self.vrt").read())
    assert not found


def test_a_vrt_of_files_beside_it_is_read(tmp_path):
    image = np.arange(16, dtype="u1").reshape(1, 4, 4)
    write(tmp_path / "a.tif", image)
    (tmp_path / "a.vrt").write_text(VRT.format("", SOURCE.format(1, "a.tif")))
    assert np.array_equal(open_raster(tmp_path / "a.vrt").read(), image)


def tiff(width, height, bands=1, tile=None, offset=8, length=4, compression=1):
    """Return a TIFF of one strip or tile whose header says anything."""
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)]
    if tile is None:
        entries += [(273, 4, 1, offset), (277, 3, 1, bands), (278, 4, 1, height), (279, 4, 1, length)]
    else:
        entries += [(277, 3, 1, bands), (322, 4, 1, tile), (323, 4, 1, tile), (324, 4, 1, offset), (325, 4, 1, length)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 12) + b"\1\2\3\4" + struct.pack("<H", len(entries)) + body + bytes(4)


ABSURD = {
    "a gigapixel squared": tiff(10**9, 10**9),
    "a gigapixel squared in tiles": tiff(10**9, 10**9, tile=4096),
    "one huge tile": tiff(65536, 65536, tile=65536, compression=8),
    "65,535 bands": tiff(64, 64, bands=65535),
    "65,535 bands in tiles": tiff(10**6, 10**6, bands=65535, tile=16),
    "a row of all": tiff(2**31 - 1, 1),
    "tiles of nothing": tiff(64, 64, tile=0),
    "no pixel": tiff(0, 0),
    "more than there are numbers": tiff(2**32 - 1, 2**32 - 1),
    "an offset behind the end": tiff(64, 64, offset=2**32 - 1, length=4096),
    "a length behind the end": tiff(64, 64, length=2**32 - 1),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_headers(tmp_path, name):
    """A file may well say that it is enormous and empty: then what is read of it must still be bounded."""
    path = tmp_path / "tiles" / "a.tif"
    path.parent.mkdir()
    path.write_bytes(ABSURD[name])
    found = reads(lambda: read_patches(path.parent))
    assert found.kind in ("fine", "refused"), f"{found.kind}: {found.text}"
    assert found.kind == "fine" or "a.tif" in found.text or str(path.parent) in found.text
