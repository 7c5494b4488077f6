"""From files to batches. Knows bands, not tasks.

Readers of each form of patches, and the native form that is written; scenes and rasters, and where they lie on the
ground; statistics; splits and folds; subsets, windows and mixtures of sets; the order of samples, the loader, and the
values that are made of what is stored. What guards a format stands beside its reader: which drivers may open a file,
whether it leads elsewhere, and sizes that are looked at before memory is asked for.
"""
