"""GeoTIFFs of images and of values in two folders: real heights under real images, and what does not match."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from spectrain.cli import main
from spectrain.config import load_config
from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches
from spectrain.inspection.data_set import inspect

SIDE = 24
VALUES = "values"


def store(path, array, transform, crs, mask=None, scale=None, **profile):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = array if array.ndim == 3 else array[None]
    shape = {"count": len(array), "height": array.shape[1], "width": array.shape[2], "dtype": array.dtype}
    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", "GTiff", crs=crs, transform=transform, **shape, **profile) as file,
    ):
        warnings.simplefilter("ignore")
        file.write(array)
        if mask is not None:
            file.write_mask(mask)
        if scale is not None:
            file.scales, file.offsets = (scale[0],), (scale[1],)


@pytest.fixture(scope="module")
def tiles(shared_data):
    """Tiles of a real image, and the heights below them, sparse and dense."""
    folder = shared_data / "regression_dem"
    found = []
    with (
        rasterio.open(folder / "s2_santarem_image.tif") as image,
        rasterio.open(folder / "s2_santarem_srtm_sparse.tif") as sparse,
        rasterio.open(folder / "s2_santarem_srtm.tif") as dense,
    ):
        for row in range(0, 9 * SIDE, SIDE):
            for column in range(0, 10 * SIDE, SIDE):
                window = Window(column, row, SIDE, SIDE)
                place = image.window_transform(window)
                heights = dense.read(1, window=window).astype("f4")
                found.append((image.read([2, 3, 4, 8], window=window), sparse.read(1, window=window), heights, place))
        return found, image.crs


def pairs(root, tiles, labels, folders=("train", "val", "test"), **profile):
    """Write images and labels; a folder "" is flat. Returns the two roots."""
    every, crs = tiles
    for number, (image, sparse, dense, place) in enumerate(every):
        split = folders[number // (len(every) // len(folders) + 1)]
        store(root / "images" / split / f"t{number:02}.tif", image, place, crs)
        options = {name: value[number] if isinstance(value, list) else value for name, value in profile.items()}
        store(root / "heights" / split / f"t{number:02}.tif", labels(sparse, dense), place, crs, **options)
    return root / "images", DatasetOptions(labels_path=str(root / "heights"), label_kind=VALUES)


def sparse_of(sparse, dense):
    return sparse.astype("f4")


def test_folders_of_splits(tiles, tmp_path):
    path, options = pairs(tmp_path, tiles, sparse_of, nodata=np.nan)
    every, count = tiles[0], 0
    for split in ("train", "valid", "test"):
        patches = open_patches(path, split, options)
        for number, name in enumerate(patches.metadata()["file"]):
            image, sparse, _, _ = every[int(name[-6:-4])]
            rows = patches.read(np.array([number]))
            np.testing.assert_array_equal(rows.image[0], image)
            np.testing.assert_array_equal(rows.labels[0], sparse)
            count += 1
    assert count == len(every) == 90


def test_one_folder_is_split_by_shares_and_no_two_share_ground(tiles, tmp_path):
    path, options = pairs(tmp_path, tiles, sparse_of, ("",), nodata=np.nan)
    options = DatasetOptions(labels_path=options.labels_path, valid_fraction=0.3, test_fraction=0.2)
    files = [set(open_patches(path, split, options).metadata()["file"]) for split in ("train", "valid", "test")]
    assert sum(map(len, files)) == 90 and not files[0] & files[1] | files[1] & files[2] | files[0] & files[2]


WHOLE = {
    "nodata": (lambda sparse, dense: np.nan_to_num(sparse * 10, nan=-32768).astype("i2"), {"nodata": -32768}, 10.0),
    "scale and offset": (
        lambda sparse, dense: np.nan_to_num((sparse - 2) * 100, nan=0).astype("u2"),
        {"nodata": 0, "scale": (0.01, 2.0)},
        1.0,
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_are_values(name, tiles, tmp_path):
    make, profile, factor = WHOLE[name]
    path, options = pairs(tmp_path, tiles, make, **profile)
    patches = open_patches(path, "train", options)
    found = patches.labels(np.arange(len(patches)))
    wanted = np.array([tiles[0][int(file[-6:-4])][1] for file in patches.metadata()["file"]]) * factor
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    stored = open_patches(path, "train", DatasetOptions(labels_path=options.labels_path)).labels(np.arange(2))
    assert stored.dtype.kind in "iu"  # as classes they stay what they are


def test_a_mask_of_the_labels_says_what_was_measured(tiles, tmp_path):
    seen = [np.isfinite(one[1]) for one in tiles[0]]
    path, options = pairs(tmp_path, tiles, lambda sparse, dense: dense.astype("i2"), mask=seen)
    patches = open_patches(path, "train", options)
    for number, file in enumerate(patches.metadata()["file"]):
        _, sparse, dense, _ = tiles[0][int(file[-6:-4])]
        wanted = np.where(np.isfinite(sparse), dense.astype("i2"), np.nan)
        np.testing.assert_array_equal(patches.labels(np.array([number]))[0], wanted)


def test_the_recipe_reads_values():
    assert load_config("regression").dataset.label_kind == VALUES
    assert load_config("segmentation").dataset.label_kind == "auto"


def test_a_training(tiles, tmp_path):
    path, options = pairs(
        tmp_path, tiles, lambda sparse, dense: np.where(dense < 9, -32768, dense * 10).astype("i2"), nodata=-32768
    )
    words = f"dataset.path={path} dataset.labels_path={options.labels_path} out_dir={tmp_path / 'run'} debug=true"
    words += " hparams.batch_size=4 general.device=cpu general.threads=1 general.num_workers=0"
    with pytest.raises(SystemExit) as stopped:
        main(["train", "regression", *words.split()])
    assert not stopped.value.code
    assert "rmse_valid" in (tmp_path / "run" / "metrics.csv").read_text()
    learned = load_config(config=tmp_path / "run" / "config.yaml")
    assert learned.dataset.label_kind == VALUES
    assert 90 < learned.task.options.centre[0] < 600  # tenths of metres; with nodata as a value it were below 0


def test_inspect_names_the_recipe(tiles, tmp_path):
    path, options = pairs(tmp_path, tiles, sparse_of, nodata=np.nan)
    said = str(inspect(path, labels=options.labels_path))
    assert "spectrain train regression" in said and "labels: measured" in said and "have no labelled pixel" in said


def other(path, **changes):
    """Write a label raster again with something else."""
    with rasterio.open(path) as file:
        array, place, crs, profile = file.read(), file.transform, file.crs, {"nodata": file.nodata}
    array = changes.pop("array", lambda one: one)(array)
    path.unlink()
    store(path, array, changes.pop("place", lambda one: one)(place), changes.pop("crs", crs), **{**profile, **changes})


WRONG = {
    "coordinate system": ({"crs": "EPSG:32721"}, "another coordinate system than its image"),
    "place": ({"place": lambda one: one @ rasterio.Affine.translation(3, 0)}, "another place or pixel size"),
    "pixel size": ({"place": lambda one: one @ rasterio.Affine.scale(2, 2)}, "another place or pixel size"),
    "size": ({"array": lambda one: one[:, :-1]}, "23 × 24 pixels, its image 24 × 24"),
    "type": ({"array": lambda one: np.nan_to_num(one).astype("i2"), "nodata": 0}, "of type int16 with nodata 0"),
    "bands": ({"array": lambda one: np.concatenate([one, one])}, "2 bands of type"),
    "scale": ({"scale": (0.1, 0.0)}, "scale 0.1 and offset 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_label_raster_unlike_its_image_is_refused_with_both_names(name, tiles, tmp_path):
    changes, message = WRONG[name]
    path, options = pairs(tmp_path, tiles, sparse_of, nodata=np.nan)
    other(tmp_path / "heights" / "train" / "t03.tif", **changes)
    with pytest.raises(DataError, match=message) as raised:
        open_patches(path, "train", options)
    said = str(raised.value)
    assert "heights/train/t03.tif" in said
    if name in ("coordinate system", "place", "pixel size", "size"):
        assert "images/train/t03.tif" in said


def test_names_without_a_partner_are_listed_in_both_directions(tiles, tmp_path):
    path, options = pairs(tmp_path, tiles, sparse_of, nodata=np.nan)
    (tmp_path / "heights" / "train" / ".DS_Store").write_bytes(b"\0")
    assert len(open_patches(path, "train", options)) == 31
    for number in range(8):
        file = tmp_path / "heights" / "train" / f"t{number:02}.tif"
        file.rename(file.with_name(f"u{number:02}.tif"))
    with pytest.raises(DataError) as raised:
        open_patches(path, "train", options)
    said = str(raised.value)
    assert "8 images have no label raster of the same name: t00, t01, t02, t03, t04, ..." in said
    assert "8 label rasters have no image of the same name: u00, u01" in said
    assert "images/train (31 files)" in said and "heights/train (31 files)" in said


def test_a_missing_folder_of_labels_and_a_missing_split(tiles, tmp_path):
    path, options = pairs(tmp_path, tiles, sparse_of, nodata=np.nan)
    with pytest.raises(DataError, match=r"no such folder(.|\n)*dataset\.labels_path"):
        open_patches(path, "train", DatasetOptions(labels_path=str(tmp_path / "height")))
    (tmp_path / "heights" / "val").rename(tmp_path / "heights" / "later")
    with pytest.raises(DataError, match=r"no labels of the split valid, but of later, test, train"):
        open_patches(path, "train", options)
