"""From files to batches: patches and scenes, readers, splits, statistics, the loader. Knows bands, not tasks.

Here lie the nouns and what all formats share: patches, subsets and mixtures of them, windows, values, ground, splits
and folds, orders of samples, the loader. Each format has a folder: `hdf5`, `native`, `npy`, `raster`, `zarr`; `stored`
takes rows of arrays, whatever their format.
"""
