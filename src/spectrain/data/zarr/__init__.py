"""Plain Zarr groups of other programs, version 2 and 3, and the published layouts of DARTS."""
