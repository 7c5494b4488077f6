"""What every other part speaks in. Imports nothing of ours.

Bands, batches, targets, losses as sums; what models make of a batch, for losses, metrics and pictures; the registry of
parts and their names; errors, and what damaged files and full disks are turned into; random numbers; facts of the
process: how it was started, who the others are, whether one is still there.
"""
