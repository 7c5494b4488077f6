"""The form that `spectrain prepare` writes: its files, who writes and who reads them (docs/native-format.md)."""
