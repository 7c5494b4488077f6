"""A runner: claims trials, trains their runs, and says how they ended, until nothing is left to do."""

from __future__ import annotations

import csv
import errno
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from ..config import Config
from ..core.errors import BusyRunError, SpectrainError
from ..training.whole_run import StoppedError
from .plan import Plan
from .space import Distribution
from .store import BEAT, RUNNER, RUNS, Held, RunRecord, Store, TakenOverError, identity, values_of
from .training import scores_of, tell_trackers, train_run

log = logging.getLogger("spectrain")

ATTEMPTS = 5
"""How often a run may take its worker with it, without an epoch more, before it counts as failed."""
FOLDER_WAIT = 15.0
"""Seconds that another process at a run's folder is waited for: what a dead worker leaves behind ends in a few."""
PAUSE = 5.0
"""Seconds between two looks whether a trial of another runner has become free."""


class Runner:
    """Works on a sweep.

    Args:
        store: where it is kept.
        plan: what it is.
        name: that its trials are counted by, across restarts.
        device: to train on; None is the configuration's.
        own: most trials that it begins.
        total: most trials of the sweep.
        places: ``key=value`` words for each run: where this machine's data are.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        name: str,
        device: str | None,
        own: int | None,
        total: int | None,
        places: Sequence[str] = (),
    ) -> None:
        self.places = places
        self.store, self.plan, self.name, self.device = store, plan, name, device
        self.definition = plan.definition
        bound = self.definition.total
        self.total = min((one for one in (total, bound) if one is not None), default=None)
        self.own = own
        self.owner = identity(name)
        self.failed = 0

    def work(self) -> int:
        """Work until nothing is left; return how many trials failed here.

        Raises:
            StoppedError: somebody asked to stop; the trial waits for whoever comes next.
            KeyboardInterrupt: the same, between two trainings.
            SpectrainError: the database is away for too long, or the disk is full.
        """
        while True:
            held = self._claim()
            if held is not None:
                try:
                    self._trial(held)
                except TakenOverError as error:  # what was trained lies in its folder; whoever has the trial finds it
                    log.warning("%s", error)
                except KeyboardInterrupt:
                    self.store.release(held, self.owner)
                    raise
            elif self._may_be_needed():
                time.sleep(PAUSE)
            else:
                return self.failed

    def _claim(self) -> Held | None:
        chosen: dict[str, Any] = {"parameters": self._parameters}
        if self.definition.method == "bayes":
            chosen = {"parameters": None, "sampler": self._sampler(), "suggest": self._suggest}
        return self.store.claim(self.owner, self.name, total=self.total, own=self.own, runs=self.plan.runs, **chosen)

    def _may_be_needed(self) -> bool:
        """Say whether a trial that is under way elsewhere may become free, for this runner to go on with."""
        trials = self.store.trials()
        mine = [trial.user_attrs.get(RUNNER) == self.name for trial in trials]
        enough = self.own is not None and sum(mine) >= self.own
        # of its own it waits for what it left behind when it died, not for those of others
        waited = [own or not enough for own in mine]
        return any(trial.state == TrialState.RUNNING and one for trial, one in zip(trials, waited, strict=True))

    def _parameters(self, number: int) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        space = self.definition.space
        values = space.grid(number) if self.definition.method == "grid" else space.random(self.plan.seed, number)
        return values, {name: told(one) for name, one in space.parameters.items()}

    def _sampler(self) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler()

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return {name: suggested(trial, name, one) for name, one in self.definition.space.parameters.items()}

    def _trial(self, held: Held) -> None:
        """Train what is left of a trial, and end it."""
        said = ", ".join(f"{name} {plain(value)}" for name, value in held.parameters.items())
        log.info("trial %d%s: %s", held.number, "" if held.fresh else ", taken over", said)
        with self._beating(held):
            records = list(held.runs.values())
            for number, record in enumerate(records, start=1):
                if record.state == "failed":  # its worker died before it could say so of the trial
                    self._end_failed(held, record)
                    return
                if record.state != "done" and not self._run(held, record):
                    return
                if record.state == "done" and any(one.attempts for one in records[number:]):
                    continue  # it was decided then that the trial goes on
                done = [one for one in held.runs.values() if one.state == "done"]
                if len(self.definition.metrics) == 1:
                    so_far = mean(one.scores[0] for one in done)
                    self.store.report(held, self.owner, so_far, number)
                    if number < len(held.runs) and self._hopeless(held, so_far, number):
                        self.store.finish(held, self.owner, None, "pruned", f"worse than others after {number} runs")
                        log.info("trial %d: given up after %d runs at %.4g", held.number, number, so_far)
                        self._tell(held, [so_far], "finished")
                        return
            scores = [mean(column) for column in zip(*(one.scores for one in held.runs.values()), strict=True)]
            self.store.finish(held, self.owner, scores, "complete")
            self._tell(held, scores, "finished")
            metrics = zip(self.definition.metrics, scores, strict=True)
            log.info("trial %d: %s", held.number, ", ".join(f"{one.name} {value:.4g}" for one, value in metrics))

    def _run(self, held: Held, record: RunRecord) -> bool:
        """Train a run; return False where it failed, and the trial with it."""
        before = record
        try:
            cfg = self.plan.trial_config(held.number, held.parameters, record, self.device, self.places)
        except Exception as error:
            return self._broken(held, before, record, error)
        if (epochs := _epochs(cfg)) > record.epochs:  # its worker was taken from it; what kills its worker stands still
            record = replace(record, attempts=0, epochs=epochs)
        if record.attempts >= ATTEMPTS:
            self._fail(held, record, f"its worker died {record.attempts} times without an epoch more")
            return False
        record = replace(record, state="running", attempts=record.attempts + 1)
        self.store.note(held, self.owner, record)
        try:
            folder = self._trained(cfg)
            scores = scores_of(folder, cfg, self.definition.metrics, self.plan.score)
        except (KeyboardInterrupt, StoppedError):
            self._give_back(held, before)
            raise
        except BusyRunError as error:
            log.warning("trial %d: %s (%s); it is left to it for now", held.number, error.what, error.where)
            self._give_back(held, before, now=False)
            return False
        except Exception as error:
            return self._broken(held, before, record, error)
        inside = folder.relative_to(Path(cfg.artifact_dir).absolute())
        self.store.note(held, self.owner, replace(record, state="done", scores=scores, folder=str(inside)))
        return True

    def _broken(self, held: Held, before: RunRecord, record: RunRecord, error: Exception) -> bool:
        """End a run that raised an error, and its trial; where it is the machine's, give the trial back and raise."""
        if _is_of_the_machine(error):
            self._give_back(held, before)
            raise error
        self._fail(held, record, str(error) or type(error).__name__)
        return False

    def _trained(self, cfg: Config) -> Path:
        """Train a run, or find it trained by a worker that was thought dead; return its folder.

        Raises:
            BusyRunError: another process holds its folder, and goes on to.
        """
        begun = time.monotonic()
        while True:
            try:
                return train_run(cfg)
            except BusyRunError:
                if time.monotonic() - begun > FOLDER_WAIT:
                    raise
                time.sleep(min(1.0, FOLDER_WAIT / 10))

    def _give_back(self, held: Held, before: RunRecord, *, now: bool = True) -> None:
        """Leave the trial to whoever comes next; what was begun of a run in vain does not count."""
        held.runs[before.key] = before
        self.store.release(held, self.owner, now=now)

    def _fail(self, held: Held, record: RunRecord, reason: str) -> None:
        log.error("trial %d, run %s failed: %s", held.number, record.key, reason)
        record = replace(record, state="failed", reason=reason)
        self.store.note(held, self.owner, record)
        self._end_failed(held, record)

    def _end_failed(self, held: Held, record: RunRecord) -> None:
        self.store.finish(held, self.owner, None, "failed", f"run {record.key}: {record.reason}")
        self.failed += 1
        self._tell(held, [], "failed")

    def _tell(self, held: Held, scores: Sequence[float], status: str) -> None:
        """Write what a trial came to into the trackers of its runs."""
        record = next(iter(held.runs.values()))
        with suppress(SpectrainError):  # a configuration that cannot be is why it failed
            cfg = self.plan.trial_config(held.number, held.parameters, record, self.device, self.places)
            values = {metric.name: value for metric, value in zip(self.definition.metrics, scores, strict=False)}
            tell_trackers(cfg, values, held.parameters, status)

    def _hopeless(self, held: Held, so_far: float, runs: int) -> bool:
        """Say whether a trial is to be given up after so many runs."""
        pruning = self.definition.pruning
        if pruning is None or runs < pruning.least:
            return False
        sign = 1 if self.definition.metrics[0].goal == "maximize" else -1
        others = [sign * value for value in self._means(runs, besides=held.number)]
        mine = sign * so_far
        if pruning.kind == "median":
            return len(others) > 1 and mine < median(others)
        rungs = {pruning.least * pruning.eta**power for power in range(20)}
        if runs not in rungs or len(others) + 1 < pruning.eta:
            return False
        better = sorted([*others, mine], reverse=True)[: max(1, (len(others) + 1) // pruning.eta)]
        return mine < better[-1]

    def _means(self, runs: int, besides: int) -> list[float]:
        """Return the mean score of other trials over their first so many runs."""
        found = []
        for trial in self.store.trials():
            records = [RunRecord.from_json(one) for one in trial.user_attrs.get(RUNS, {}).values()][:runs]
            if trial.number != besides and len(records) == runs and all(one.state == "done" for one in records):
                found.append(mean(one.scores[0] for one in records))
        return found

    @contextmanager
    def _beating(self, held: Held) -> Iterator[None]:
        """Give signs of life beside the training."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(BEAT):
                try:
                    if not self.store.beat(held, self.owner):
                        log.warning("trial %d was taken over by another runner", held.number)
                        return
                except Exception as error:  # the training goes on; what it finds is kept on disk
                    log.warning("no sign of life could be given: %s", error)

        thread = threading.Thread(target=beat, name="sweep-beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def told(one: Distribution) -> BaseDistribution:
    """Return what Optuna is to know of a parameter, for importance and pictures."""
    if one.kind in ("constant", "categorical") or one.low is None or one.high is None:
        if one.values is not None:
            return CategoricalDistribution(list(dict.fromkeys(values_of(value) for value in one.values)))
        ends = [float(one.draw(u)) for u in (0.0, 1 - 1e-15)]  # of a bell, as far as it is ever drawn
        return FloatDistribution(min(ends), max(ends))
    if one.integers and one.step in (None, 1):
        return IntDistribution(int(one.low), int(one.high))
    return FloatDistribution(float(one.low), float(one.high), log=one.log and one.low > 0)


def suggested(trial: optuna.Trial, name: str, one: Distribution) -> Any:
    """Return a value that Optuna's sampler suggests; of what it does not know, from an even number of [0, 1)."""
    if one.kind == "constant":
        return one.draw(0.0)
    if one.kind == "categorical" and one.values is not None:
        named: Mapping[Any, Any] = {values_of(value): value for value in one.values}
        return named[trial.suggest_categorical(name, list(named))]
    if one.kind == "int_uniform" and one.low is not None and one.high is not None:
        return trial.suggest_int(name, int(one.low), int(one.high))
    if one.kind in ("uniform", "log_uniform_values", "inv_log_uniform_values") and one.low is not None:
        assert one.high is not None
        return trial.suggest_float(name, one.low, one.high, log=one.log)
    if one.kind == "q_uniform" and one.low is not None and one.high is not None and one.step is not None:
        value = trial.suggest_float(name, one.low, one.high, step=one.step)
        return int(value) if one.integers else round(value, 12)  # 0.6, not 0.6000000000000001
    return one.draw(trial.suggest_float(f"share of {name}", 0.0, 1 - 1e-12))


def plain(value: Any) -> str:
    """Return a value as a person reads it: 0.0002178 for 0.00021784185280201017."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _epochs(cfg: Config) -> int:
    """Return how many epochs of a run are done."""
    path = Path(cfg.artifact_dir) / str(cfg.trial_name) / f"{cfg.run_name}-{cfg.run_id}" / "metrics.csv"
    try:
        with path.open(newline="") as file:
            return sum(1 for _ in csv.DictReader(file))
    except OSError:
        return 0


def _is_of_the_machine(error: BaseException) -> bool:
    """Say whether an error is the machine's and not the trial's: then other trials would fail as well."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return True
        seen = seen.__cause__ or seen.__context__
    return isinstance(error, SpectrainError) and "the disk is full" in str(error)


__all__: Sequence[str] = ["Runner", "suggested", "told"]
