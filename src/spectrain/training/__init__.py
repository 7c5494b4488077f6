"""The one loop, and what is applied to a model from outside: precision, compilation, parallelism, checkpoints."""
