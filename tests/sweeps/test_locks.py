"""The lock of runners: whoever dies frees it, whoever hangs is told of or cut off; and what waiting mends."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time

import optuna
import psycopg
import pytest
import sqlalchemy
from postgres_server import PASSWORD

from spectrain.core.errors import SpectrainError
from spectrain.sweeps import locks, patience
from spectrain.sweeps.locks import FileLock
from spectrain.sweeps.patience import OutageError, driver_says, patiently
from spectrain.sweeps.store import RunRecord, Store, TakenOverError, identity

RUNS = [RunRecord(42, None)]


def parameters(number):
    return {"x": float(number)}, {"x": optuna.distributions.FloatDistribution(0, 100)}


def claim(store, owner, total=3):
    return store.claim(owner, "r", total=total, own=None, runs=RUNS, parameters=parameters)


def made(url):
    store = Store(url, "s", patience=30)
    store.create({"name": "s"}, ["maximize"])
    return store


# --- a file's lock


def test_a_process_that_was_forked_meanwhile_does_not_keep_the_lock(tmp_path, monkeypatch):
    """As a data loader's is, by a training, while the beats' thread holds the lock."""
    monkeypatch.setattr(locks, "HUNG", 1.0)
    lock = FileLock(tmp_path / "lock")
    with lock.held():
        process = os.fork()
        if not process:
            time.sleep(20)
            os._exit(0)
    try:
        with lock.held():
            pass
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def test_a_file_lock_whose_holder_hangs_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HUNG", 0.1)
    told = pytest.raises(SpectrainError, match=r"holds lock for (.|\n)*fuser")
    with FileLock(tmp_path / "lock").held(), told:
        patiently(lambda: FileLock(tmp_path / "lock").held().__enter__(), "sqlite:///x", 0.2)


def test_machines_share_the_clock_of_the_file_system(tmp_path, monkeypatch):
    lock = FileLock(tmp_path / "lock")
    true = time.time()
    monkeypatch.setattr(time, "time", lambda: true + 1e6)  # this machine's is wrong
    with lock.held():
        assert abs(lock.clock()[0] - true) < 5


# --- the server's


def test_a_holder_that_hangs_is_cut_off_and_can_write_no_more(server, monkeypatch):
    monkeypatch.setattr(locks, "HUNG", 0.5)
    url = server.new_database()
    one, two = made(url), Store(url, "s", patience=30)
    first, second = identity("a"), identity("b")
    held = claim(one, first)
    hangs, goes_on, seen = threading.Event(), threading.Event(), []

    def hang():
        """Be between looking whose the trial is and writing to it."""
        real = one.storage.set_trial_user_attr

        def late(*given):
            if not hangs.is_set():
                hangs.set()
                goes_on.wait(30)
            real(*given)

        one.storage.set_trial_user_attr = late
        try:
            one.note(held, first, RunRecord(42, None, "done", (0.1,)))
        except TakenOverError as error:
            seen.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    assert hangs.wait(10)
    monkeypatch.setattr("spectrain.sweeps.store.GRACE", 0.0)
    again = claim(two, second)
    assert again.number == 0
    two.note(again, second, RunRecord(42, None, "done", (0.9,)))
    goes_on.set()
    thread.join(30)
    assert len(seen) == 1 and two.trials()[0].user_attrs["spectrain:runs"]["r42"]["scores"] == [0.9]


def test_a_lock_that_is_lost_is_not_held_by_a_new_connection(server):
    url = server.new_database()
    one = made(url)
    owner, calls = identity("a"), []
    held = claim(one, owner)
    real = one.storage.set_trial_user_attr

    def cut(*given):
        calls.append(given)
        if len(calls) == 1:
            name = url.rpartition("/")[2]
            server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        real(*given)

    one.storage.set_trial_user_attr = cut
    one.note(held, owner, RunRecord(42, None, "done", (0.5,)))
    assert len(calls) == 2  # all of it again, with the lock


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_outage_in_each_call_is_waited_out_and_done_once(server, when):
    url = server.new_database()
    one, owner = made(url), identity("a")
    backend, broken = one.storage._backend, []

    def breaks(name):
        real = getattr(backend, name)

        def once(*given, **named):
            if name in broken:
                return real(*given, **named)
            broken.append(name)
            if when == "after":
                real(*given, **named)
            server.stop(immediate=len(broken) % 2 == 0)
            threading.Timer(0.3, server.start).start()
            if when == "after":  # carried out, and the answer is lost
                raise OutageError("gone")
            return real(*given, **named)

        setattr(backend, name, once)

    for name in ("_create_new_trial", "set_trial_user_attr", "set_trial_intermediate_value", "set_trial_state_values"):
        breaks(name)
    held = claim(one, owner)
    one.note(held, owner, RunRecord(42, None, "done", (0.5,)))
    one.report(held, owner, 0.5, 1)
    one.finish(held, owner, [0.5], "complete")
    assert len(broken) == 4
    (trial,) = one.trials()
    assert trial.state.name == "COMPLETE" and trial.values == [0.5] and trial.intermediate_values == {1: 0.5}
    assert trial.user_attrs["spectrain:runs"]["r42"]["state"] == "done"


def test_a_commit_whose_answer_is_lost_makes_one_trial(server):
    """Optuna would make the trial again, up to five times."""
    one, owner = made(server.new_database()), identity("a")
    engine, lost = one.storage._backend.engine, []
    real = engine.dialect.do_commit

    def lose(connection):
        real(connection)
        if creating and not lost:
            lost.append(1)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    creating = []
    make = one.storage._backend._get_prepared_new_trial
    one.storage._backend._get_prepared_new_trial = lambda *given: creating.append(1) or make(*given)
    engine.dialect.do_commit = lose
    held = claim(one, owner)
    assert lost and held.number == 0 and len(one.trials()) == 1


@pytest.mark.parametrize(
    ("user", "database", "message"),
    [
        ("spectrain:wrong-word", None, "password authentication failed(.|\n)*mend:.*correct the password"),
        ("spectrain", None, "no password supplied(.|\n)*mend:.*give the password"),
        ("postgres", "nowhere", 'database "nowhere" does not exist(.|\n)*mend:.*createdb'),
        ("nobody", None, 'role "nobody" does not exist(.|\n)*mend:.*make the user'),
    ],
)
def test_what_waiting_does_not_mend_is_said_at_once(server, user, database, message):
    url = server.new_database()
    url = url.replace("postgres@", f"{user}@")
    url = url if database is None else url.rpartition("/")[0] + "/" + database
    begun = time.monotonic()
    with pytest.raises(SpectrainError, match=message) as error:
        Store(url, "s", patience=60)
    assert time.monotonic() - begun < 5 and "wrong-word" not in str(error.value)


def test_a_user_with_a_password_works_and_its_word_is_shown_nowhere(server, caplog):
    server.execute("CREATE DATABASE withword OWNER spectrain")
    one = made(f"postgresql://spectrain:{PASSWORD}@127.0.0.1:{server.port}/withword")
    server.stop()
    threading.Timer(1.5, server.start).start()
    assert claim(one, identity("a")).number == 0
    assert "cannot be reached, waiting" in caplog.text and PASSWORD not in caplog.text


# --- what is wrong


def test_a_full_disk_is_said_and_not_waited_out(tmp_path):
    one = made(f"sqlite:///{tmp_path}/s.db")
    owner = identity("a")
    held = claim(one, owner)
    engine = one.storage._backend.engine
    engine.dispose()

    @sqlalchemy.event.listens_for(engine, "connect")
    def full(connection, _):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    record = RunRecord(42, None, "failed", reason="x" * 100_000)
    with pytest.raises(SpectrainError, match=r"the disk is full(.|\n)*free some space"):
        one.note(held, owner, record)
    one.note(held, owner, RunRecord(42, None, "done", (1.0,)))  # it is whole


def test_a_full_disk_under_a_journal(tmp_path, monkeypatch):
    one = made(f"journal:{tmp_path}/s.log")
    owner = identity("a")
    held = claim(one, owner)
    real = os.fsync

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpectrainError, match=r"the disk is full(.|\n)*free some space"):
        one.note(held, owner, RunRecord(42, None, "done", (1.0,)))
    monkeypatch.setattr(os, "fsync", real)
    one.note(held, owner, RunRecord(42, None, "done", (1.0,)))
    assert Store(one.url, "s").trials()[0].user_attrs["spectrain:runs"]["r42"]["state"] == "done"


def test_a_network_file_system_that_is_away_is_waited_for():
    turns = []

    def action():
        turns.append(1)
        if len(turns) < 3:
            raise OSError(errno.ESTALE, "Stale file handle")
        return 5

    assert patiently(action, "journal:x", 30) == 5


def test_giving_back_does_not_wait_for_a_database_that_is_away(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("spectrain.sweeps.store.GOODBYE", 0.2)
    one = made(f"sqlite:///{tmp_path}/s.db")
    owner = identity("a")
    held = claim(one, owner)

    def away(*_):
        raise OutageError("gone")

    one.storage.get_trial = away
    begun = time.monotonic()
    one.release(held, owner)
    assert time.monotonic() - begun < 3 and "could not be given back" in caplog.text


def test_a_driver_that_repeats_the_password():
    assert driver_says(ValueError("bad 'pw1' in pw1@x"), "postgresql://u:pw1@x/y") == "bad '***' in ***@x"
    assert patience.is_outage(OutageError("x")) and not patience.is_outage(ValueError("x"))
