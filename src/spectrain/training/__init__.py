"""The one loop: a session's parts, steps, checkpoints, curves, validation, tests and probes.

What it reads lies in `inputs`, where it runs in `processes`, what it left to be used in `trained`.
"""
