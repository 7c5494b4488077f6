"""Folders of .npy files: which belong together, what their headers say, and how windows of them are read."""
