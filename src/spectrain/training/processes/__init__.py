"""Where a training runs: devices and precision, processes that share a model, and what is put around it for them."""
