"""Keys that one options file may hold for other commands; they are accepted and left alone.

The tables of the other recipes come on top of these (see :func:`known_elsewhere`).
"""

from __future__ import annotations

# fmt: off
ELSEWHERE: dict[str, frozenset[str]] = {
    "prepare": frozenset({
        "data_dir", "train_data_dir", "labels_dir", "sentinel2_dir", "arcticdem_dir", "tcvis_dir", "admin_dir",
        "preprocess_cache", "dask_worker", "ee_project", "ee_use_highvolume", "tpi_outer_radius", "tpi_inner_radius",
        "patch_size", "overlap", "exclude_nopositive", "exclude_nan", "mask_erosion_size", "test_val_split",
        "test_regions", "images", "band_names", "formulas", "quality", "quality_band", "quality_good", "dem", "aux",
        "labels", "label_kind", "label_column", "label_names", "scene_column", "ignored", "extent", "min_labelled",
        "test_split", "region_column", "split_table", "split_column", "blocks", "folds", "fold_method", "no_shards",
        "seed", "format", "bands", "scale", "offset", "nodata", "limits", "crs", "resolution", "points",
        "points_value", "points_filter", "points_xy", "points_crs", "points_merge", "points_diameter", "workers",
        "scheduler", "device",
    }),
    "sweep": frozenset({
        "sweep_config", "recipe", "sweep_id", "sweep_db", "device", "devices", "runner", "n_trials", "total_trials",
        "n_folds", "n_randoms", "score", "sweep_seed",
    }),
}
