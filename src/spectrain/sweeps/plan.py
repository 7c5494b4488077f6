"""What a sweep trains: from a trial's parameters, a seed and a fold to the configuration of one run."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..config import Config, load_config
from ..config.entries import normal
from ..config.resolver import PERSONAL
from ..config.yaml_file import dumped
from ..core.errors import ConfigError, Problem
from ..runs.migrations import migrated
from .definition import Definition, parse_definition
from .store import RunRecord, run_key

Score = Literal["best", "last"]
NAME, VERSION = "spectrain.sweep", 1
PUBLISHED_SEEDS = (42, 21, 69)
PUBLISHED_FOLDS = 5
"""Of ``fold_method=published`` there are always five; ``n_folds`` of three takes the first three."""


@dataclass(frozen=True)
class Plan:
    """A sweep: its file, and the configuration that every trial begins from. All of it is kept in the study.

    Attributes:
        sweep_id: its name in the database and of its folder.
        recipe: of the trainings.
        file: name of the sweep file.
        text: its content.
        config_name: name of the options file; None where there is none.
        config_text: its content.
        personal_text: content of the personal defaults, which count for all runners.
        config_dir: folder with group files of the user's own.
        overrides: ``key=value`` words.
        flags: ``--key value`` words.
        plugins: modules to import; files by their absolute paths.
        folds: how many folds each trial is run on, from the first on; 1 takes the data's own splits.
        randoms: how many seeds.
        seed: of random search.
        score: the best epoch of each run, or the last.
    """

    sweep_id: str
    recipe: str
    file: str
    text: str
    config_name: str | None = None
    config_text: str | None = None
    personal_text: str | None = None
    config_dir: str | None = None
    overrides: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    folds: int = 1
    randoms: int = 1
    seed: int = 0
    score: Score = "best"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"format": {"name": NAME, "version": VERSION}, **asdict(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Plan:
        """Read what `to_json` returned.

        Raises:
            RunError: a newer version wrote it.
        """
        record = migrated(record, NAME, VERSION, where=f"the study of the sweep {record.get('sweep_id')}")
        words = {name: tuple(record[name]) for name in ("overrides", "flags", "plugins")}
        return cls(**{name: value for name, value in record.items() if name != "format"} | words)

    @cached_property
    def definition(self) -> Definition:
        """The sweep file, read."""
        return parse_definition(self.text, self.file)

    @property
    def runs(self) -> list[RunRecord]:
        """The runs of a trial, first fold and seed first: what is worst is known soonest."""
        folds: list[int | None] = [None] if self.folds == 1 else list(range(self.folds))
        return [RunRecord(seed, fold) for seed in seeds(self.randoms) for fold in folds]

    def config(self, words: Sequence[str] = ()) -> Config:
        """Return the configuration with further words, checked as any.

        Raises:
            ConfigError: with every mistake at once.
        """
        with tempfile.TemporaryDirectory() as folder:

            def written(name: str, text: str | None) -> Path | None:
                return None if text is None else _written(Path(folder) / name, text)

            try:
                return load_config(
                    self.recipe,
                    config=written(self.config_name or "options.toml", self.config_text),
                    overrides=[*self.overrides, *words],
                    flags=self.flags,
                    plugins=self.plugins,
                    config_dir=self.config_dir,
                    use_personal=written(PERSONAL, self.personal_text) or False,
                )
            except ConfigError as error:  # the user's file is meant, not our copy of it
                raise ConfigError(
                    [replace(one, origin=one.origin.replace(f"{folder}/", "")) for one in error.problems]
                ) from None

    def trial_config(
        self,
        number: int,
        parameters: Mapping[str, Any],
        run: RunRecord,
        device: str | None,
        places: Sequence[str] = (),
    ) -> Config:
        """Return the configuration of one run of a trial.

        Args:
            number: of the trial.
            parameters: that it tries.
            run: seed and fold.
            device: to train on; None is the configuration's.
            places: ``key=value`` words of this runner: where its data are.

        Paths are ``{artifact_dir}/{sweep_id}/{trial_name}/{run_name}-{run_id}``, the same whoever trains it.
        """
        trial = f"{self.definition.name}-{number}"
        metric = self.definition.metrics[0]
        words = [
            f"general.seed={run.seed}",
            f"trial_name={trial}",
            f"run_name={trial}-{run.key}",
            f"run_id={run_id(self.sweep_id, number, run)}",
            f"wandb.group={self.sweep_id}",
            f"mlflow.parent={self.sweep_id}/{trial}",
            f"hparams.monitor={metric.name}",
            f"hparams.monitor_mode={'max' if metric.goal == 'maximize' else 'min'}",
        ]
        words += [] if run.fold is None else [f"dataset.fold={run.fold}"]
        words += [] if device is None else [f"general.device={device}"]
        cfg = replace(self, overrides=tuple(replaced(replaced(self.overrides, places), words))).config(
            words_of(parameters)
        )
        if run.fold is not None and cfg.dataset.folds is None and cfg.dataset.fold_method != "given":
            count = PUBLISHED_FOLDS if cfg.dataset.fold_method == "published" else self.folds
            cfg = replace(cfg, dataset=replace(cfg.dataset, folds=max(count, self.folds)))
        return replace(cfg, artifact_dir=str(Path(cfg.artifact_dir) / self.sweep_id))

    def check(self) -> None:
        """Raise a `ConfigError` where a parameter is no option, or a value of it is impossible; with its line."""
        definition = self.definition
        base = definition.space.random(self.seed, 0)
        problems: dict[str, Problem] = {}
        for name, distribution in definition.space.parameters.items():
            ends = [distribution.draw(u) for u in (0.0, 1 - 1e-9)]
            for value in (distribution.values or ends)[:50]:
                try:
                    self.config(words_of({**base, name: value}))
                except ConfigError as error:
                    found = {one.key: self._placed(one, definition) for one in error.problems}
                    if all(found[one.key] is one for one in error.problems):  # of the configuration itself
                        raise
                    problems |= {key: one for key, one in found.items() if key not in problems}
        if problems:
            raise ConfigError(list(problems.values()))

    def _placed(self, problem: Problem, definition: Definition) -> Problem:
        """Return a problem as that of the line of the parameter that it is about; itself where it is about none."""
        for name in definition.space.parameters:
            if _about(problem, name):
                return replace(problem, origin=definition.origins[name])
        return problem


def _about(problem: Problem, name: str) -> bool:
    return problem.key == name or problem.key.rpartition(".")[2] == name.rpartition(".")[2] or name in problem.what


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def replaced(words: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return ``key=value`` words with others behind them, without those that the others say anew."""
    anew = {_key(word) for word in others}
    return [*(word for word in words if _key(word) not in anew), *others]


def _key(word: str) -> str:
    return normal(word.partition("=")[0].lstrip("+"))


def words_of(parameters: Mapping[str, Any]) -> list[str]:
    """Return parameters as ``key=value`` words."""
    return [f"{name}={dumped(value)}" for name, value in parameters.items()]


def seeds(count: int) -> list[int]:
    """Return the published seeds: 42, 21, 69, and from then on a fixed sample."""
    more = random.Random(42).sample(range(9999), count - len(PUBLISHED_SEEDS)) if count > len(PUBLISHED_SEEDS) else []
    return [*PUBLISHED_SEEDS, *more][:count]


def run_id(sweep_id: str, number: int, run: RunRecord) -> str:
    """Return the id of a run: the same for everybody, so that whoever takes a trial over finds its folder."""
    import hashlib

    text = f"{sweep_id}\n{number}\n{run_key(run.seed, run.fold)}".encode()
    digest = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(letters[digest // 36**place % 36] for place in range(8))
