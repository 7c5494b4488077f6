"""From files to batches: readers, the native format, statistics, splits, the loader. Knows bands, not tasks."""
