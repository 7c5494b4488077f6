"""What a training reads, and what it must know of its data before it begins: statistics, classes, facts of labels."""
