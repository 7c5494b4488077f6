"""The command. Imports nothing heavy until a verb runs."""
