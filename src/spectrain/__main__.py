"""`python -m spectrain`."""

from .cli import main

main()
