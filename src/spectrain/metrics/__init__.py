"""Metrics as sums on the device, read once an epoch."""
