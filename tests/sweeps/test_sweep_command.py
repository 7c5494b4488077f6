"""`spectrain sweep` as a person calls it: what begins, what goes on, what is refused and with which exit code."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from test_folds_of_a_run import SMALL, scene
from test_prepared import prepare

import spectrain
from spectrain.cli import main
from spectrain.core.errors import ConfigError, RunError, SpectrainError, UsageError
from spectrain.runs.run import Run
from spectrain.sweeps import start
from spectrain.sweeps.options import read_options
from spectrain.sweeps.plan import replaced
from spectrain.sweeps.store import RUNS
from spectrain.sweeps.sweep import open_sweep

SWEEP = """\
name: small one
method: random
metric: {name: val0/JaccardIndex, goal: maximize}
parameters:
  learning_rate: {min: 0.001, max: 0.1, distribution: log_uniform_values}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a sweep file and data whose folds are given."""
    monkeypatch.chdir(tmp_path)
    ids = [f"p{row}" for row in range(10)]
    folds = [(ids[:5], ids[5:]), (ids[5:], ids[:5])]
    prepare(tmp_path / "data", scene(), folds=folds)
    Path("sweep.yaml").write_text(SWEEP)
    return tmp_path


@pytest.fixture
def unrehearsed(monkeypatch):
    """Beginnings that do not build a model."""
    monkeypatch.setattr(start, "values_of_a_run", lambda cfg: {"loss_valid", "jaccard_valid", "recall_valid"})


def begin(*words, **options):
    return spectrain.sweep("sweep.yaml", None, ["dataset.path=data", *SMALL, *words], n_folds=2, n_randoms=1, **options)


def command(*words):
    """Run the command; return its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", *words])
    return stopped.value.code or 0


def test_a_sweep_from_its_file_to_its_runs_and_on(place, caplog, capsys):
    caplog.set_level("INFO")
    words = ["dataset.path=data", *SMALL, "trackers=[mlflow]", "--n-folds", "2", "--n-randoms", "1"]
    assert command("sweep.yaml", *words, "--device", "cpu", "--n-trials", "1", "--runner", "mine") == 0
    found = open_sweep("sweep-small-one")
    assert found.folder == Path("runs/sweep-small-one") and open_sweep(found.folder.absolute()).plan == found.plan
    (trial,) = found.store.trials()
    assert trial.state.name == "COMPLETE" and trial.values[0] > 0
    folders = [found.folder / one["folder"] for one in trial.user_attrs[RUNS].values()]
    assert [folder.parent.name for folder in folders] == ["small one-0"] * 2
    assert [Run.open(folder).cfg.dataset.fold for folder in folders] == [0, 1]
    assert all(Run.open(folder).cfg.hparams.monitor == "val0/JaccardIndex" for folder in folders)

    import mlflow

    client = mlflow.MlflowClient()
    names = {run.info.run_name: run for run in client.search_runs(["1"])}
    parent = names["small one-0"]
    assert parent.data.metrics["val0/JaccardIndex"] == pytest.approx(trial.values[0])
    assert parent.info.status == "FINISHED" and len(names) == 3
    children = [run for name, run in names.items() if name != "small one-0"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}

    # the printed command goes on; this runner has had its trial, so nothing runs
    printed = next(line for line in caplog.text.splitlines() if "spectrain sweep --sweep-id" in line)
    assert command(*shlex.split(printed)[2:]) == 0
    assert len(found.store.trials()) == 1
    # another one runs one more
    assert command("--sweep-id", "sweep-small-one", "--device", "cpu", "--n-trials", "1") == 0
    assert len(found.store.trials()) == 2


@pytest.mark.slow  # two runners are quick in test_many_runners.py
def test_two_devices_are_two_runners_of_one_sweep(place, capfd):
    code = command(
        "sweep.yaml", "dataset.path=data", *SMALL, "--n-folds", "2", "--n-randoms", "1", "--devices", "cpu,cpu",
        "--total-trials", "2", "general.threads=1",
    )  # fmt: skip
    said = capfd.readouterr().err
    assert code == 0, said
    found = open_sweep("sweep-small-one")
    assert [trial.state.name for trial in found.store.trials()] == ["COMPLETE"] * 2
    assert "[0] trial" in said and "[1] " in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--sweep-id", "some"], 2, "no device to go on with it"),
        (["--sweep-id", "some", "--device", "cpu"], 2, "no sweep file to begin it with"),
        ([], 2, "no sweep file is named"),
        (["sweeep.yaml"], 1, "cannot be read"),
        (["sweep.yaml", "--n-trials", "0"], 1, "must be at least 1"),
        (["sweep.yaml", "dataset.path=nowhere"], 1, "there is no such file or folder"),
        (["sweep.yaml", "dataset.path=data", "optimizer.lrr=1"], 1, "is not an option"),
        (["sweep.yaml", "dataset.path=data", "--sweep-db", "mysql://u:secret@h/d"], 1, "no known kind"),
        (["sweep.yaml", "dataset.path=data", "--n-folds", "3"], 1, "folds"),
        (["--sweep-id", "some", "--device", "cpu", "--sweep-db", "journal:db/x"], 2, "no sweep file to begin it with"),
        (["sweep.yaml", "dataset.path=data", "optimizer.lrr=1", "--sweep-db", "journal:db/x"], 1, "is not an option"),
    ],
)
def test_what_is_refused_leaves_nothing(place, capsys, words, code, said):
    assert command(*words) == code
    message = capsys.readouterr().err
    assert said in message and "secret" not in message
    assert not Path("runs").exists() and not Path("db").exists()


def test_neither_id_nor_device_only_makes_a_new_sweep_each_time(place, unrehearsed):
    made = [begin(), begin()]
    assert [one.sweep_id for one in made] == ["sweep-small-one", "sweep-small-one-2"]
    assert made[0].command == "spectrain sweep --sweep-id sweep-small-one --device auto"
    assert not open_sweep("sweep-small-one").store.trials()
    file = Path("runs/sweep-small-one/sweep.json")
    noted = json.loads(file.read_text())
    assert noted.pop("sweep_id") == "sweep-small-one"
    assert noted.pop("format") == {"name": "spectrain.sweep_place", "version": 1}
    file.write_text(json.dumps({"sweep_id": "sweep-small-one", **noted}))  # as the first ones were
    assert open_sweep("sweep-small-one").sweep_id == "sweep-small-one"
    file.write_text(json.dumps({**noted, "format": {"name": "spectrain.sweep_place", "version": 9}}))
    with pytest.raises(RunError, match="version 9"):
        open_sweep("sweep-small-one")


def test_an_id_that_is_not_there_begins_under_it(place, unrehearsed, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr("spectrain.sweeps.api.Runner", lambda *given: Ran(given))
    assert begin(sweep_id="mine", device="cpu").sweep_id == "mine"
    assert "there is no sweep mine yet: it begins under this id" in caplog.text
    assert Ran.given[-1][4] == 10  # the published count of trials, where nothing says when to end
    begin(sweep_id="mine", device="cpu", total_trials=4)
    assert open_sweep("mine").store.total == 4 and Ran.given[-1][4] is None


class Ran:
    """A runner that has nothing to do."""

    given: ClassVar[list] = []

    def __init__(self, given):
        Ran.given.append(given)

    def work(self):
        return 0


def test_going_on_is_held_against_the_beginning(place, unrehearsed, monkeypatch):
    monkeypatch.setattr("spectrain.sweeps.api.Runner", lambda *given: Ran(given))
    begin(sweep_id="mine", device="cpu")
    again = {"sweep_id": "mine", "device": "cpu"}
    begin(**again)
    assert Ran.given[-1][6] == []
    with pytest.raises(UsageError, match=r"hparams\.gradient_clipping: was 0.0, and is 2.0 now"):
        begin("hparams.gradient_clipping=2", **again)
    with pytest.raises(UsageError, match="n_folds: was 2, and is 3 now"):
        spectrain.sweep(None, n_folds=3, **again)
    # comments and order may change; what is searched may not
    Path("sweep.yaml").write_text("# again\n" + SWEEP)
    begin(**again)
    Path("sweep.yaml").write_text(SWEEP.replace("max: 0.1", "max: 0.2"))
    with pytest.raises(
        UsageError, match=r"learning_rate: was log_uniform_values from 0.001 to 0.1, and is .* to 0.2 now"
    ):
        begin(**again)
    # each machine may have its data elsewhere
    made = spectrain.sweep(None, None, ["dataset.path=/elsewhere", "general.num_workers=3"], **again)
    assert Ran.given[-1][6] == ["dataset.path=/elsewhere", "general.num_workers=3"]
    assert "dataset.path=/elsewhere" in made.command
    cfg = Ran.given[-1][1].trial_config(0, {}, Ran.given[-1][1].runs[0], "cpu", Ran.given[-1][6])
    assert cfg.dataset.path == "/elsewhere" and cfg.general.num_workers == 3
    spectrain.sweep(None, None, ["general.device_ids=[0,1]"], sweep_id="mine", device="cuda")
    cfg = Ran.given[-1][1].trial_config(0, {}, Ran.given[-1][1].runs[0], "cuda", Ran.given[-1][6])
    assert cfg.general.device_ids == [0, 1] and cfg.general.device == "cuda"


def test_a_metric_that_no_run_has_is_refused_with_what_there_is(place):
    Path("sweep.yaml").write_text(SWEEP.replace("val0/JaccardIndex", "val0/JacardIndex"))
    with pytest.raises(ConfigError, match=r"did you mean '?val/JaccardIndex"):
        begin()
    assert not Path("runs").exists()


def test_options_come_from_the_file_and_the_command_counts_more(place, unrehearsed):
    Path("options.toml").write_text(
        '[darts.sweep]\nn-trials = 7\nsweep-id = "of-file"\nn_folds = 2\n[darts.paths]\nsweep-config = "sweep.yaml"\n'
        '[darts.training]\ndevice = "cpu"\nmax-epochs = 3\n'
    )
    options, rest = read_options("options.toml", ["n-trials=3", "optimizer.lr=0.1"], {"n_randoms": 1})
    assert (options.n_trials, options.sweep_id, options.n_folds, options.n_randoms) == (3, "of-file", 2, 1)
    assert options.sweep_config == "sweep.yaml" and options.device == "cpu" and rest == ["optimizer.lr=0.1"]
    plan = start.plan_of(options, "options.toml", rest, [], [], None)
    assert plan.config().hparams.epochs == 3 and plan.config().optimizer.options.lr == 0.1
    Path("general.yaml").write_text("general: {device: cpu}\n")
    assert read_options("general.yaml", [], {})[0].device is None


def test_personal_defaults_count_for_every_runner(place, unrehearsed, monkeypatch):
    Path("spectrain.toml").write_text("[spectrain]\ngeneral.num_workers = 2\n")
    begin()
    Path("spectrain.toml").unlink()
    assert open_sweep("sweep-small-one").plan.config().general.num_workers == 2


def test_a_runner_in_another_folder_finds_the_plugin(place, unrehearsed, monkeypatch):
    Path("mine.py").write_text("")
    begin(plugins=["mine.py", "json"])
    plan = open_sweep("sweep-small-one").plan
    assert plan.plugins == (str(place / "mine.py"), "json")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert plan.config().recipe == "segmentation"


def test_words_said_anew_replace_those_before():
    assert replaced(["a.b=1", "c-d=2"], ["c_d=3", "e=4"]) == ["a.b=1", "c_d=3", "e=4"]


def test_folds_are_drawn_as_many_as_a_trial_has(place, unrehearsed):
    begin("dataset.fold_method=random")
    plan = open_sweep("sweep-small-one").plan
    cfg = plan.trial_config(0, {}, plan.runs[1], None)
    assert (cfg.dataset.fold, cfg.dataset.folds) == (1, 2)
    published = replace(plan, overrides=replaced(plan.overrides, ["dataset.fold_method=published"]))
    assert published.trial_config(0, {}, plan.runs[1], None).dataset.folds == 5


def test_a_sweep_that_is_not_there_cannot_be_opened(place):
    with pytest.raises(SpectrainError, match="there is no sweep 'nothing'"):
        open_sweep("nothing")
    with pytest.raises(SpectrainError, match="there is no sweep 'nothing'"):
        open_sweep("nothing", sweep_db="journal:db/x")
    assert not Path("runs").exists() and not Path("db").exists()


@pytest.mark.parametrize("text", ["", '{"sweep_id": "mi', "[]", '{"sweep_id": "mine"}'])
def test_a_damaged_note_of_where_a_study_is_is_one_message(place, text):
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/sweep.json").write_text(text)
    with pytest.raises(SpectrainError, match="cannot be read") as caught:
        open_sweep("mine")
    assert "sweep.json" in caught.value.where and "--sweep-db" in caught.value.fix


def test_a_grid_of_another_recipe_ends_by_itself(place, caplog):
    import h5py
    import numpy as np

    caplog.set_level("INFO")
    with h5py.File("sst.h5", "w") as file:
        for split, count in (("train", 12), ("valid", 8)):
            file[split] = np.random.default_rng(0).normal(size=(count, 1, 16, 16)).astype("f4")
    Path("grid.yaml").write_text(
        "method: grid\nmetric: {name: loss_valid}\nparameters:\n  loss.temperature: {values: [0.1, 0.5]}\n"
        "  optimizer.lr: {value: 0.01}\n"
    )
    words = ["dataset.path=sst.h5", "hparams.epochs=1", "hparams.batch_size=4", "model.backbone=resnet18"]
    words += [
        "general.threads=1",
        "augmentation.crop=16",
        "general.seed=5",
    ]  # a seed of the user's gives way to those of the sweep
    assert command("grid.yaml", "--recipe", "contrastive", *words, "--device", "cpu") == 0
    found = open_sweep("sweep-grid")
    assert [trial.params["loss.temperature"] for trial in found.store.trials()] == [0.1, 0.5]
    assert [list(trial.user_attrs[RUNS]) for trial in found.store.trials()] == [["r42"], ["r42"]]
    assert "2 trials, 1 seed a trial, to minimize loss_valid" in caplog.text


@pytest.mark.slow
def test_a_run_may_be_trained_by_several_processes(place, monkeypatch):
    from spectrain.training import whole_run

    launched = []

    def launch(count, words):
        launched.append((count, words[:2]))
        return real(count, words)

    real = whole_run.launch
    monkeypatch.setattr("spectrain.config.plugins._loaded", {})  # those of other tests
    monkeypatch.setattr(whole_run, "missing_processes", lambda cfg: 2)
    monkeypatch.setattr(whole_run, "launch", launch)
    begin("general.threads=1", device="cpu", n_trials=1)
    (trial,) = open_sweep("sweep-small-one").store.trials()
    runs = [Run.open(Path("runs/sweep-small-one", one["folder"])) for one in trial.user_attrs[RUNS].values()]
    assert trial.state.name == "COMPLETE" and launched == [(2, ["train", "segmentation"])] * 2
    assert [(run.info["processes"], run.info["status"]) for run in runs] == [(2, "finished")] * 2
    assert [run.cfg.dataset.fold for run in runs] == [0, 1]
