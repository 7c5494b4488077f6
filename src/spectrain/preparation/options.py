"""The options of `spectrain prepare`, named as the documents of its users name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..config.option import option

Kind = Literal["scenes", "s2", "planet"]
KINDS: tuple[Kind, ...] = ("scenes", "s2", "planet")


@dataclass(frozen=True)
class PrepareOptions:
    """Where scenes and labels are, which patches are made of them, and where these go."""

    data_dir: str | None = option(None, "folder of the scenes")
    train_data_dir: str | None = option(None, "folder to write")
    images: list[str] = option(
        [], "patterns of a scene's files, as a=one/{scene}.tif; none takes each raster, or each folder of rasters"
    )
    band_names: list[str] = option([], "names of the bands in files that do not name them, in order")
    bands: list[str] = option([], "bands to take, in this order: of the files, ndvi, slope, ...; none takes all")
    formulas: list[str] = option([], "bands of your own, as 'ndwi=(green-nir)/(green+nir) in -1..1'")
    scale: float | None = option(
        None, "factor from stored to physical values, where files of whole numbers do not say", above=0
    )
    offset: float | None = option(
        None, "summand from stored to physical values, where files of whole numbers do not say"
    )
    nodata: float | None = option(
        None, "stored value that means missing, where files of whole numbers do not say", finite=False
    )
    limits: list[float] = option([], "two physical values that model.standardise=limits makes 0 and 1")
    crs: str | None = option(None, "coordinate system of files that do not say theirs, as EPSG:32633")
    resolution: float | None = option(
        None, "side of a pixel in units of the coordinate system; null is that of the finest file", above=0
    )
    quality: str | None = option(None, "pattern of the quality mask of a scene, as '*_SCL*.tif' beside it")
    quality_band: int = option(1, "band of the quality mask", minimum=1)
    quality_good: list[int] = option([1], "values of the quality mask that are to be used")
    mask_erosion_size: int = option(0, "px that what is valid shrinks by before labels count", minimum=0)
    dem: str | None = option(None, "raster or folder of rasters of the elevation in metres")
    arcticdem_dir: str | None = option(None, "the same; dem goes before")
    aux: list[str] = option([], "rasters or folders of rasters of further bands")
    tcvis_dir: str | None = option(None, "raster or folder of tc_brightness, tc_greenness, tc_wetness")
    tpi_outer_radius: float = option(100.0, "outer radius of relative_elevation in metres", above=0)
    tpi_inner_radius: float = option(0.0, "inner radius of relative_elevation in metres; 0 is a disk", minimum=0)
    labels: str | None = option(
        None, "vector file, or pattern of rasters or vector files, as mask/{scene}.tif; or points"
    )
    labels_dir: str | None = option(None, "folder that the pattern of labels is relative to; null is data_dir")
    label_kind: Literal["auto", "classes", "values"] = option("auto", "what rasters hold; auto: decimals are values")
    label_column: str | None = option(None, "column of the class in vector files; null is one class")
    label_names: list[str] = option([], "names of the classes, the background first")
    scene_column: str | None = option(None, "column that names the scene, in vector files and in split_table")
    ignored: list[int] = option([], "classes, or values of points, that mean: not labelled")
    points: list[str] = option([], "files of measured points for labels=points: CSV, Parquet, vector files, HDF5")
    points_value: str | None = option(None, "column of the label, or an expression of columns, as rh[98]/100")
    points_filter: str | None = option(None, "expression that is true of points to take, as 'flag == 1 and se < 20'")
    points_xy: list[str] = option([], "columns of x and y; none takes the geometry, or lon and lat, or the like")
    points_crs: str | None = option(None, "coordinate system of points that do not say theirs, as EPSG:32633")
    points_merge: Literal["mean", "median", "max"] = option("mean", "what several points in a pixel make")
    points_diameter: float = option(
        0.0, "diameter in metres of what a point measured; 0 is the pixel that it lies in", minimum=0
    )
    extent: str | None = option(
        None, "vector file of what was labelled, hull of the polygons, or footprints (planet); null is everything"
    )
    patch_size: int = option(256, "side of a patch in px", minimum=1)
    overlap: int = option(0, "px that neighbouring patches share", minimum=0)
    exclude_nopositive: bool = option(False, "leave out patches without a positive label; of values, without any")
    exclude_nan: bool = option(False, "leave out patches in which a band misses a value")
    min_labelled: float | None = option(
        None, "least share of labelled pixels in a patch; null is 0.1, and of points one pixel", minimum=0, maximum=1
    )
    test_val_split: float = option(0.05, "share of scenes for val-test, drawn at random", minimum=0, maximum=0.9)
    test_split: float = option(0.0, "share of scenes for test, drawn at random", minimum=0, maximum=0.9)
    test_regions: list[str] = option([], "names of regions whose scenes are for test")
    admin_dir: str | None = option(None, "vector file or folder of vector files of the regions")
    region_column: str = option("shapeName", "column of the regions' names")
    split_table: str | None = option(None, "CSV table with a row a scene that says its split")
    split_column: str = option("split", "its column of splits: train (cross-val), valid (val-test), test")
    blocks: float | None = option(None, "split patches by squares of this side in metres, not by scenes", above=0)
    folds: int = option(5, "folds of cross-val; 0 makes none", minimum=0)
    fold_method: Literal["auto", "scene", "block", "published"] = option(
        "auto", "what a fold holds out: scenes, or squares where these are too few; published: unshuffled patches"
    )
    seed: int = option(42, "seed of what is drawn", minimum=0)
    no_shards: bool = option(False, "one file a patch")
    format: Literal["zarr", "npy"] = option("zarr", "zarr, or npy: pairs under train, val and test")
    preprocess_cache: str | None = option(None, "folder where the patches of each scene are kept for another time")
    workers: int | None = option(None, "processes; null is dask_worker, else one", minimum=1)
    dask_worker: int | None = option(None, "the same; workers goes before", minimum=1)
    scheduler: str | None = option(None, "address of a dask scheduler whose workers see the same folders")
    device: str | int | None = option(None, "accepted and left alone: preparing needs no GPU")
    ee_project: str | None = option(None, "accepted and left alone: nothing is downloaded")
    ee_use_highvolume: bool | None = option(None, "accepted and left alone: nothing is downloaded")


ALIASES = {"sentinel2_dir": "data_dir", "output": "train_data_dir", "image": "images", "band": "bands"}
"""Other names of options."""
PATCHES = "patches"
"""The kind of what needs no cutting: patches that are there already, in any form that can be read."""
READ = (
    "path",
    "labels_path",
    "bands",
    "wavelengths",
    "scale",
    "offset",
    "nodata",
    "window",
    "stride",
    "cube_key",
    "mask_key",
    "labels_key",
    "label_kind",
    "npy_axes",
    "group",
    "splits",
    "valid_fraction",
    "test_fraction",
    "split_seed",
)
"""Options of the group `dataset` that say how patches are read; `PATCHES` takes these, with or without "dataset."."""
OUTPUT = "train_data_dir"
PATCHES_ALIASES = {
    "data_dir": "path",
    "labels_dir": "labels_path",
    "output": OUTPUT,
    **{f"dataset.{name}": name for name in READ},
}
REFLECTANCE_LIMITS = (0.0, 0.3)
"""What the published normalisation makes 0 and 1."""
_PUBLISHED: dict[str, Any] = {
    "scale": 1e-4,
    "nodata": 0,
    "limits": list(REFLECTANCE_LIMITS),
    "patch_size": 1024,
    "overlap": 16,
    "exclude_nan": True,
    "mask_erosion_size": 10,
    "band_names": ["blue", "green", "red", "nir"],
    "label_names": ["background", "thaw slump"],
}
PRESETS: dict[Kind, dict[str, Any]] = {
    "scenes": {},
    "s2": {
        **_PUBLISHED,
        "quality_good": [4, 5, 6, 7],
        "images": ["{scene}/*_SR*.tif"],
        "quality": "*_SCL*.tif",
    },
    "planet": {
        **_PUBLISHED,
        "images": ["**/{scene}/*_SR.tif|**/{scene}/*_SR_clip.tif"],
        "quality": "*_udm2.tif|*_udm2_clip.tif",
        "scene_column": "image_id",
        "extent": "footprints",
    },
}
"""Defaults of a preset that are not those of `PrepareOptions`."""
WAVELENGTHS = {
    "s2": {"blue": 492.4, "green": 559.8, "red": 664.6, "nir": 832.8},
    "planet": {"blue": 490.0, "green": 565.0, "red": 665.0, "nir": 865.0},
}
"""Centres in nm: of Sentinel-2A, and of PlanetScope SuperDove."""
NORM_FACTORS = {
    **dict.fromkeys(("blue", "green", "red", "nir"), 1 / 3000),
    "ndvi": 1 / 20000,
    **dict.fromkeys(("tc_brightness", "tc_greenness", "tc_wetness"), 1 / 255),
    "relative_elevation": 1 / 30000,
    "slope": 1 / 90,
}
"""The published factors, of the published numbers: (ndvi + 1)·10⁴, (relative elevation + 50)·300."""
EARTH_ENGINE = ("ee_project", "ee_use_highvolume")
