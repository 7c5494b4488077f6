"""What a training left, to be used: a model with its bands and statistics, ensembles of such, exported ones."""
