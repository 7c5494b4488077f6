"""Where a sweep is kept: a study of Optuna's, in SQLite, PostgreSQL or a journal file, and what runners may do in it.

Every trial carries what we add as attributes: who works on it and since when (a lease), its runs, its parameters. Only
the holder of a lease writes to a trial. Leases are taken under a lock, so that each trial has one worker, and a trial
whose worker gives no sign of life any more is taken over as it stands.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from ..core.errors import SpectrainError
from .locks import FileLock, Lock, PostgresLock
from .patience import LONGEST, first_line, is_outage, patiently

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
        attempts: how often it was begun.
    """

    seed: int
    fold: int | None
    state: str = "waiting"
    scores: tuple[float, ...] = ()
    folder: str | None = None
    reason: str | None = None
    attempts: int = 0

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
    """Return who this process is, once in the world."""
    return f"{runner}/{socket.gethostname()}/{os.getpid()}/{os.urandom(4).hex()}"


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
        try:
            said = without_password(url)
            self.storage, self.lock = patiently(lambda: _opened(url, name), said, min(patience, AT_THE_START))
        except ImportError as error:
            fix = "pip install 'spectrain[sweep]'"
            raise SpectrainError(f"the package {error.name!r} is needed for sweeps", fix=fix) from error
        except SpectrainError:
            raise
        except Exception as error:
            raise SpectrainError(
                f"the database refuses: {first_line(error)}",
                where=without_password(url),
                fix="correct sweep-db: postgresql://USER:PASSWORD@HOST:PORT/NAME, sqlite:///FILE or journal:FILE; "
                "the database itself must exist",
            ) from error

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, without_password(self.url), self.patience)

    # --- the sweep

    def load(self) -> dict[str, Any] | None:
        """Return what the sweep is (see `create`); None where there is none of this name."""
        if self.name not in self.names():
            return None
        found: dict[str, Any] | None = self._study().user_attrs.get(SWEEP)
        return found

    def create(self, sweep: dict[str, Any], directions: Sequence[Direction]) -> dict[str, Any]:
        """Make the sweep, unless another runner just did; return what it is.

        Args:
            sweep: plain JSON values.
            directions: "maximize" or "minimize", one a metric.
        """

        def made() -> dict[str, Any]:
            with self.lock.held():
                study = optuna.create_study(
                    storage=self.storage, study_name=self.name, directions=list(directions), load_if_exists=True
                )
                if SWEEP not in study.user_attrs:
                    study.set_user_attr(SWEEP, sweep)
                found: dict[str, Any] = study.user_attrs[SWEEP]
                return found

        return self._patiently(made)

    def names(self) -> list[str]:
        """Return the ids of all sweeps in the database."""
        return self._patiently(lambda: [one.study_name for one in self.storage.get_all_studies()])

    @property
    def total(self) -> int | None:
        """Most trials of the sweep, whoever runs them; None for no end."""
        found: int | None = self._study().user_attrs.get(TOTAL)
        return found

    @total.setter
    def total(self, count: int) -> None:
        study = self._study()
        self._patiently(lambda: study.set_user_attr(TOTAL, count))

    def _study(self, sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
        return self._patiently(lambda: optuna.load_study(study_name=self.name, storage=self.storage, sampler=sampler))

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, in the order of their numbers."""
        study = self._study()
        return self._patiently(lambda: study.get_trials(deepcopy=False))

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
            sampler: of a study whose parameters are suggested.
            suggest: draws the parameters of a trial by Optuna's own means.
        """

        def taken() -> Held | None:
            with self.lock.held():
                now, started = self.lock.clock()
                study = optuna.load_study(study_name=self.name, storage=self.storage, sampler=sampler)
                trials = study.get_trials(deepcopy=False)
                for trial in trials:
                    if trial.state == TrialState.RUNNING and _free(trial, owner, now, started):
                        return self._taken_over(study, trial, owner, runner, runs, now, suggest)
                mine = sum(trial.user_attrs.get(RUNNER) == runner for trial in trials)
                ends = [end for end in (total, study.user_attrs.get(TOTAL)) if end is not None]
                if any(len(trials) >= end for end in ends) or (own is not None and mine >= own):
                    return None
                return self._begun(study, len(trials), owner, runner, runs, now, parameters, suggest)

        return self._patiently(taken)

    def _begun(
        self,
        study: optuna.Study,
        number: int,
        owner: str,
        runner: str,
        runs: Sequence[RunRecord],
        now: float,
        parameters: Callable[[int], tuple[dict[str, Any], dict[str, BaseDistribution]]] | None,
        suggest: Callable[[optuna.Trial], dict[str, Any]] | None,
    ) -> Held:
        records = {run.key: asdict(run) for run in runs}
        attributes = {LEASE: {"owner": owner, "beat": now}, RUNNER: runner, RUNS: records}
        if parameters is not None:
            values, distributions = parameters(number)
            template = optuna.create_trial(
                state=TrialState.RUNNING,
                params={name: values_of(values[name]) for name in distributions},
                distributions=distributions,
                user_attrs={**attributes, PARAMETERS: values},
            )
            # all of it in one transaction: a trial is there with its lease or not at all
            trial_id = self.storage.create_new_trial(study._study_id, template_trial=template)
        else:
            assert suggest is not None
            trial = study.ask()
            for name, value in attributes.items():
                trial.set_user_attr(name, value)
            values = suggest(trial)
            trial.set_user_attr(PARAMETERS, values)
            trial_id = trial._trial_id
        return Held(self.storage.get_trial(trial_id).number, trial_id, dict(values), {run.key: run for run in runs})

    def _taken_over(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        owner: str,
        runner: str,
        runs: Sequence[RunRecord],
        now: float,
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
            assert suggest is not None
            self.storage.set_trial_user_attr(trial_id, PARAMETERS, suggest(optuna.Trial(study, trial_id)))
        found = self.storage.get_trial(trial_id).user_attrs
        records = {key: RunRecord.from_json(record) for key, record in found[RUNS].items()}
        return Held(trial.number, trial_id, dict(found[PARAMETERS]), records, fresh=False)

    def beat(self, held: Held, owner: str) -> bool:
        """Give a sign of life; False where the trial is another's by now."""

        def given() -> bool:
            with self.lock.held():
                if not self._owned(held, owner):
                    return False
                now, _ = self.lock.clock()
                self.storage.set_trial_user_attr(held.trial_id, LEASE, {"owner": owner, "beat": now})
                return True

        return self._patiently(given)

    def note(self, held: Held, owner: str, record: RunRecord) -> None:
        """Write down what became of a run.

        Raises:
            SpectrainError: the trial is another's by now.
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
            SpectrainError: the trial is another's by now.
        """
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}

        def ended() -> None:
            if self.storage.get_trial(held.trial_id).state == states[state]:
                return  # done before an answer was lost
            with self._as_owner(held, owner):
                if reason:
                    self.storage.set_trial_user_attr(held.trial_id, REASON, reason)
                values = None if scores is None else list(scores)
                self.storage.set_trial_state_values(held.trial_id, states[state], values)

        self._patiently(ended)

    def release(self, held: Held, owner: str) -> None:
        """Give a trial back as it stands, so that the next runner need not wait for its lease to run out."""

        def released() -> None:
            with self.lock.held():
                if self._owned(held, owner):
                    self.storage.set_trial_user_attr(held.trial_id, LEASE, {"owner": "", "beat": RELEASED})

        self._patiently(released)

    def report(self, held: Held, value: float, step: int) -> None:
        """Note the mean score after so many runs, for pictures and pruning."""
        self._patiently(lambda: self.storage.set_trial_intermediate_value(held.trial_id, step, value))

    def _owned(self, held: Held, owner: str) -> bool:
        trial = self.storage.get_trial(held.trial_id)
        return not trial.state.is_finished() and trial.user_attrs.get(LEASE, {}).get("owner") == owner

    @contextmanager
    def _as_owner(self, held: Held, owner: str) -> Iterator[None]:
        with self.lock.held():
            if not self._owned(held, owner):
                raise SpectrainError(
                    f"trial {held.number} was taken over by another runner: this one gave no sign of life",
                    where=self.name,
                    fix="nothing is lost; see that the database can be reached from here",
                )
            yield


def _free(trial: FrozenTrial, owner: str, now: float, started: float) -> bool:
    """Say whether nobody works on a trial: its lease is this process's (an answer was lost), or is out.

    After the store was down nobody could beat, so leases count from its start.
    """
    lease = trial.user_attrs.get(LEASE)
    if lease is None:  # its worker died in the moment between making it and saying whose it is
        begun = trial.datetime_start.timestamp() if trial.datetime_start is not None else 0.0
        return now - max(begun, started) > GRACE
    beat = float(lease["beat"])
    return lease["owner"] == owner or beat == RELEASED or now - max(beat, started) > GRACE


def values_of(value: Any) -> Any:
    """Return a value as Optuna keeps it: lists as text."""
    return str(value) if isinstance(value, list | dict) else value


def without_password(url: str) -> str:
    """Return an address that may be shown."""
    head, at, tail = url.rpartition("@")
    if not at or "://" not in head:
        return url
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.partition(':')[0]}@{tail}"


def _opened(url: str, name: str) -> tuple[optuna.storages.BaseStorage, Lock]:
    if url.startswith("journal:"):
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        path = Path(url.removeprefix("journal:")).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        return optuna.storages.JournalStorage(backend), FileLock(path.with_name(f"{path.name}.spectrain-lock"))
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///")).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f"{path.name}.spectrain-lock"))
        with lock.held():  # two runners would make the tables at once
            return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}}), lock
    if url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        psycopg = "postgresql+psycopg://" + url.partition("://")[2]
        options = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
        with PostgresLock(psycopg, "").held():  # two runners, of whatever sweeps, would make the tables at once
            return optuna.storages.RDBStorage(psycopg, engine_kwargs=options), PostgresLock(psycopg, name)
    raise SpectrainError(
        "the database is of no known kind",
        where=without_password(url),
        fix="write postgresql://USER@HOST:PORT/NAME, sqlite:///FILE or journal:FILE",
    )


__all__ = ["BEAT", "GRACE", "Held", "RunRecord", "Store", "identity", "is_outage", "run_key"]
