"""Metrics as sums on the device, read once an epoch; tables of tests, fits of calibration, files of labelled pixels."""
