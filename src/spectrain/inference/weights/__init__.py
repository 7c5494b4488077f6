"""The published weights of other systems, read without running anything in them."""
