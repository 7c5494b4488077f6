from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console
from torch import nn

from spectrain.runs import progress
from spectrain.runs.progress import ProgressLine, describe, duration, layer_table, number

VALUES = {"loss_train": 1.2345678, "lr": 0.001, "samples_per_s": 12345.6, "data_wait": 0.031}


def console(*, terminal: bool, width: int = 120) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, highlight=False)


def drawn(table) -> str:
    out = console(terminal=False)
    out.print(table)
    return out.file.getvalue()


def test_without_a_terminal_each_interval_is_one_line():
    out = console(terminal=False, width=40)
    with ProgressLine(epochs=2, steps_per_epoch=20, console=out) as line:
        line.interval(1, 10, VALUES)
        line.interval(1, 20, VALUES)
        line.epoch(1, {"loss_train": 0.5, "lr": 0.1, "loss_valid": float("nan")}, best=True)
    lines = out.file.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1/2  step 10/20  loss 1.2346  lr 1.00e-03  12,346 samples/s  3% data wait  ")
    assert lines[2] == "epoch 1/2  loss_train 0.5  loss_valid nan  best so far"


@pytest.mark.parametrize("width", [40, 90, 160])
def test_on_a_terminal_the_line_never_wraps_and_is_gone_at_the_end(width):
    out = console(terminal=True, width=width)
    with ProgressLine(epochs=2, steps_per_epoch=20, console=out) as line:
        line.interval(1, 10, VALUES)
        shown = out.file.getvalue()
        line.interval(2, 20, VALUES)
    assert "epoch 1/2" in shown
    assert "\n" not in shown.strip()
    assert out.file.getvalue().rstrip().endswith("\x1b[2K")  # the last thing is that the line is erased


def test_time_left_counts_the_steps_of_this_start_only(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = console(terminal=False)
    with ProgressLine(epochs=10, steps_per_epoch=10, start=50, console=out) as line:
        now[0] += 10
        line.interval(6, 5, {})  # 5 steps in 10 s, 45 to go
        line.interval(6, 0, {})
    first, second = out.file.getvalue().splitlines()
    assert first.endswith("1:30 left")
    assert second.endswith("--:-- left")


def test_other_processes_show_nothing():
    out = console(terminal=True)
    with ProgressLine(epochs=1, steps_per_epoch=1, enabled=False, console=out) as line:
        line.interval(1, 1, VALUES)
        line.epoch(1, VALUES)
        line.show("text")
    assert out.file.getvalue() == ""


def test_numbers_and_times_are_written_for_people():
    assert describe({"data_wait": 0.5, "samples_per_s": 2.345}) == ["2.35 samples/s", "50% data wait"]
    assert [number(x) for x in (0.0, 123456.7, float("inf"))] == ["0", "1.2346e+05", "inf"]
    assert [duration(x) for x in (0, 61.4, 3723, float("nan"))] == ["0:00", "1:01", "1:02:03", "--:--"]


class Wrapper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.ModuleDict({"encoder": nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), "head": nn.Linear(8, 4)})


def test_layer_table_opens_wrappers_and_counts():
    text = drawn(layer_table(Wrapper()))
    rows = {line.split()[0]: line.split()[-1] for line in text.splitlines()}
    assert rows["network.encoder"] == "224"
    assert rows["network.head"] == "36"
    assert rows["total"] == "260"
    assert "trainable" not in rows


def test_layer_table_counts_shared_frozen_and_own_parameters_once():
    model = Wrapper()
    model.extra = nn.Parameter(torch.zeros(5))
    model.again = model.network["head"]
    for parameter in model.network["encoder"].parameters():
        parameter.requires_grad_(False)
    rows = {line.split()[0]: line.split()[1:] for line in drawn(layer_table(model)).splitlines() if line.strip()}
    assert rows["network"] == ["ModuleDict", "260"]
    assert rows["again"] == ["Linear", "0"]
    assert rows["(own)"] == ["Wrapper", "5"]
    assert rows["total"] == ["265"]
    assert rows["trainable"] == ["41"]


def test_layer_table_of_a_model_without_parts():
    rows = drawn(layer_table(nn.Linear(2, 1))).splitlines()
    assert rows[-1].split() == ["total", "3"]


def test_a_notebook_gets_plain_lines(monkeypatch, capsys):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    ProgressLine(epochs=1, steps_per_epoch=1).epoch(1, {"loss_train": 0.5})
    assert capsys.readouterr().out == "epoch 1/1  loss_train 0.5\n"
