"""What a preparation made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .assign import SPLITS


@dataclass(frozen=True)
class Prepared:
    """What a preparation made.

    Attributes:
        folder: where it is.
        patches: how many each split has; splits without any are not there.
        dropped: patches that were left out, by reason.
        failed: what went wrong with a scene, by its name.
        lines: what the user should know besides.
        expected: splits that a line speaks of where they have no patches.
    """

    folder: Path
    patches: Mapping[str, int]
    dropped: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    expected: tuple[str, ...] = tuple(SPLITS)

    def __str__(self) -> str:
        said = [f"{self.folder}: " + (", ".join(f"{name} {n}" for name, n in self.patches.items()) or "no patches")]
        said += [f"{count} patches left out: {why}" for why, count in self.dropped.items()]
        said += [f"no patches for {name}: not written" for name in self.expected if name not in self.patches]
        said += self.lines
        if self.failed:
            said.append(f"{len(self.failed)} scenes failed:")
            said += [f"  {name}: {error}" for name, error in self.failed.items()]
        return "\n".join(said)
