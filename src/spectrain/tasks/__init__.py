"""What is learned. A task turns stored labels into targets and owns the loss, the metrics and the picture."""
