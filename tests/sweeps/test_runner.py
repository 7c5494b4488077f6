"""A sweep from claim to score, on trainings that take no time: what fails, what is taken over, what is given up."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from spectrain.core.errors import BusyRunError, ConfigError, RunError, SpectrainError
from spectrain.sweeps import runner as module
from spectrain.sweeps.distributions import distribution_of
from spectrain.sweeps.plan import Plan, run_id, seeds
from spectrain.sweeps.runner import Runner, suggested, told
from spectrain.sweeps.space import Space
from spectrain.sweeps.store import REASON, RUNS, RunRecord, Store, identity
from spectrain.sweeps.training import scores_of
from spectrain.training import whole_run
from spectrain.training.whole_run import StoppedError

SWEEP = """\
name: small
method: random
metric: {name: jaccard_valid, goal: maximize}
parameters:
  optimizer.lr: {min: 0.001, max: 0.1, distribution: log_uniform_values}
  hparams.batch_size: {values: [2, 4]}
"""


def plan(text=SWEEP, **changes):
    return Plan("s1", "segmentation", "sweep.yaml", text, **{"folds": 2, "randoms": 2, **changes})


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "PAUSE", 0.01)
    one = Store(f"sqlite:///{tmp_path}/s.db", "s1")
    one.create(plan().to_json(), ["maximize"])
    return one


@pytest.fixture
def trained(monkeypatch):
    """Trainings that are over at once; what each is to come to may be set."""
    calls, outcome = [], {}

    def train_run(cfg):
        calls.append(cfg)
        result = outcome.get((cfg.trial_name, cfg.dataset.fold, cfg.general.seed), outcome.get(cfg.trial_name))
        if isinstance(result, BaseException):
            raise result
        folder = Path(cfg.artifact_dir).absolute() / cfg.trial_name / f"{cfg.run_name}-{cfg.run_id}"
        folder.mkdir(parents=True, exist_ok=True)
        value = cfg.optimizer.lr if result is None else result
        with (folder / "metrics.csv").open("w") as file:
            writer = csv.DictWriter(file, ["epoch", "step", "jaccard_valid", "loss_valid"])
            writer.writeheader()
            writer.writerow({"epoch": 1, "step": 1, "jaccard_valid": value, "loss_valid": -value})
            writer.writerow({"epoch": 2, "step": 2, "jaccard_valid": value / 2, "loss_valid": -2 * value})
        return folder

    monkeypatch.setattr(module, "train_run", train_run)
    return calls, outcome


def runner(store, text=SWEEP, total=3, own=None, name="r", **changes):
    return Runner(store, plan(text, **changes), name, "cpu", own, total)


def test_each_trial_is_trained_on_every_fold_and_seed(store, trained):
    calls, _ = trained
    assert runner(store).work() == 0
    found = store.trials()
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 3 and len(calls) == 12
    assert [(cfg.dataset.fold, cfg.general.seed) for cfg in calls[:4]] == [(0, 42), (1, 42), (0, 21), (1, 21)]
    first = calls[0]
    assert first.trial_name == "small-0" and first.run_name == "small-0-f0r42" and first.wandb.group == "s1"
    assert first.hparams.monitor == "jaccard_valid" and first.hparams.monitor_mode == "max"
    assert first.artifact_dir == "runs/s1" and first.general.device == "cpu"
    for trial in found:
        drawn = plan().definition.space.random(0, trial.number)
        assert trial.params == pytest.approx(drawn) and trial.values == [pytest.approx(drawn["optimizer.lr"])]
        records = [RunRecord.from_json(one) for one in trial.user_attrs[RUNS].values()]
        assert {one.state for one in records} == {"done"} and all(
            Path("runs/s1", one.folder).is_dir() for one in records
        )


def test_a_trial_that_fails_says_why_and_the_sweep_goes_on(store, trained):
    _, outcome = trained
    outcome["small-1", 1, 42] = RunError("the loss is not finite", where="epoch 3")
    assert runner(store).work() == 1
    states = [trial.state for trial in store.trials()]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert "run f1r42: the loss is not finite" in store.trials()[1].user_attrs[REASON]


def test_a_full_disk_is_no_fault_of_the_trial(store, trained):
    _, outcome = trained
    outcome["small-0"] = RunError("the disk is full", where="x")
    with pytest.raises(RunError, match="the disk is full"):
        runner(store).work()
    outcome.clear()
    assert runner(store).work() == 0  # at once: the trial was given back
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE] * 3


@pytest.mark.parametrize("stop", [StoppedError(), KeyboardInterrupt()])
def test_a_stop_gives_the_trial_back_as_it_stands(store, trained, stop):
    calls, outcome = trained
    outcome["small-0", 0, 21] = stop
    with pytest.raises(type(stop)):
        runner(store).work()
    outcome.clear()
    runner(store, name="other", total=1).work()
    assert [(cfg.dataset.fold, cfg.general.seed) for cfg in calls] == [(0, 42), (1, 42), (0, 21), (0, 21), (1, 21)]
    assert store.trials()[0].user_attrs[RUNS]["f0r21"]["attempts"] == 1


def test_a_run_that_kills_its_worker_again_and_again_fails(store, trained):
    one, owner = runner(store), identity("dead")
    held = store.claim(owner, "dead", total=1, own=None, runs=one.plan.runs, parameters=one._parameters)
    store.note(held, owner, RunRecord(42, 0, "running", attempts=module.ATTEMPTS))
    store.release(held, owner)
    assert runner(store, total=1).work() == 1
    assert "its worker died 5 times" in store.trials()[0].user_attrs[REASON]


def test_a_run_that_got_further_before_its_worker_died_goes_on(store, trained):
    """It was taken from its worker, again and again, and does not kill it."""
    one, owner = runner(store), identity("dead")
    held = store.claim(owner, "dead", total=1, own=None, runs=one.plan.runs, parameters=one._parameters)
    cfg = one.plan.trial_config(0, held.parameters, one.plan.runs[0], "cpu")
    module.train_run(cfg)  # two epochs
    store.note(held, owner, RunRecord(42, 0, "running", attempts=module.ATTEMPTS, epochs=1))
    store.release(held, owner)
    assert runner(store, total=1).work() == 0
    record = RunRecord.from_json(store.trials()[0].user_attrs[RUNS]["f0r42"])
    assert record.state == "done" and record.attempts == 1 and record.epochs == 2


def test_a_failure_that_was_noted_is_not_trained_again(store, trained):
    calls, _ = trained
    one, owner = runner(store), identity("dead")
    held = store.claim(owner, "dead", total=1, own=None, runs=one.plan.runs, parameters=one._parameters)
    store.note(held, owner, RunRecord(42, 0, "failed", reason="the loss is not finite", attempts=1))
    store.release(held, owner)
    assert runner(store, total=1).work() == 1 and calls == []
    assert store.trials()[0].user_attrs[REASON] == "run f0r42: the loss is not finite"


def test_what_was_decided_of_a_trial_is_not_decided_again_by_who_takes_it_over(store, trained):
    _, outcome = trained
    text = SWEEP + "early_terminate: {type: median}\n"
    one, owner = runner(store, text), identity("dead")
    held = store.claim(owner, "dead", total=3, own=None, runs=one.plan.runs, parameters=one._parameters)
    for run, score in zip(one.plan.runs[:2], (0.1, 0.9), strict=True):  # went on after the first: it was alone
        store.note(held, owner, RunRecord(run.seed, run.fold, "done", (score,), "x", attempts=1))
    outcome |= {"small-0": 0.5, "small-1": 0.3, "small-2": 0.4}
    for _ in range(2):
        other = runner(store, text, total=3)
        other._trial(other._claim())
    store.release(held, owner)
    runner(store, text, total=3).work()
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE] * 3
    assert store.trials()[0].values == [pytest.approx((0.1 + 0.9 + 0.5 + 0.5) / 4)]


def test_a_folder_that_another_process_holds_is_left_to_it(store, trained, monkeypatch):
    """The first worker hangs, its trial is taken over, and it goes on: nothing fails, nothing is trained twice."""
    _, outcome = trained
    monkeypatch.setattr(module, "FOLDER_WAIT", 0.05)
    monkeypatch.setattr("spectrain.sweeps.store.GRACE", 0.5)
    outcome["small-0"] = BusyRunError("its folder is held", where="runs/s1/small-0")
    one = runner(store, total=2)
    one._trial(one._claim())
    (trial,) = store.trials()
    assert trial.state == TrialState.RUNNING and trial.user_attrs[RUNS]["f0r42"]["attempts"] == 0
    held = one._claim()
    assert held.number == 1  # the others meanwhile
    one._trial(held)
    outcome.clear()
    assert one.work() == 0
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE] * 2


def test_a_training_says_of_what_kind_it_is_that_its_folder_is_held(tmp_path):
    with whole_run._alone(tmp_path / "run"), pytest.raises(BusyRunError, match="another process trains this run"):
        whole_run.whole_run(plan().config(), tmp_path / "run")


def test_a_folder_that_becomes_free_soon_is_waited_for(store, trained, monkeypatch):
    real, turns = module.train_run, []

    def busy(cfg):
        turns.append(cfg)
        if len(turns) < 3:
            raise BusyRunError("its folder is held", where="x")
        return real(cfg)

    monkeypatch.setattr(module, "train_run", busy)
    monkeypatch.setattr(module, "FOLDER_WAIT", 1.0)
    assert runner(store, total=1).work() == 0 and len(store.trials()) == 1


def test_a_runner_whose_trial_was_taken_over_goes_on_with_others(store, trained, monkeypatch):
    real, stolen = module.train_run, []

    def steal(cfg):
        if not stolen:
            stolen.append(identity("thief"))
            lease = {"owner": stolen[0], "beat": -1.0}
            store.storage.set_trial_user_attr(store.trials()[0]._trial_id, "spectrain:lease", lease)
        return real(cfg)

    monkeypatch.setattr(module, "train_run", steal)
    assert runner(store, total=2).work() == 0
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE] * 2


def test_a_database_that_goes_away_for_good_at_the_end_loses_nothing(store, trained, monkeypatch):
    calls, _ = trained
    one = runner(store, total=1)

    def away(*_):
        raise SpectrainError("the database cannot be reached for 600 s")

    with monkeypatch.context() as gone:
        gone.setattr(one.store, "finish", away)
        with pytest.raises(SpectrainError, match="cannot be reached"):
            one.work()
    with monkeypatch.context() as gone:
        gone.setattr("spectrain.sweeps.store.GRACE", 0.0)
        assert runner(store, total=1).work() == 0
    assert len(calls) == 4 and store.trials()[0].state == TrialState.COMPLETE


def test_an_outage_while_noting_is_no_failure_of_the_run(store, trained, monkeypatch):
    one = runner(store, total=1)

    def away(*_):
        raise SpectrainError("the database cannot be reached for 600 s")

    monkeypatch.setattr(one.store, "note", away)
    with pytest.raises(SpectrainError, match="cannot be reached"):
        one.work()
    assert one.failed == 0 and store.trials()[0].state == TrialState.RUNNING


def test_a_runner_that_comes_back_waits_for_what_it_left_behind(store, trained, monkeypatch):
    """It began as many as it may, and died: nobody else may ever come."""
    monkeypatch.setattr("spectrain.sweeps.store.GRACE", 0.5)
    one = runner(store, own=1, total=None)
    assert one._claim().number == 0
    assert runner(store, own=1, total=None).work() == 0
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE]


def test_a_runner_ends_after_its_own_trials(store, trained):
    runner(store, own=1, total=None).work()
    runner(store, own=1, total=None).work()  # counted across restarts
    runner(store, own=2, total=None, name="b").work()
    assert len(store.trials()) == 3


def test_a_metric_that_no_run_logs(store, trained):
    text = SWEEP.replace("jaccard_valid", "dice_valid")
    assert runner(store, text, total=1).work() == 1
    assert "no value 'dice_valid'" in store.trials()[0].user_attrs[REASON]


def test_scores_are_of_the_best_epoch_or_the_last(store, trained):
    runner(store, total=1).work()
    lr = store.trials()[0].params["optimizer.lr"]
    folder = next(Path("runs/s1").glob("small-0/small-0-f0r42-*"))
    one = plan()
    cfg = one.config()
    metrics = one.definition.metrics
    assert scores_of(folder, cfg, metrics, "best") == (pytest.approx(lr),)
    assert scores_of(folder, cfg, metrics, "last") == (pytest.approx(lr / 2),)
    other = plan(SWEEP.replace("jaccard_valid", "val1/JaccardIndex")).definition.metrics
    assert scores_of(folder, cfg, other, "best") == (pytest.approx(lr),)


def test_median_pruning_gives_up_what_is_worse(store, trained):
    calls, outcome = trained
    outcome |= {"small-0": 0.5, "small-1": 0.6, "small-2": 0.1, "small-3": 0.7}
    runner(store, SWEEP + "early_terminate: {type: median}\n", total=4).work()
    states = [trial.state for trial in store.trials()]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]
    assert len([cfg for cfg in calls if cfg.trial_name == "small-2"]) == 1


def test_halving_keeps_the_better_share(store, trained):
    _, outcome = trained
    outcome |= {f"small-{number}": value for number, value in enumerate([0.5, 0.6, 0.7, 0.1, 0.9, 0.2])}
    runner(store, SWEEP + "early_terminate: {type: halving, eta: 2}\n", total=6).work()
    states = [trial.state.name for trial in store.trials()]
    assert states == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]


def test_a_search_by_optuna_learns(store, trained):
    text = SWEEP.replace("random", "bayes").replace("{values: [2, 4]}", "{distribution: q_normal, mu: 8, sigma: 2}")
    runner(store, text, total=25, folds=1, randoms=1).work()
    rates = [trial.params["optimizer.lr"] for trial in store.trials()]
    assert np.mean(rates[15:]) > np.mean(rates[:10])  # larger is better, here
    assert all(
        isinstance(trial.user_attrs["spectrain:parameters"]["hparams.batch_size"], int) for trial in store.trials()
    )


def test_a_grid_ends_by_itself(store, trained):
    text = SWEEP.replace("random", "grid").replace(
        "{min: 0.001, max: 0.1, distribution: log_uniform_values}", "{values: [0.1, 0.2]}"
    )
    runner(store, text, total=None).work()
    assert len({tuple(sorted(trial.params.items())) for trial in store.trials()}) == 4 == len(store.trials())


def test_several_metrics(tmp_path, trained, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = SWEEP.replace(
        "{name: jaccard_valid, goal: maximize}", "[{name: jaccard_valid, goal: maximize}, {name: loss_valid}]"
    )
    store = Store(f"sqlite:///{tmp_path}/s.db", "s1")
    store.create(plan(text).to_json(), ["maximize", "minimize"])
    runner(store, text).work()
    lr = store.trials()[0].params["optimizer.lr"]
    assert store.trials()[0].values == pytest.approx([lr, -lr])


# --- the plan


def test_published_seeds():
    assert (
        seeds(2) == [42, 21] and seeds(3) == [42, 21, 69] and seeds(5)[:3] == [42, 21, 69] and len(set(seeds(20))) == 20
    )


def test_a_plan_is_kept_whole_and_a_newer_one_refused():
    one = plan(config_name="a.toml", config_text="[darts]\nmax-epochs = 3\n", overrides=("hparams.log_every=7",))
    assert Plan.from_json(one.to_json()) == one
    assert one.config().hparams.epochs == 3 and one.config().hparams.log_every == 7
    with pytest.raises(SpectrainError, match=r"the file has version 2 of the format 'spectrain\.sweep'"):
        Plan.from_json(one.to_json() | {"format": {"name": "spectrain.sweep", "version": 2}})


def test_ids_are_the_same_for_everybody():
    one = RunRecord(42, 0)
    assert run_id("s", 3, one) == run_id("s", 3, one) != run_id("s", 4, one)
    assert len(run_id("s", 3, one)) == 8


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "optimizer.lr:",
            "optimizer.lrr:",
            r"optimizer.lrr: is not an option .sweep.yaml:5(.|\n)*did you mean optimizer.lr",
        ),
        ("{values: [2, 4]}", "{values: [2, -4]}", r"hparams.batch_size: (.|\n)*sweep.yaml:6"),
        ("{values: [2, 4]}", "{min: 0.5, max: 2.0}", r"hparams.batch_size: (.|\n)*sweep.yaml:6"),
    ],
)
def test_parameters_are_checked_at_the_start_with_their_line(old, new, message):
    with pytest.raises(ConfigError, match=message):
        plan(SWEEP.replace(old, new)).check()
    plan().check()


def test_the_documents_sweep_is_accepted():
    folder = Path(__file__).parent.parent / "documents"
    text = (folder / "planet-tcvis-sweep.yaml").read_text()
    config = folder / "planet-sweep-config.toml"
    one = plan(text, config_name=config.name, config_text=config.read_text())
    one.check()
    cfg = one.trial_config(7, one.definition.space.random(0, 7), RunRecord(42, 1), "cpu")
    assert cfg.scheduler.name == "exponential" and cfg.loss.gamma <= 2 and cfg.loss.alpha >= 0.8
    assert cfg.dataset.fold == 1 and cfg.hparams.monitor == "val0/JaccardIndex" and cfg.hparams.epochs == 60


@pytest.mark.parametrize(
    "words",
    [
        {"value": [1, 2]},
        {"values": ["a", None, 3]},
        {"min": 1, "max": 9},
        {"min": 1.0, "max": 9.0},
        {"min": 0, "max": 1, "q": 0.1},
        {"distribution": "log_uniform_values", "min": 1e-4, "max": 1},
        {"distribution": "q_log_uniform_values", "min": 1, "max": 64, "q": 8},
        {"mu": 0, "sigma": 1},
        {"distribution": "beta", "a": 2, "b": 2},
    ],
)
def test_what_optuna_is_told_holds_every_value(words):
    one = distribution_of(words)
    theirs = told(one)
    for u in np.linspace(0, 1, 50, endpoint=False):
        value = one.draw(float(u))
        value = str(value) if isinstance(value, list) else value
        assert theirs._contains(theirs.to_internal_repr(value))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        found = suggested(study.ask(), "x", one)
        assert one.values is None or found in one.values
        assert Space({"x": one}).parameters["x"] is one
