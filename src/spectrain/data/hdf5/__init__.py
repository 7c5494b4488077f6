"""HDF5: a dataset a split, one cube a file, or a table that lists cubes; what attributes say, how chunks are read."""
