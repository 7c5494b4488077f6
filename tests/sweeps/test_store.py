"""Claims, leases and what is kept: each trial has one worker at a time, whatever dies."""

from __future__ import annotations

import threading
import time

import optuna
import pytest
from optuna.trial import TrialState
from warm_processes import CONTEXT

from spectrain.core.errors import SpectrainError
from spectrain.sweeps import store as module
from spectrain.sweeps.addresses import password_of, without_password
from spectrain.sweeps.store import REASON, RunRecord, Store, TakenOverError, identity

RUNS = [RunRecord(seed, fold) for seed in (42, 21) for fold in (0, 1)]
UNIFORM = {"x": optuna.distributions.FloatDistribution(0, 100)}


def parameters(number):
    return {"x": float(number), "y": [1, 2]}, UNIFORM


def claim(store, owner, runner="r", total=3, own=None):
    return store.claim(owner, runner, total=total, own=own, runs=RUNS, parameters=parameters)


@pytest.fixture(params=["sqlite", "journal", "postgres"])
def url(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("server").new_database()
    return f"sqlite:///{tmp_path}/study.db" if request.param == "sqlite" else f"journal:{tmp_path}/study.log"


@pytest.fixture
def store(url):
    one = Store(url, "s")
    one.create({"name": "s"}, ["maximize"])
    return one


def test_a_sweep_is_made_once(url):
    one = Store(url, "s")
    assert one.load() is None
    assert one.create({"a": 1}, ["maximize"]) == {"a": 1}
    assert Store(url, "s").create({"a": 2}, ["maximize"]) == {"a": 1} == Store(url, "s").load()


def test_trials_are_claimed_up_to_the_total(store):
    found = [claim(store, identity("r")) for _ in range(4)]
    assert [one and one.number for one in found] == [0, 1, 2, None]
    assert found[1].parameters == {"x": 1.0, "y": [1, 2]} and found[1].fresh
    assert list(found[0].runs) == ["f0r42", "f1r42", "f0r21", "f1r21"]


def test_a_runner_begins_no_more_than_its_own(store):
    assert [bool(claim(store, identity("a"), "a", own=1)) for _ in range(2)] == [True, False]
    assert claim(store, identity("b"), "b", own=1).number == 1
    assert claim(Store(store.url, "s"), identity("a"), "a", own=1) is None  # also after a restart


def test_what_is_done_is_kept_and_taken_over(store, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.3)
    one = identity("a")
    held = claim(store, one, "a", total=1)
    store.note(held, one, RunRecord(42, 0, "done", (0.5,), "t/r", attempts=1))
    assert claim(store, identity("b"), "b", total=1) is None
    assert store.beat(held, one)
    time.sleep(0.5)
    two = identity("b")
    again = claim(store, two, "b", total=1)
    assert again.number == 0 and not again.fresh
    assert again.runs["f0r42"] == RunRecord(42, 0, "done", (0.5,), "t/r", attempts=1)
    assert again.runs["f1r42"].state == "waiting" and again.parameters == held.parameters
    assert not store.beat(held, one)
    with pytest.raises(SpectrainError, match="taken over by another runner"):
        store.note(held, one, RunRecord(42, 1, "done", (0.1,)))
    with pytest.raises(SpectrainError, match="taken over"):
        store.finish(held, one, [0.1], "complete")
    store.finish(again, two, [0.5], "complete")
    store.finish(again, two, [0.5], "complete")  # as after an answer that was lost
    (trial,) = store.trials()
    assert trial.state == TrialState.COMPLETE and trial.values == [0.5]


def test_a_lost_answer_gives_the_same_trial_again(store):
    owner = identity("a")
    assert claim(store, owner).number == claim(store, owner).number == 0
    assert len(store.trials()) == 1


def test_ends(store):
    owner = identity("a")
    for state, scores, reason in (("complete", [1.0], ""), ("pruned", None, "worse"), ("failed", None, "it broke")):
        held = claim(store, owner)
        store.report(held, owner, 0.3, 1)
        store.finish(held, owner, scores, state, reason)
    states = [trial.state for trial in store.trials()]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert store.trials()[2].user_attrs[REASON] == "it broke"


def test_suggested_parameters_survive_their_worker(store, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.0)
    sampler = optuna.samplers.TPESampler(seed=0)

    def broken(trial):
        trial.suggest_float("x", 0, 1)
        raise KeyboardInterrupt

    def suggest(trial):
        return {"x": trial.suggest_float("x", 0, 1)}

    chosen = {"total": 1, "own": None, "runs": RUNS, "parameters": None, "sampler": sampler}
    with pytest.raises(KeyboardInterrupt):
        store.claim(identity("a"), "a", **chosen, suggest=broken)
    half = store.trials()[0].params["x"]
    again = store.claim(identity("b"), "b", **chosen, suggest=suggest)
    assert again.number == 0 and again.parameters == {"x": half} and list(again.runs) == [run.key for run in RUNS]


def _claims(url, queue):
    one, owner = Store(url, "s"), identity("p")
    while (held := claim(one, owner, total=12)) is not None:
        one.finish(held, owner, [0.0], "complete")
        queue.put(held.number)
    queue.put(None)


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_processes_share_trials_and_double_none(store, url):
    queue = CONTEXT.Queue()
    workers = [CONTEXT.Process(target=_claims, args=(url, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found, left = [], len(workers)
    while left:
        number = queue.get(timeout=120)
        left -= number is None
        found += [] if number is None else [number]
    for worker in workers:
        worker.join()
    assert sorted(found) == list(range(12)) and len(store.trials()) == 12


def test_threads_share_trials_and_double_none(store, url):
    found = []

    def work():
        one, owner = Store(url, "s"), identity("t")
        while (held := claim(one, owner, total=8)) is not None:
            found.append(held.number)
            one.finish(held, owner, [0.0], "complete")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(8))


def test_only_the_owner_writes(store):
    one, two = identity("a"), identity("b")
    held = claim(store, one)
    for action in (
        lambda: store.note(held, two, RunRecord(42, 0, "done", (1.0,))),
        lambda: store.report(held, two, 0.5, 1),
        lambda: store.finish(held, two, [0.5], "complete"),
    ):
        with pytest.raises(TakenOverError):
            action()
    assert not store.beat(held, two)
    store.release(held, two)
    (trial,) = store.trials()
    assert trial.state == TrialState.RUNNING and trial.intermediate_values == {}
    assert claim(store, two).number == 1


def test_a_beat_in_the_moment_of_the_end_is_no_takeover(store):
    owner = identity("a")
    held = claim(store, owner)
    store.finish(held, owner, [1.0], "complete")
    assert store.beat(held, owner)


def test_a_trial_that_is_put_back_waits_for_its_lease(store, monkeypatch):
    held = claim(store, identity("a"), total=1)
    owner = identity("b")
    store.release(held, owner)  # not its own
    assert claim(store, owner, total=1) is None


def test_a_trial_that_somebody_may_still_be_at_is_free_when_its_lease_is_out(store, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.4)
    one, two = identity("a"), identity("b")
    store.release(claim(store, one, total=1), one, now=False)
    assert claim(store, two, total=1) is None
    time.sleep(0.6)
    assert claim(store, two, total=1).number == 0


def test_a_dead_process_of_this_machine_is_not_waited_for(store):
    queue = CONTEXT.Queue()
    worker = CONTEXT.Process(target=_claim_and_die, args=(store.url, queue))
    worker.start()
    assert queue.get(timeout=60) == 0
    worker.join()
    again = claim(store, identity("b"), total=1)
    assert again is not None and again.number == 0 and not again.fresh
    assert not module._is_dead("r/elsewhere/another boot:1/1/abcd") and not module._is_dead(identity("x"))


def _claim_and_die(url, queue):
    queue.put(claim(Store(url, "s"), identity("dies"), total=1).number)
    queue.close()
    queue.join_thread()


def test_a_clock_that_was_set_back(store, monkeypatch):
    one = identity("a")
    claim(store, one, total=1)
    now, started = time.time(), 0.0
    (trial,) = store.trials()
    assert not module._free(trial, "b", now - 5, started)  # machines differ by seconds
    assert module._free(trial, "b", now - 3600, started)
    assert module._free(trial, "b", now + 3600, started) and not module._free(trial, "b", now + 3600, now + 3599)


def test_a_database_brought_back_from_before_the_trial(store):
    owner = identity("a")
    held = claim(store, owner)
    held.trial_id += 1000
    assert not store.beat(held, owner)
    with pytest.raises(TakenOverError):
        store.note(held, owner, RunRecord(42, 0, "done", (1.0,)))


@pytest.mark.parametrize("url", ["journal"], indirect=True)
def test_half_a_line_at_the_end_of_a_journal(store, url):
    claim(store, identity("a"))
    with open(url.removeprefix("journal:"), "a") as file:  # noqa: PTH123
        file.write('{"op_code":8,"worker')
    assert claim(store, identity("b")).number == 1
    assert len(Store(url, "s").trials()) == 2


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_finished_trials_are_read_once(store, url, monkeypatch):
    owner = identity("a")
    for _ in range(3):
        store.finish(claim(store, owner), owner, [0.0], "complete")
    store.trials()
    built, backend = [], store.storage._backend
    real = backend._build_frozen_trial_from_trial_model
    monkeypatch.setattr(
        backend, "_build_frozen_trial_from_trial_model", lambda model: built.append(model) or real(model)
    )
    assert len(store.trials()) == 3 and built == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mysql://a:b@c/d", "of no known kind(.|\n)*mysql://a@c/d"),
        ("postgresql://nobody:secret@127.0.0.1:1/x", "cannot be reached(.|\n)*nobody@127.0.0.1"),
    ],
)
def test_databases_that_are_not_there(address, message):
    with pytest.raises(SpectrainError, match=message) as error:
        Store(address, "s", patience=0.2)
    assert "secret" not in str(error.value)


def test_a_password_is_not_shown():
    assert without_password("postgresql://me:pw@host:5/db") == "postgresql://me@host:5/db"
    assert without_password("sqlite:///a/b.db") == "sqlite:///a/b.db"
    assert without_password("postgresql://h/db?user=a&password=pw&x=1") == "postgresql://h/db?user=a&password=***&x=1"
    assert without_password("postgresql://me:p/w@x@host/db") == "postgresql://me@host/db"
    assert password_of("postgresql://me:p/w@host/db") == "p/w" == password_of("postgresql://h/db?password=p/w")
    assert password_of("postgresql://me@host/db") is None is password_of("sqlite:///a/b.db")
