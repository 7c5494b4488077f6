"""Augmentations: functions of a whole batch, on the device, whose randomness belongs to each sample."""
