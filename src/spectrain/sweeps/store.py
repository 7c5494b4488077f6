"""Where a sweep is kept: a study of Optuna's, in SQLite, PostgreSQL or a journal file, and what runners may do in it.

Every trial carries what we add as attributes: who works on it and since when (a lease), its runs, its parameters. Only
the holder of a lease writes to a trial. Leases are taken under a lock, so that each trial has one worker, and a trial
whose worker gives no sign of life any more is taken over as it stands.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from ..core.errors import SpectrainError
from ..core.processes import UNKNOWN, is_gone, machine
from .addresses import without_password
from .backends import opened
from .locks import Lock
from .patience import LONGEST, driver_says, patiently

T = TypeVar("T")
Direction = Literal["minimize", "maximize"]

log = logging.getLogger("spectrain")

LEASE, RUNNER, RUNS, PARAMETERS, REASON, SWEEP, TOTAL = (
    f"spectrain:{name}" for name in ("lease", "runner", "runs", "parameters", "reason", "sweep", "total")
)
BEAT = 15.0
"""Seconds from one sign of life of a worker to the next."""
GRACE = 90.0
"""Seconds without one, after which a trial is taken over."""
AT_THE_START = 60.0
"""Seconds that a database which was never reached is waited for: more likely its address is wrong."""
RELEASED = -1.0
"""The beat of a trial that was given back."""
GOODBYE = 10.0
"""Seconds that giving a trial back may take; else its lease runs out by itself."""


class TakenOverError(SpectrainError):
    """The trial is another runner's by now, or over."""


@dataclass(frozen=True)
class RunRecord:
    """One training of a trial.

    Attributes:
        seed: of the training.
        fold: that it is validated on; None without cross-validation.
        state: "waiting", "running", "done" or "failed".
        scores: of each metric; empty until it is done.
        folder: where it is, from the sweep's folder.
        reason: why it failed.
        attempts: how often it was begun since it last got further.
        epochs: that it had when it was last begun.
    """

    seed: int
    fold: int | None
    state: str = "waiting"
    scores: tuple[float, ...] = ()
    folder: str | None = None
    reason: str | None = None
    attempts: int = 0
    epochs: int = 0

    @property
    def key(self) -> str:
        """Its name within the trial: "f0r42"."""
        return run_key(self.seed, self.fold)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> RunRecord:
        """Read what was kept."""
        return cls(**{**record, "scores": tuple(record["scores"])})


def run_key(seed: int, fold: int | None) -> str:
    """Return the name of a run within its trial."""
    return f"r{seed}" if fold is None else f"f{fold}r{seed}"


@dataclass
class Held:
    """A trial that this process works on.

    Attributes:
        number: of the trial.
        trial_id: the store's own.
        parameters: what it tries.
        runs: by key.
        fresh: it was begun by this claim, and not taken over.
    """

    number: int
    trial_id: int
    parameters: dict[str, Any]
    runs: dict[str, RunRecord] = field(default_factory=dict)
    fresh: bool = True


def identity(runner: str) -> str:
    """Return who this process is, once in the world: runner, host, machine, process id, and a random word."""
    return f"{runner}/{socket.gethostname()}/{machine()}/{os.getpid()}/{os.urandom(4).hex()}"


def _is_dead(owner: str) -> bool:
    """Say whether a worker was a process of this machine that is there no more; of others nothing is known."""
    *_, there, process, _ = ["", "", "", *owner.split("/")]
    known = there not in ("", UNKNOWN) and there == machine() and process.isdigit()
    return known and is_gone(process)


class Store:
    """A sweep's study.

    Args:
        url: "sqlite:///FILE", "postgresql://USER@HOST:PORT/NAME", or "journal:FILE" for network file systems.
        name: id of the sweep.
        patience: seconds that an outage is waited out.

    Raises:
        SpectrainError: a package is missing, or the database refuses.
    """

    def __init__(self, url: str, name: str, patience: float = LONGEST) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.url, self.name, self.patience = url, name, patience
        self.storage: optuna.storages.BaseStorage
        self.lock: Lock
        self._id: int | None = None
        try:
            said = without_password(url)
            self.storage, self.lock = patiently(lambda: opened(url, name), said, min(patience, AT_THE_START))
        except ImportError as error:
            fix = "pip install 'spectrain[sweep]'"
            raise SpectrainError(f"the package {error.name!r} is needed for sweeps", fix=fix) from error
        except SpectrainError:
            raise
        except Exception as error:
            raise SpectrainError(
                f"the database refuses: {driver_says(error, url)}",
                where=without_password(url),
                fix="correct sweep-db: postgresql://USER:PASSWORD@HOST:PORT/NAME, sqlite:///FILE or journal:FILE",
            ) from error

    def _patiently(self, action: Callable[[], T], longest: float | None = None) -> T:
        return patiently(action, self.url, self.patience if longest is None else longest)

    # --- the sweep

    def load(self) -> dict[str, Any] | None:
        """Return what the sweep is (see `create`); None where there is none of this name."""

        def loaded() -> dict[str, Any] | None:
            try:
                number = self.storage.get_study_id_from_name(self.name)
            except KeyError:
                return None
            found: dict[str, Any] | None = self.storage.get_study_user_attrs(number).get(SWEEP)
            return found

        return self._patiently(loaded)

    def create(
        self, sweep: dict[str, Any], directions: Sequence[Direction], names: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Make the sweep, unless another runner just did; return what it is.

        Args:
            sweep: plain JSON values.
            directions: "maximize" or "minimize", one a metric.
            names: of the metrics, for other programs that look at the study.
        """

        def made() -> dict[str, Any]:
            with self.lock.held():
                study = optuna.create_study(
                    storage=self.storage, study_name=self.name, directions=list(directions), load_if_exists=True
                )
                if SWEEP not in study.user_attrs:
                    if names is not None:
                        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                            study.set_metric_names(list(names))
                    study.set_user_attr(SWEEP, sweep)  # last: what has it is whole
                found: dict[str, Any] = study.user_attrs[SWEEP]
                return found

        return self._patiently(made)

    def names(self) -> list[str]:
        """Return the ids of all sweeps in the database."""
        return self._patiently(lambda: [one.study_name for one in self.storage.get_all_studies()])

    @property
    def total(self) -> int | None:
        """Most trials of the sweep, whoever runs them; None for no end."""
        found: int | None = self._patiently(lambda: self.storage.get_study_user_attrs(self._study_id()).get(TOTAL))
        return found

    @total.setter
    def total(self, count: int) -> None:
        self._patiently(lambda: self.storage.set_study_user_attr(self._study_id(), TOTAL, count))

    def _study_id(self) -> int:
        if self._id is None:
            self._id = self.storage.get_study_id_from_name(self.name)
        return self._id

    def _trials(self) -> list[FrozenTrial]:
        """Return all trials; those that are over are read once."""
        return self.storage.get_all_trials(self._study_id(), deepcopy=False)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, in the order of their numbers."""
        return self._patiently(self._trials)

    def clock(self) -> tuple[float, float]:
        """Return the time now and when the store was last started, in seconds of the clock that leases are told by."""

        def told() -> tuple[float, float]:
            with self.lock.held():
                return self.lock.clock()

        return self._patiently(told)

    # --- what a runner does

    def claim(
        self,
        owner: str,
        runner: str,
        *,
        total: int | None,
        own: int | None,
        runs: Sequence[RunRecord],
        parameters: Callable[[int], tuple[dict[str, Any], dict[str, BaseDistribution]]] | None,
        sampler: optuna.samplers.BaseSampler | None = None,
        suggest: Callable[[optuna.Trial], dict[str, Any]] | None = None,
    ) -> Held | None:
        """Take over a trial that nobody works on any more, else begin one; None where there is nothing to do now.

        Args:
            owner: this process, see `identity`.
            runner: name that its trials are counted by.
            total: most trials of the sweep; the sweep's own `total` counts as well.
            own: most trials that this runner begins.
            runs: what each trial consists of.
            parameters: of a trial, by its number, with what Optuna is to know of them; None asks ``suggest``.
            sampler: that suggests them.
            suggest: draws the parameters of a trial by Optuna's own means.
        """

        def taken() -> Held | None:
            with self.lock.held():
                now, started = self.lock.clock()
                trials = self._trials()
                for trial in trials:
                    if trial.state == TrialState.RUNNING and _free(trial, owner, now, started):
                        return self._taken_over(trial, owner, runner, runs, now, sampler, suggest)
                mine = sum(trial.user_attrs.get(RUNNER) == runner for trial in trials)
                kept = self.storage.get_study_user_attrs(self._study_id()).get(TOTAL)
                ends = [end for end in (total, kept) if end is not None]
                if any(len(trials) >= end for end in ends) or (own is not None and mine >= own):
                    return None
                return self._begun(len(trials), owner, runner, runs, now, parameters, sampler, suggest)

        return self._patiently(taken)

    def _begun(
        self,
        number: int,
        owner: str,
        runner: str,
        runs: Sequence[RunRecord],
        now: float,
        parameters: Callable[[int], tuple[dict[str, Any], dict[str, BaseDistribution]]] | None,
        sampler: optuna.samplers.BaseSampler | None,
        suggest: Callable[[optuna.Trial], dict[str, Any]] | None,
    ) -> Held:
        records = {run.key: asdict(run) for run in runs}
        attributes: dict[str, Any] = {LEASE: {"owner": owner, "beat": now}, RUNNER: runner, RUNS: records}
        values, distributions = ({}, {}) if parameters is None else parameters(number)
        attributes |= {} if parameters is None else {PARAMETERS: values}
        template = optuna.create_trial(
            state=TrialState.RUNNING,
            params={name: values_of(values[name]) for name in distributions},
            distributions=distributions,
            user_attrs=attributes,
        )
        # all of it in one transaction: a trial is there with its lease or not at all
        trial_id = self.storage.create_new_trial(self._study_id(), template_trial=template)
        if parameters is None:
            values = self._suggested(trial_id, sampler, suggest)
        return Held(self.storage.get_trial(trial_id).number, trial_id, dict(values), {run.key: run for run in runs})

    def _suggested(
        self,
        trial_id: int,
        sampler: optuna.samplers.BaseSampler | None,
        suggest: Callable[[optuna.Trial], dict[str, Any]] | None,
    ) -> dict[str, Any]:
        """Draw the parameters of a trial, each as it was where its worker died in the middle, and keep them."""
        assert suggest is not None
        study = optuna.load_study(study_name=self.name, storage=self.storage, sampler=sampler)
        values = suggest(optuna.Trial(study, trial_id))
        self.storage.set_trial_user_attr(trial_id, PARAMETERS, values)
        return values

    def _taken_over(
        self,
        trial: FrozenTrial,
        owner: str,
        runner: str,
        runs: Sequence[RunRecord],
        now: float,
        sampler: optuna.samplers.BaseSampler | None,
        suggest: Callable[[optuna.Trial], dict[str, Any]] | None,
    ) -> Held:
        """Take a trial as it stands; what its worker had not yet written down is made up for."""
        trial_id = trial._trial_id
        self.storage.set_trial_user_attr(trial_id, LEASE, {"owner": owner, "beat": now})
        attributes = trial.user_attrs
        if RUNNER not in attributes:
            self.storage.set_trial_user_attr(trial_id, RUNNER, runner)
        if RUNS not in attributes:
            self.storage.set_trial_user_attr(trial_id, RUNS, {run.key: asdict(run) for run in runs})
        if PARAMETERS not in attributes:
            self._suggested(trial_id, sampler, suggest)
        found = self.storage.get_trial(trial_id).user_attrs
        records = {key: RunRecord.from_json(record) for key, record in found[RUNS].items()}
        return Held(trial.number, trial_id, dict(found[PARAMETERS]), records, fresh=False)

    def beat(self, held: Held, owner: str) -> bool:
        """Give a sign of life; False where the trial is another's by now."""

        def given() -> bool:
            with self.lock.held():
                if self._owned(held, owner):
                    now, _ = self.lock.clock()
                    self.storage.set_trial_user_attr(held.trial_id, LEASE, {"owner": owner, "beat": now})
                    return True
                # over, by this very process, in the moment before the beats end
                return self._lease(held).get("owner") == owner

        return self._patiently(given)

    def note(self, held: Held, owner: str, record: RunRecord) -> None:
        """Write down what became of a run.

        Raises:
            TakenOverError: the trial is another's by now.
        """
        held.runs[record.key] = record

        def written() -> None:
            with self._as_owner(held, owner):
                records = {key: asdict(run) for key, run in held.runs.items()}
                self.storage.set_trial_user_attr(held.trial_id, RUNS, records)

        self._patiently(written)

    def finish(self, held: Held, owner: str, scores: Sequence[float] | None, state: str, reason: str = "") -> None:
        """End a trial: "complete" with scores, "pruned", or "failed" with the reason.

        Raises:
            TakenOverError: the trial is another's by now.
        """
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}

        def ended() -> None:
            with self._as_owner(held, owner, over=states[state]) as over:
                if over:
                    return
                if reason:
                    self.storage.set_trial_user_attr(held.trial_id, REASON, reason)
                values = None if scores is None else list(scores)
                self.storage.set_trial_state_values(held.trial_id, states[state], values)

        self._patiently(ended)

    def release(self, held: Held, owner: str, *, now: bool = True) -> None:
        """Give a trial back as it stands, so that the next runner need not wait for its lease to run out.

        An outage is not waited out: then the lease runs out by itself.

        Args:
            held: the trial.
            owner: this process.
            now: else it is free for others when its lease would have run out: somebody else may still be at it.
        """

        def released() -> None:
            with self.lock.held():
                if self._owned(held, owner):
                    records = {key: asdict(run) for key, run in held.runs.items()}
                    self.storage.set_trial_user_attr(held.trial_id, RUNS, records)
                    beat = RELEASED if now else self.lock.clock()[0]
                    self.storage.set_trial_user_attr(held.trial_id, LEASE, {"owner": "", "beat": beat})

        try:
            self._patiently(released, min(self.patience, GOODBYE))
        except SpectrainError as error:
            log.warning("trial %d could not be given back: %s", held.number, error)

    def report(self, held: Held, owner: str, value: float, step: int) -> None:
        """Note the mean score after so many runs, for pictures and pruning.

        Raises:
            TakenOverError: the trial is another's by now.
        """

        def reported() -> None:
            with self._as_owner(held, owner):
                self.storage.set_trial_intermediate_value(held.trial_id, step, value)

        self._patiently(reported)

    def _owned(self, held: Held, owner: str, over: TrialState | None = None) -> bool:
        try:
            trial = self.storage.get_trial(held.trial_id)
        except KeyError:  # the database was brought back from before the trial was begun
            return False
        mine = bool(trial.user_attrs.get(LEASE, {}).get("owner") == owner)
        return mine and (trial.state == over or not trial.state.is_finished())

    def _lease(self, held: Held) -> dict[str, Any]:
        try:
            return dict(self.storage.get_trial(held.trial_id).user_attrs.get(LEASE, {}))
        except KeyError:
            return {}

    @contextmanager
    def _as_owner(self, held: Held, owner: str, over: TrialState | None = None) -> Iterator[bool]:
        """Hold the lock as the owner of a trial; say whether the trial ended as ``over`` before an answer was lost."""
        with self.lock.held():
            if not self._owned(held, owner, over):
                raise TakenOverError(
                    f"trial {held.number} was taken over by another runner: this one gave no sign of life",
                    where=self.name,
                    fix="nothing is lost; see that the database can be reached from here",
                )
            yield over is not None and self.storage.get_trial(held.trial_id).state == over


def _free(trial: FrozenTrial, owner: str, now: float, started: float) -> bool:
    """Say whether nobody works on a trial: its lease is this process's (an answer was lost), or is out.

    After the store was down nobody could beat, so leases count from its start.
    """
    lease = trial.user_attrs.get(LEASE)
    if lease is None:  # made by hand, by Optuna's own means
        begun = trial.datetime_start.timestamp() if trial.datetime_start is not None else 0.0
        return now - max(begun, started) > GRACE
    beat = float(lease["beat"])
    if lease["owner"] == owner or beat == RELEASED or _is_dead(lease["owner"]):
        return True
    # a beat far in the future is of before the clock was set back: a living worker's is put right within seconds
    return abs(now - max(beat, started)) > GRACE


def values_of(value: Any) -> Any:
    """Return a value as Optuna keeps it: lists as text."""
    return str(value) if isinstance(value, list | dict) else value


__all__ = ["BEAT", "GRACE", "Held", "RunRecord", "Store", "TakenOverError", "identity", "run_key"]
