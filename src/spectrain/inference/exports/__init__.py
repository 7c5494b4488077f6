"""What `spectrain export` writes, and how it is held against the run's own model."""
