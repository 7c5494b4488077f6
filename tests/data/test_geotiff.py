"""Folders of GeoTIFFs: the contract, windows equal to what rasterio reads, bands, places, and wrong folders."""

from __future__ import annotations

import builtins
import warnings
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from reader_contract import CASES as ALL_CASES
from reader_contract import Content, ReaderContract

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError, SpectrainError
from spectrain.data.ground import footprints, shared_pairs
from spectrain.data.opening import open_patches, recognise
from spectrain.data.raster.geotiff import GeotiffReader

UTM = "EPSG:32633"


def write(path, image, at=(0, 0), pixel=10.0, crs=UTM, mask=None, descriptions=None, tags=None, **profile):
    """Write [C,H,W]; ``at`` is the upper left corner in pixels from a point near Potsdam."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.asarray(image)
    image = image if image.ndim == 3 else image[None]
    degrees = crs is not None and rasterio.crs.CRS.from_user_input(crs).is_geographic
    origin = (13.0, 52.0) if degrees else (360000.0, 5800000.0)
    place = rasterio.transform.from_origin(origin[0] + at[1] * pixel, origin[1] - at[0] * pixel, pixel, pixel)
    count, height, width = image.shape
    shape = {"count": count, "height": height, "width": width, "dtype": image.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", "GTiff", crs=crs, transform=place if crs else None, **shape, **profile) as file,
        ):
            file.write(image)
            if mask is not None:
                file.write_mask(mask)
            for number in range(count if tags else 0):
                file.update_tags(number + 1, **{key: values[number] for key, values in tags.items()})
            for number, text in enumerate(descriptions or [], start=1):
                file.set_band_description(number, text)
    return path


def tiles(folder, count=6, apart=20, **options):
    """Write tiles of 2 × 12 × 16 side by side with labels, ``apart`` pixels from one to the next."""
    arrays = np.random.default_rng(0).integers(0, 999, (count, 2, 12, 16)).astype("int16")
    for number, array in enumerate(arrays):
        write(folder / "images" / f"{number}.tif", array, (0, apart * number), **options)
        write(folder / "labels" / f"{number}.tif", array[0].astype("u1"), (0, apart * number))
    return arrays


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
class TestContract(ReaderContract):
    @pytest.fixture(params=[case for name, case in ALL_CASES.items() if name != "mask a band, labels"])
    def case(self, request):
        return request.param

    def write(self, folder, content):
        folder = folder / "rasters"
        for number, image in enumerate(content.image):
            mask = None if content.mask is None else content.mask[number, 0]
            write(folder / "train" / "images" / f"{number:02}.tif", image, crs=None, mask=mask)
            if content.labels is not None:
                write(folder / "train" / "labels" / f"{number:02}.tif", content.labels[number], crs=None)
        return folder

    def plain(self, path):
        found = {"image": [], "mask": [], "labels": []}
        for file in sorted((path / "train" / "images").iterdir()):
            with rasterio.open(file) as held:
                found["image"].append(held.read())
                if held.mask_flag_enums[0] == [rasterio.enums.MaskFlags.per_dataset]:
                    found["mask"].append(held.read_masks([1]) != 0)
            if (label := path / "train" / "labels" / file.name).exists():
                with rasterio.open(label) as held:
                    found["labels"].append(held.read() if held.count > 1 else held.read(1))
        return Content(*(np.array(held) if held else None for held in found.values()))

    def file_to_cut(self, path):
        return path / "train" / "images" / "10.tif"


def test_real_tiles(shared_data):
    path = shared_data / "enmap_potsdam"
    assert recognise(path) is GeotiffReader and GeotiffReader.splits(path) == ["train", "valid"]
    patches = open_patches(path, "all", DatasetOptions(window=12, stride=7))
    assert patches.shape == (14 * 16, 218, 12, 12) and patches.dtype == np.int16
    band = patches.bands[0]
    assert (band.wavelength, band.width, band.nodata, band.resolution) == (418.24, 6.99561, -32768, 30)
    table = patches.metadata()
    index = np.random.default_rng(0).permutation(len(patches))[:40]
    rows = patches.read(index)
    for number, one in enumerate(table.iloc[index].itertuples()):
        for folder, got in (("images", rows.image[number]), ("labels", rows.labels[number][None])):
            with rasterio.open(path / folder / one.file) as file:
                assert np.array_equal(got, file.read()[:, one.row : one.row + 12, one.column : one.column + 12])
    with rasterio.open(path / "images" / table["file"][0]) as file:
        west, south, east, north = rasterio.warp.transform_bounds(file.crs, 4326, *file.bounds)
    first = table[table["file"] == table["file"][0]]
    box = [first["lon_w"].min(), first["lat_s"].min(), first["lon_e"].max(), first["lat_n"].max()]
    assert np.allclose(box, [west, south, east, north], atol=5e-5)


def test_splits_of_real_tiles_share_no_ground_though_tiles_touch(shared_data):
    path = shared_data / "enmap_potsdam"
    options = DatasetOptions(valid_fraction=0.3, test_fraction=0.2)
    tables = [open_patches(path, name, options).metadata() for name in ("train", "valid", "test")]
    assert sum(map(len, tables)) == 14 and len({name for table in tables for name in table["file"]}) == 14
    places = [footprints(table) for table in tables]
    assert all(len(shared_pairs(places[a], places[b])) == 0 for a, b in ((0, 1), (0, 2), (1, 2)))


def test_dates_of_one_place_are_one_group(shared_data):
    assert GeotiffReader.splits(shared_data / "naip_nd") == ["all"]
    with pytest.raises(DataError, match=r"there is 1 group for 2 splits"):
        open_patches(shared_data / "naip_nd", "train", DatasetOptions(window=64))


def test_files_that_overlap_stay_together(tmp_path):
    tiles(tmp_path, count=6, apart=20)
    for number in range(6):  # a second date of each, and a row of tiles that touch the first
        write(tmp_path / "images" / f"{number}_b.tif", np.zeros((2, 12, 16), "int16"), (3, 20 * number))
        write(tmp_path / "labels" / f"{number}_b.tif", np.zeros((12, 16), "u1"), (3, 20 * number))
    for seed in range(5):
        options = DatasetOptions(split_seed=seed, valid_fraction=0.4)
        parts = [set(open_patches(tmp_path, name, options).metadata()["file"]) for name in ("train", "valid")]
        assert sum(map(len, parts)) == 12 and not parts[0] & parts[1]
        assert all((f"{n}.tif" in part) == (f"{n}_b.tif" in part) for n in range(6) for part in parts)


def test_groups_of_a_table(tmp_path):
    tiles(tmp_path)
    (tmp_path / "tiles.csv").write_text("file,flight\n" + "".join(f"{n}.tif,{n // 3}\n" for n in range(6)))
    options = DatasetOptions(group="flight", valid_fraction=0.5)
    parts = [open_patches(tmp_path, name, options).metadata()["file"].tolist() for name in ("train", "valid")]
    assert sorted(parts) == [["0.tif", "1.tif", "2.tif"], ["3.tif", "4.tif", "5.tif"]]
    with pytest.raises(DataError, match=r"no column 'plane'(.|\n)*file, flight"):
        open_patches(tmp_path, "train", DatasetOptions(group="plane"))


def test_subfolders_are_splits(tmp_path):
    for folder, at in (("train", 0), ("val", 500), ("test", 1000)):
        for number in range(2):
            write(tmp_path / folder / f"{number}.tif", np.full((2, 8, 8), at), (0, at + 8 * number))
    assert GeotiffReader.splits(tmp_path) == ["train", "valid", "test"]
    for name, value in (("train", 0), ("valid", 500), ("val", 500), ("test", 1000)):
        patches = open_patches(tmp_path, name)
        assert (patches.read(np.arange(2)).image == value).all() and not patches.has_labels
    assert open_patches(tmp_path, "all").metadata()["file"].tolist()[2] == "val/0.tif"
    write(tmp_path / "val" / "9.tif", np.zeros((2, 8, 8), int), (4, 4))
    with pytest.raises(DataError, match=r"'train' and 'valid' share pixels on the ground in 2 pairs"):
        open_patches(tmp_path, "train")


@pytest.mark.parametrize(
    ("crs", "pixel", "metres"),
    [(UTM, 20.0, 20.0), ("EPSG:2263", 10.0, 3.048), ("EPSG:4326", 1e-4, 8.725), (None, 1, None)],
)
def test_how_large_a_pixel_is(tmp_path, crs, pixel, metres):
    write(tmp_path / "a.tif", np.zeros((1, 8, 8), "u1"), pixel=pixel, crs=crs)
    patches = open_patches(tmp_path, "all")
    assert patches.bands[0].resolution == (None if metres is None else pytest.approx(metres, rel=1e-3))
    assert ("lon_w" in patches.metadata()) == (crs is not None)


def test_what_the_file_says_of_its_bands(tmp_path):
    tags = {"wavelength": ["0.49", "0.665"], "wavelength_units": ["Micrometers"] * 2, "fwhm": ["0.065", "0.03"]}
    write(tmp_path / "a.tif", np.zeros((2, 8, 8), "u2"), descriptions=["blue", "red"], tags=tags, nodata=7)
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.scales, file.offsets, file.units = (1e-4, 2e-4), (-0.1, 0.0), ("1", "1")
    blue, red = open_patches(tmp_path, "all").bands
    assert (blue.name, blue.wavelength, blue.width, blue.unit) == ("blue", 490, 65, "1")
    assert (red.scale, red.offset, red.nodata, red.wavelength) == (2e-4, 0, 7, 665)
    (tmp_path / "bands.csv").write_text("wavelength,name\n500,x\n600,y\n")
    assert [(band.name, band.wavelength) for band in open_patches(tmp_path, "all").bands] == [
        ("blue", 500),
        ("red", 600),
    ]
    (tmp_path / "bands.csv").write_text("wavelength\n500\n")
    with pytest.raises(DataError, match=r"bands\.csv lists 1 wavelengths for 2 bands"):
        open_patches(tmp_path, "all")


def test_labels_of_decimals_are_missing_where_nodata_says_so(tmp_path):
    tiles(tmp_path, count=1)
    heights = np.arange(12 * 16, dtype="f4").reshape(12, 16)
    write(tmp_path / "labels" / "0.tif", heights, nodata=5)
    got = open_patches(tmp_path, "all").read(np.array([0])).labels[0]
    assert np.array_equal(got, np.where(heights == 5, np.nan, heights), equal_nan=True)


def without(module):
    real = builtins.__import__

    def absent(name, *arguments, **keywords):
        if name.split(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(name, *arguments, **keywords)

    return absent


class TestWrongFolders:
    def test_rasterio_is_not_installed(self, tmp_path, monkeypatch):
        tiles(tmp_path)
        monkeypatch.setattr(builtins, "__import__", without("rasterio"))
        with pytest.raises(SpectrainError, match=r"'rasterio' is needed to read(.|\n)*pip install 'spectrain\[geo\]'"):
            open_patches(tmp_path, "all")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"image": np.zeros((3, 12, 16), "int16")}, "3 bands in place of 2"),
            ({"image": np.zeros((2, 12, 16), "f4")}, "type float32 in place of int16"),
            ({"nodata": -1}, "band 1 has nodata -1 in place of none"),
            ({"descriptions": ["a", "b"]}, "band 1 has name 'a' in place of 'band_1'"),
            ({"image": np.zeros((2, 12, 17), "int16"), "label": (12, 17)}, "12 × 17, the first one(.|\n)*is 12 × 16"),
            ({"pixel": 20.0}, "the label raster has another place or pixel size"),
            ({"crs": "EPSG:32632"}, "the label raster has another coordinate system"),
            ({"image": np.zeros((2, 9, 16), "int16")}, "the label raster has 12 × 16 pixels, its image 9 × 16"),
            ({"at": (1, 60)}, "another place or pixel size"),
            ({"image": np.zeros((2, 12, 16), "complex64")}, "type complex64: these are not images"),
        ],
    )
    def test_a_file_unlike_the_others_is_named(self, tmp_path, change, message):
        tiles(tmp_path)
        if label := change.pop("label", None):
            write(tmp_path / "labels" / "3.tif", np.zeros(label, "u1"), (0, 60))
        values = {"image": np.zeros((2, 12, 16), "int16"), "at": (0, 60), **change}
        write(tmp_path / "images" / "3.tif", **values)
        with pytest.raises(DataError, match=message) as caught:
            open_patches(tmp_path, "all")
        assert "3.tif" in str(caught.value)

    def test_pixels_of_another_size(self, tmp_path):
        for number, pixel in enumerate((10.0, 20.0)):
            write(tmp_path / f"{number}.tif", np.zeros((2, 8, 8), "u1"), pixel=pixel)
        with pytest.raises(DataError, match=r"20 m wide, those of the first file, 0\.tif, 10 m(.|\n)*1\.tif"):
            open_patches(tmp_path, "all")

    @pytest.mark.parametrize(
        ("gone", "message"),
        [
            ("labels/2.tif", "1 images have no label raster of the same name: 2"),
            ("images/4.tif", "no image of the same name: 4"),
        ],
    )
    def test_images_and_labels_that_do_not_match(self, tmp_path, gone, message):
        tiles(tmp_path)
        (tmp_path / gone).unlink()
        with pytest.raises(DataError, match=message):
            open_patches(tmp_path, "all")

    def test_label_rasters_of_several_kinds(self, tmp_path):
        tiles(tmp_path)
        write(tmp_path / "labels" / "5.tif", np.zeros((12, 16), "int16"), (0, 100))
        with pytest.raises(DataError, match=r"1 band of type int16 with nodata None, the first one(.|\n)*5\.tif"):
            open_patches(tmp_path, "all")

    def test_no_raster_at_all(self, tmp_path):
        (tmp_path / "a.tif").write_bytes(b"no raster")
        with pytest.raises(DataError, match=r"cannot be opened as a raster(.|\n)*a\.tif"):
            open_patches(tmp_path, "all")


def test_masks_only_of_some_files(tmp_path):
    seen = np.random.default_rng(0).integers(0, 2, (8, 8)).astype(bool)
    write(tmp_path / "a.tif", np.ones((2, 8, 8), "u1"), mask=seen)
    write(tmp_path / "b.tif", np.ones((2, 8, 8), "u1"), (50, 50))
    rows = open_patches(tmp_path, "all", DatasetOptions(window=5, stride=3)).read(np.arange(8))
    assert np.array_equal(rows.mask[3, 0], seen[3:8, 3:8]) and rows.mask[4:].all()


def test_windows_of_a_split_keep_the_order_of_files(tmp_path):
    arrays = tiles(tmp_path)
    patches = open_patches(tmp_path, "train", replace(DatasetOptions(), window=12))
    table = patches.metadata()
    image = patches.read(np.arange(len(patches))).image
    for number, one in enumerate(table.itertuples()):
        assert np.array_equal(image[number], arrays[int(one.file[0])][:, :, one.column : one.column + 12])
    assert table["file"].is_monotonic_increasing and set(table["column"]) == {0, 4}


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_an_image_that_covers_no_ground_is_named(tmp_path, scale):
    for number in range(2):
        write(tmp_path / "images" / f"{number}.tif", np.ones((2, 32, 32)), at=(0, 40 * number))
    with rasterio.open(tmp_path / "images" / "1.tif", "r+") as file:
        file.transform = rasterio.Affine.scale(scale) @ file.transform
    with pytest.raises(DataError, match=r"(covers no ground on the Earth|Reprojection failed)(.|\n)*1\.tif"):
        open_patches(tmp_path, "train")
