"""What a sweep is: its file in W&B's words, checked as a whole before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ..config.coerce import shown
from ..config.entries import Row, flatten, place
from ..config.sources import LARGEST
from ..config.yaml_file import rows_of
from ..core.errors import ConfigError, Problem, nearest, perhaps
from .distributions import space_of
from .space import Space

Method = Literal["random", "grid", "bayes"]
Goal = Literal["maximize", "minimize"]
KEYS = ("name", "description", "method", "metric", "parameters", "early_terminate", "run_cap")
LEFT_ALONE = ("program", "command", "project", "entity")
"""Of W&B's sweeps, and of no use here: trainings are our own, and W&B's names come with the configuration."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A value that decides, and which way.

    Attributes:
        name: as it was written: ``jaccard_valid``, ``val/JaccardIndex`` or ``val0/JaccardIndex``.
        goal: "maximize" or "minimize".
    """

    name: str
    goal: Goal


@dataclass(frozen=True, slots=True)
class Pruning:
    """When a trial is given up before all of its runs are done.

    Attributes:
        kind: "median" gives up a trial whose mean so far is worse than the median of the others at as many runs;
            "halving" keeps the better share 1/eta after 1, eta, eta² ... runs.
        least: runs of a trial before it may be given up.
        eta: see "halving".
    """

    kind: Literal["median", "halving"]
    least: int = 1
    eta: int = 3


@dataclass(frozen=True)
class Definition:
    """A sweep file.

    Attributes:
        name: what it is called.
        method: how parameters are chosen.
        metrics: one, or several for a Pareto front.
        space: what they are chosen from.
        origins: where each parameter was written.
        pruning: None never gives up.
        total: trials at most (``run_cap``); None for no end.
        text: the file.
    """

    name: str
    method: Method
    metrics: tuple[Metric, ...]
    space: Space
    origins: Mapping[str, str]
    pruning: Pruning | None
    total: int | None
    text: str


def read_definition(path: Path) -> Definition:
    """Read a sweep file.

    Raises:
        ConfigError: with every mistake at once, each with its line.
    """
    try:
        if path.expanduser().stat().st_size > LARGEST:
            raise ConfigError([Problem(str(path), str(path), f"is larger than {LARGEST >> 20} MiB: no sweep file")])
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError([Problem(str(path), str(path), f"cannot be read: {why}")]) from error
    return parse_definition(text, str(path))


def parse_definition(text: str, file: str) -> Definition:
    """Return the sweep that a text describes; see `read_definition`."""
    reading = _Reading(file)
    rows = {row.name: row for row in rows_of(text, file)}
    reading.unknown(rows)
    metrics = reading.metrics(rows.get("metric"))
    space, origins = reading.space(rows.get("parameters"))
    method = reading.method(rows.get("method"), space)
    pruning = reading.pruning(rows.get("early_terminate"))
    total = reading.whole(rows.get("run_cap"))
    name = reading.leaf(rows.get("name"))
    if pruning is not None and len(metrics) > 1:
        reading.wrong("early_terminate", rows["early_terminate"].line, "needs one metric, and there are several")
    if method == "grid" and not reading.problems:
        total = min(total or space.grid_size, space.grid_size)
    if reading.problems:
        raise ConfigError(reading.problems)
    return Definition(str(name or Path(file).stem), method, metrics, space, origins, pruning, total, text)


class _Reading:
    """One reading of a file, and what is wrong in it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def wrong(self, key: str, line: int | None, what: str, fix: str | None = None) -> None:
        self.problems.append(Problem(key, place(self.file, line), what, fix))

    def leaf(self, row: Row | None) -> Any:
        return None if row is None or isinstance(row.value, list) else row.value.value

    def unknown(self, rows: Mapping[str, Row]) -> None:
        for name, row in rows.items():
            if name not in (*KEYS, *LEFT_ALONE):
                what = "is no key of a sweep" + perhaps(name, KEYS)
                self.wrong(name, row.line, what, f"known are {', '.join(KEYS)}")

    def metrics(self, row: Row | None) -> tuple[Metric, ...]:
        if row is None:
            self.wrong("metric", None, "is not given", "write metric: {name: jaccard_valid, goal: maximize}")
            return ()
        if isinstance(row.value, list):
            given: Sequence[Any] = [{one.name: self.leaf(one) for one in row.value}]
        else:
            given = row.value.value if isinstance(row.value.value, list) else [row.value.value]
        found = []
        for one in given:
            if not isinstance(one, dict) or not isinstance(one.get("name"), str):
                self.wrong("metric", row.line, f"must have a name and a goal, not {shown(one)}")
                continue
            goal = one.get("goal", "minimize")
            if goal not in get_args(Goal):
                near = nearest(str(goal), get_args(Goal))
                what = f"must be maximize or minimize, not {shown(goal)}"
                self.wrong("metric.goal", row.line, what, f"did you mean {near[0]!r}?" if near else None)
                continue
            if extra := sorted(set(one) - {"name", "goal", "target"}):
                self.wrong("metric", row.line, f"has no word {extra[0]!r}", "it has name and goal")
            found.append(Metric(one["name"], cast(Goal, goal)))
        if not given:
            self.wrong("metric", row.line, "lists none")
        return tuple(found)

    def space(self, row: Row | None) -> tuple[Space, dict[str, str]]:
        if row is None or not isinstance(row.value, list):
            line = None if row is None else row.line
            self.wrong("parameters", line, "must hold a table a parameter", "write parameters: {optimizer.lr: {...}}")
            return Space({}), {}
        entries, doubled = flatten(row.value, self.file)
        space, origins, problems = space_of(entries)
        self.problems += [*doubled, *problems]
        return space, origins

    def method(self, row: Row | None, space: Space) -> Method:
        said = self.leaf(row)
        if row is None or said not in get_args(Method):
            near = nearest(str(said), get_args(Method))
            what = "is not given" if row is None else f"must be random, grid or bayes, not {shown(said)}"
            self.wrong(
                "method", None if row is None else row.line, what, f"did you mean {near[0]!r}?" if near else None
            )
            return "random"
        if said == "grid":
            for name in space.endless():
                fix = "list values, or take a range of whole numbers or of steps (q_uniform)"
                self.wrong(f"parameters.{name}", row.line, "has no end, which a grid needs", fix)
        return cast(Method, said)

    def pruning(self, row: Row | None) -> Pruning | None:
        if row is None:
            return None
        words = {one.name: self.leaf(one) for one in row.value} if isinstance(row.value, list) else {}
        kind = {"hyperband": "halving"}.get(str(words.get("type")), words.get("type"))
        if kind not in ("median", "halving"):
            self.wrong("early_terminate.type", row.line, f"must be median, halving or hyperband, not {shown(kind)}")
            return None
        least, eta = words.get("min_iter", 1), words.get("eta", 3)
        for name, value, smallest in (("min_iter", least, 1), ("eta", eta, 2)):
            if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
                self.wrong(f"early_terminate.{name}", row.line, f"must be {smallest} or more, not {shown(value)}")
                return None
        known = ("type", "min_iter", "eta", "s", "max_iter", "strict")
        for extra in sorted(set(words) - set(known)):
            self.wrong(f"early_terminate.{extra}", row.line, "is no word of it", f"known are {', '.join(known)}")
        return Pruning(cast(Literal["median", "halving"], kind), least, eta)

    def whole(self, row: Row | None) -> int | None:
        said = self.leaf(row)
        if row is not None and (not isinstance(said, int) or isinstance(said, bool) or said < 1):
            self.wrong(row.name, row.line, f"must be a whole number of 1 or more, not {shown(said)}")
            return None
        return cast("int | None", said)
