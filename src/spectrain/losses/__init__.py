"""Losses, one a file: float32, on the device, as a sum and a weight."""
