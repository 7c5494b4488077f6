"""The command: what it hands on, what it prints, and how it exits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from spectrain.cli import main
from spectrain.core.errors import DataError
from spectrain.training import api

HEAVY = {"torch", "numpy", "pandas", "h5py", "zarr", "hydra", "omegaconf", "matplotlib", "json5", "mlflow"}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)


@pytest.fixture
def command(capsys):
    """Return a function that runs the command and returns (exit code, standard output, standard error)."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(words)
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def spectrain(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "spectrain", *words], capture_output=True, text=True, **options)


# --- quick, and nothing heavy


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"], ["options", "hparams"]])
def test_help_imports_nothing_heavy(words):
    code = f"import sys; from spectrain.cli import main\ntry: main({words})\nexcept SystemExit: print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(modules)
    assert len(modules) < 700


def test_help_names_every_verb(command):
    code, out, _ = command("--help")
    assert code == 0
    assert all(verb in out for verb in ("train", "inspect", "report", "demo", "options"))
    assert "--resume" in command("train", "--help")[1]


def test_version(command):
    import spectrain as package

    assert command("--version")[:2] == (0, f"{package.__version__}\n")


def test_options_prints_the_page(command):
    from spectrain.config.options_page import page

    assert command("options")[1] == page()
    lines = command("options", "model.feat_dim")[1].splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("| `model.feat_dim` | `128` |")
    code, _, err = command("options", "n-trials")  # of a sweep
    assert code == 2 and "no option of a training begins with 'n-trials'" in err and "docs/sweeps.md" in err


# --- what is handed on


@pytest.fixture
def trained(monkeypatch):
    """Catch what `train` would train, and let it end as the test says."""
    caught = SimpleNamespace(cfg=None, status="finished")

    def train_config(cfg, *, run=None, checkpoint=None):
        caught.cfg, caught.run = cfg, run
        return SimpleNamespace(status=caught.status)

    monkeypatch.setattr(api, "train_config", train_config)
    return caught


def test_train_hands_fixed_options_overrides_and_flags_on(command, trained, tmp_path):
    (tmp_path / "a.json").write_text('{"temp": 0.5}')
    words = ["hparams.epochs=3", "--config", "a.json", "--learning-rate", "1e-3", "--no-flip", "--debug"]
    assert command("train", "contrastive", *words)[0] == 0
    cfg = trained.cfg
    assert (cfg.hparams.epochs, cfg.loss.temperature, cfg.optimizer.lr) == (3, 0.5, 1e-3)
    assert (cfg.augmentation.flip, cfg.general.debug) == (False, True)


def test_train_takes_groups_and_plugins(command, trained, tmp_path):
    (tmp_path / "groups" / "loss").mkdir(parents=True)
    (tmp_path / "groups" / "loss" / "mine.yaml").write_text("name: supcon\ntemperature: 0.9\n")
    (tmp_path / "a.py").write_text("open('imported', 'w').close()")
    words = ["--config-dir", "groups", "loss=mine", "--plugin", "a.py"]
    assert command("train", "contrastive", *words)[0] == 0
    assert trained.cfg.loss.temperature == 0.9
    assert Path("imported").exists()


def test_cfg_job_prints_the_configuration_and_trains_nothing(command, trained, tmp_path):
    code, out, _ = command("train", "contrastive", "hparams.epochs=3", "--cfg", "job")
    assert code == 0
    assert "  epochs: 3  # command line\n" in out
    assert trained.cfg is None
    (tmp_path / "config.yaml").write_text(out)
    assert command("train", "--config", "config.yaml")[0] == 0
    assert trained.cfg.hparams.epochs == 3


def test_the_recipe_may_stand_in_the_file_alone(command, trained, tmp_path):
    (tmp_path / "a.yaml").write_text("recipe: contrastive\n")
    assert command("train", "hparams.epochs=4", "--config", "a.yaml")[0] == 0
    assert trained.cfg.hparams.epochs == 4
    assert command("train", "--epochs", "5", "--config", "a.yaml")[0] == 0
    assert trained.cfg.hparams.epochs == 5


def fake_module(monkeypatch, name, **functions):
    module = ModuleType(name)
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, name, module)


def test_inspect_prints_what_it_finds(command, monkeypatch):
    class Answer(SimpleNamespace):
        def __str__(self) -> str:
            return "a page"

    asked, answer = [], Answer(usable=True)
    fake_module(monkeypatch, "spectrain.inspection.look", inspect=lambda *given: asked.append(given) or answer)
    code, out, _ = command("inspect", "a.h5", "--split", "train", "-o", "a.png", "--window", "32", "--labels", "y")
    assert (code, out) == (0, "a page\n")
    assert asked == [(Path("a.h5"), ["train"], Path("a.png"), 32, Path("y"))]
    answer.usable = False
    assert command("inspect", "a")[:2] == (1, "a page\n")


def test_report_hands_its_runs_on(command, monkeypatch, tmp_path):
    from spectrain.runs.run import Run

    monkeypatch.setattr(Run, "open", lambda path: SimpleNamespace(folder=Path(path)))
    fake_module(monkeypatch, "spectrain.runs.report", write_report=lambda folders, out: (folders, out))
    assert command("report", "a", "b")[1] == f"{([Path('a'), Path('b')], None)}\n"
    assert command("report", "a", "-o", "x.html")[1] == f"{([Path('a')], Path('x.html'))}\n"


def test_demo_names_its_report(command, monkeypatch):
    import spectrain.demos

    asked = []
    monkeypatch.setattr(spectrain.demos, "run", lambda *words: asked.append(words) or made)
    made = SimpleNamespace(folder=Path("r"), info={"status": "finished", "learned": "learned in r"})
    said = "learned in r\n\nthe report: r/report.html\n"
    assert command("demo", "contrastive", "hparams.epochs=1")[:2] == (0, said)
    assert asked == [("contrastive", ("hparams.epochs=1",))]
    made.info["status"] = "interrupted"
    assert command("demo")[1] == "the report: r/report.html\n"
    assert command("demo")[0] == 130


# --- how it exits


def test_both_typos_fail_with_one_message(command):
    code, out, err = command("train", "contrastive", "hparams.epoch=2", "hparams.batchsize=4")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "spectrain: 2 mistakes in the configuration",
        "  hparams.epoch: is not an option (command line)",
        "    did you mean hparams.epochs?",
        "  hparams.batchsize: is not an option (command line)",
        "    did you mean hparams.batch_size?",
    ]


def test_a_missing_recipe_is_told_with_those_there_are(command):
    code, _, err = command("train")
    assert code == 1
    assert "recipe: is not given" in err
    assert "contrastive" in err


@pytest.mark.parametrize(
    "words",
    [["trian"], ["train", "contrastive", "--cfg", "jo"], ["inspect"], ["report"], ["train", "x", "--config"]],
)
def test_wrong_use_exits_with_2(command, words):
    code, _, err = command(*words)
    assert code == 2
    assert "Error" in err


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (
            DataError("the file is empty", where="a.h5", fix="copy it again"),
            1,
            "spectrain: the file is empty\n  where: a.h5",
        ),
        (PermissionError(13, "no", "a/b"), 1, "spectrain: permission denied\n  where: a/b\n  mend:"),
        (KeyError("x"), 1, "spectrain: KeyError: 'x'\n  this is a fault of spectrain"),
        (KeyboardInterrupt(), 130, "spectrain: interrupted"),
    ],
)
def test_failures_are_one_message_without_a_traceback(command, monkeypatch, failure, code, words):
    def fail(*arguments, **options):
        raise failure

    monkeypatch.setattr(api, "train_config", fail)
    found, out, err = command("train", "contrastive")
    assert (found, out) == (code, "")
    assert err.startswith(words)
    assert "Traceback" not in err


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr(api, "train_config", lambda *a, **k: [][0])
    with pytest.raises(IndexError):
        main(["train", "contrastive", "--debug"])


def test_a_training_that_was_stopped_exits_with_130(command, trained):
    trained.status = "interrupted"
    assert command("train", "contrastive")[0] == 130


def test_several_devices_start_several_processes(command, trained, monkeypatch):
    from spectrain.training.processes import launch

    monkeypatch.setattr(launch, "launch", lambda count, words: 40 + count)
    assert command("train", "contrastive", "general.device_ids=[0, 1]")[0] == 42
    assert trained.cfg is None


def test_the_module_runs_as_the_command_does():
    done = spectrain("train", "--config", "gone.json")
    assert done.returncode == 1
    assert done.stderr.startswith("spectrain: ")
    assert "gone.json: does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_is_no_failure():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "spectrain", "options"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_log_follows_standard_error(capsys):
    import logging

    from spectrain.cli.terminal import log_to_terminal

    log_to_terminal(False)
    log_to_terminal(False)
    logging.getLogger("spectrain.somewhere").info("told once")
    assert capsys.readouterr().err == "told once\n"


def test_other_processes_of_a_training_are_quiet(capsys, monkeypatch):
    import logging

    from spectrain.cli.terminal import log_to_terminal

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    log_to_terminal(False)
    logging.getLogger("spectrain").info("not told")
    assert capsys.readouterr().err == ""
