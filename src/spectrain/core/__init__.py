"""What every other part speaks in: bands, batches, targets, errors, names, random numbers. Imports nothing of ours."""
