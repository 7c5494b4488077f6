"""What was found of a data set, a run or a folder, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.band_statistics import Statistics
from .commands import shell

if TYPE_CHECKING:
    from .survey import Survey


@dataclass(frozen=True)
class LabelRange:
    """Of the measured labels of one layer.

    Attributes:
        count: how many.
        minimum: the lowest.
        median: of labels evenly taken from all.
        maximum: the highest.
    """

    count: int
    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class SplitFacts:
    """What is known of one split.

    Attributes:
        split: its name.
        shape: (N, C, H, W).
        dtype: stored type.
        has_mask: a mask is stored beside the images.
        labels: class or value -> count over the labels read; empty where there are none.
        ignored: those of the labels that do not count.
        names: of the classes, where the data name them.
        statistics: of each band, in physical units.
        warnings: what looks wrong.
        bare: patches without any measurement among those whose labels were read; 0 where labels are classes.
        empty: patches without any valid value.
        ranges: of each layer of measured labels; () where labels are classes.
        looked_at: patches whose values were read.
    """

    split: str
    shape: tuple[int, int, int, int]
    dtype: str
    has_mask: bool
    labels: dict[str, int]
    ignored: tuple[str, ...]
    names: tuple[str, ...]
    statistics: Statistics
    warnings: tuple[str, ...]
    bare: int = 0
    empty: int = 0
    ranges: tuple[LabelRange | None, ...] = ()
    looked_at: int = 0


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect` found; printing it gives the text for people.

    Attributes:
        path: what was looked at.
        bands: one a channel, as JSON values.
        splits: of a data set.
        advice: what would make training better or faster.
        run: `run.json`, where it was a run.
        kind: what it is.
        folds: patches on each side of each fold that is given.
        words: of the command that trains on it; of a folder, of the first to go on with.
        folder: what is in a folder of one's own files, where it was one.
        checkpoints: names of the checkpoints of a run.
    """

    path: Path
    bands: list[dict[str, Any]]
    splits: tuple[SplitFacts, ...]
    advice: tuple[str, ...]
    run: dict[str, Any] | None = None
    kind: str = ""
    folds: tuple[dict[str, int], ...] = ()
    words: tuple[str, ...] = ()
    folder: Survey | None = None
    checkpoints: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that trains on it, or the first to go on with, for a shell."""
        return shell(self.words)

    @property
    def usable(self) -> bool:
        """There is something to go on with."""
        return self.folder is None or self.folder.usable

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        splits = [{**asdict(facts), "statistics": facts.statistics.to_json()} for facts in self.splits]
        record = {"path": str(self.path), "bands": self.bands, "splits": splits, "advice": self.advice, "run": self.run}
        if self.folder is not None:
            record["folder"] = {
                "doubts": self.folder.doubts,
                "unread": self.folder.unread,
                "ways": [{"title": way.title, "commands": way.lines()} for way in self.folder.ways],
            }
        return {
            **record,
            "kind": self.kind,
            "folds": list(self.folds),
            "command": self.command,
            "words": list(self.words),
            "checkpoints": list(self.checkpoints),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Inspection:
        """Return what `to_json` of a data set or a run wrote."""
        return cls(
            Path(record["path"]),
            list(record["bands"]),
            tuple(_split(facts) for facts in record["splits"]),
            tuple(record["advice"]),
            record["run"],
            record["kind"],
            tuple(record["folds"]),
            tuple(record["words"]),
            checkpoints=tuple(record["checkpoints"]),
        )

    def __str__(self) -> str:
        from .found_text import inspection_text
        from .page import text_of

        return inspection_text(self) if self.folder is None else text_of(self.path, self.folder)


def _split(record: Mapping[str, Any]) -> SplitFacts:
    ranges = tuple(None if one is None else LabelRange(**one) for one in record["ranges"])
    count, channels, height, width = record["shape"]
    return SplitFacts(
        **{
            **record,
            "shape": (count, channels, height, width),
            "ignored": tuple(record["ignored"]),
            "names": tuple(record["names"]),
            "warnings": tuple(record["warnings"]),
            "statistics": Statistics.from_json(record["statistics"]),
            "ranges": ranges,
        }
    )
