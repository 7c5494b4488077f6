"""Kinds of parameters that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

# the words that the resolver reads: key=value and --key value
Words = Annotated[str, Parameter(allow_leading_hyphen=True)]
Output = Annotated[Path | None, Parameter(alias="-o")]
Switch = Annotated[bool, Parameter(negative="")]
Several = Annotated[list[str] | None, Parameter(negative="")]
