"""What a sweep has found: statistics against scipy and by hand, the best and how sure it is, tables and JSON."""

from __future__ import annotations

import csv
import json
import math
from itertools import pairwise

import numpy as np
import pytest
from made_sweeps import TEXT, add, made, plausible, two_metrics
from scipy import stats

from spectrain.sweeps.definition import Metric
from spectrain.sweeps.importance import importances
from spectrain.sweeps.intervals import interval, spread, t_quantile
from spectrain.sweeps.page import show
from spectrain.sweeps.results import TrialResult, estimate, front, lead, results_of
from spectrain.sweeps.results_files import write_results
from spectrain.sweeps.store import RunRecord
from spectrain.sweeps.sweep import open_sweep
from spectrain.sweeps.words import terminal_lines, verdict

UP, DOWN = Metric("jaccard_valid", "maximize"), Metric("loss_valid", "minimize")


def runs(values, folds=3):
    """Return finished runs with these values, the folds of the first seed first."""
    return [RunRecord(number // folds, number % folds, "done", (value,)) for number, value in enumerate(values)]


def trial(number, *values, metrics=1, folds=3):
    records = [RunRecord(n // folds, n % folds, "done", (v,) if metrics == 1 else v) for n, v in enumerate(values)]
    return TrialResult(number, "complete", {}, tuple(records), tuple(estimate(records, at) for at in range(metrics)))


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 14, 99, 250])
@pytest.mark.parametrize("share", [0.75, 0.975, 0.995])
def test_student_t_is_that_of_scipy(freedom, share):
    assert t_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-9)


def test_an_interval_is_that_of_scipy_and_needs_two_values():
    values = [0.71, 0.75, 0.69, 0.8]
    wanted = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx(wanted)
    assert all(map(math.isnan, (*interval([0.7]), *interval([]), spread([1.0]), *interval([0.7, math.nan]))))


def test_a_fold_counts_once_however_many_seeds_it_has():
    values = [0.70, 0.80, 0.90, 0.72, 0.80, 0.94]
    found = estimate(runs(values), 0)
    by_fold = [0.71, 0.80, 0.92]
    assert found.mean == pytest.approx(np.mean(values)) and found.sd == pytest.approx(np.std(values, ddof=1))
    assert list(found.by_fold.values()) == pytest.approx(by_fold)
    assert found.folds_sd == pytest.approx(np.std(by_fold, ddof=1))
    assert found.seeds_sd == pytest.approx(np.std([0.80, 0.82], ddof=1))
    assert (found.low, found.high) == pytest.approx(stats.ttest_1samp(by_fold, 0).confidence_interval(0.95))
    one = estimate(runs([0.7, 0.8], folds=1), 0)
    assert math.isnan(one.low) and math.isnan(one.folds_sd) and one.seeds_sd > 0
    assert math.isnan(estimate([], 0).mean)


def test_the_lead_is_over_the_same_folds_and_seeds():
    better, worse = [0.72, 0.82, 0.91], [0.70, 0.798, 0.889]
    found = lead([trial(4, *worse), trial(7, *better), trial(9, 0.1, 0.1, 0.1)], UP)
    differences = np.subtract(better, worse)
    wanted = stats.ttest_rel(better, worse).confidence_interval(0.95)
    assert (found.best, found.next, found.won, found.runs) == (7, 4, 3, 3)
    assert found.difference == pytest.approx(differences.mean())
    assert (found.low, found.high) == pytest.approx(tuple(wanted)) and found.low > 0
    down = lead([trial(4, *worse), trial(7, *better)], DOWN)
    assert (down.best, down.next) == (4, 7) and down.difference == pytest.approx(differences.mean())
    assert lead([trial(4, *worse)], UP) is None
    assert math.isnan(lead([trial(0, 0.1, folds=1), trial(1, 0.2, folds=1)], UP).low)


def test_the_best_is_by_goal_and_the_lower_number_of_equals():
    trials = [trial(0, 0.5), trial(1, 0.7), trial(2, 0.7), trial(3, 0.2)]
    assert front(trials, [UP]) == (1,) and front(trials, [DOWN]) == (3,) and front([], [UP]) == ()


def test_the_pareto_front():
    points = [(0.5, 0.5), (0.7, 0.6), (0.6, 0.7), (0.4, 0.4), (0.5, 0.5), (0.3, 0.4)]
    trials = [trial(number, point, metrics=2) for number, point in enumerate(points)]
    assert front(trials, [UP, DOWN]) == (0, 1, 3)  # 4 equals 0; 3 has the smaller loss; 2 and 5 are beaten


@pytest.fixture
def sweep(tmp_path):
    return made(tmp_path)


@pytest.fixture
def mixed(sweep):
    """One trial in each state, besides three complete ones."""
    for _ in range(3):
        add(sweep, plausible())
    add(sweep, lambda n, p, run: (0.9,) if run.seed == 42 else None, state="running")
    add(sweep, state="waiting")
    add(sweep, lambda n, p, run: (0.95,) if run.key == "f0r42" else None, state="pruned", reason="worse")
    add(sweep, state="failed", reason="run f0r42: the disk\nis odd")
    return sweep


def test_trials_in_every_state(mixed):
    found = results_of(mixed)
    assert [one.state for one in found.trials] == ["complete"] * 3 + ["running", "waiting", "pruned", "failed"]
    running = found.trials[3]
    assert running.partial and running.scores[0].mean == 0.9 and len(running.done) == 3 and not found.trials[0].partial
    assert found.best[0] in (0, 1, 2) and found.lead is not None  # 0.95 and 0.9 are of some runs only
    assert found.ranked()[0].number == found.best[0] and found.ranked()[-1].state == "failed"
    means = [one.scores[0].mean for one in found.ranked()[:3]]
    assert all(a >= b for a, b in pairwise(means))
    assert found.counts() == {"complete": 3, "running": 1, "waiting": 1, "pruned": 1, "failed": 1}
    assert set(found.varying()) <= set(found.space.parameters)


def test_tables_and_json(mixed, tmp_path):
    found = results_of(mixed)
    write_results(found, importances(found), tmp_path)
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert len(rows) == 7 and rows[0]["state"] == "complete" and rows[6]["reason"] == "run f0r42: the disk\nis odd"
    assert float(rows[0]["jaccard_valid"]) == pytest.approx(found.trials[0].scores[0].mean)
    assert float(rows[0]["jaccard_valid_low"]) < float(rows[0]["jaccard_valid"]) < float(rows[0]["jaccard_valid_high"])
    assert float(rows[0]["optimizer.lr"]) == found.trials[0].parameters["optimizer.lr"]
    assert rows[6]["jaccard_valid"] == "" and rows[4]["runs_done"] == "0"
    assert [row["trial"] for row in rows if row["best"] == "1"] == [str(found.best[0])]
    each = list(csv.DictReader((tmp_path / "runs.csv").open()))
    assert len(each) == 7 * 6 and each[0]["run"] == "f0r42" and each[0]["folder"].startswith("small-0/")
    assert float(each[0]["jaccard_valid"]) == found.trials[0].runs[0].scores[0]
    record = json.loads((tmp_path / "sweep_results.json").read_text())
    assert record["format"] == {"name": "spectrain.sweep_results", "version": 1}
    assert record["best"] == list(found.best) and record["trials"][4]["scores"]["jaccard_valid"]["mean"] is None
    assert record["trials"][3]["partial"] and record["lead"]["runs"] == 6


def test_the_lines_of_a_terminal(mixed):
    found = results_of(mixed)
    lines = terminal_lines(found, importances(found))
    table = [line for line in lines if "resnet" in line or "mit_b0" in line]
    assert len(table) == 6 and len({len(line) - len(line.lstrip()) for line in lines[3:5]}) <= 2
    assert table[0].split()[0] == f"*{found.best[0]}" and " ± " in table[0] and "6/6" in table[0]
    assert any("3/6 running" in line for line in table)
    assert lines[-1] == "trial 6 failed: run f0r42: the disk"
    assert "before trial" in verdict(found) and "95 % interval" in verdict(found)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([], "No trial was begun yet."),
        (["failed", "failed"], "Every trial failed"),
        (["running"], "No trial is complete yet"),
        (["complete"], "Trial 0 is the only complete one"),
    ],
)
def test_what_is_said_of_a_sweep_that_has_hardly_begun(sweep, states, said):
    for state in states:
        add(sweep, plausible() if state == "complete" else None, state=state)
    assert said in verdict(results_of(sweep))


def test_one_fold_says_that_nothing_can_be_said(tmp_path):
    sweep = made(tmp_path, folds=1, randoms=1)
    for _ in range(2):
        add(sweep, plausible())
    found = results_of(sweep)
    assert math.isnan(found.lead.low) and "With one fold nothing can be said" in verdict(found)


def test_several_metrics_have_a_front_and_no_lead(tmp_path):
    sweep = made(tmp_path, two_metrics(TEXT))
    for _ in range(6):
        add(sweep, plausible(2))
    found = results_of(sweep)
    assert found.lead is None and all(one.number in found.best for one in found.ranked()[: len(found.best)])
    assert "Pareto front" in verdict(found) or "best in every metric" in verdict(found)


def test_json_says_nothing_of_folds_where_there_are_none(tmp_path):
    sweep = made(tmp_path, folds=1, randoms=2)
    add(sweep, plausible())
    write_results(results_of(sweep), [], tmp_path)
    record = json.loads((tmp_path / "sweep_results.json").read_text())
    assert record["trials"][0]["scores"]["jaccard_valid"]["by_fold"] == {}


@pytest.mark.parametrize("kind", ["sqlite", "journal", "postgres"])
def test_a_sweep_is_shown_from_every_store(tmp_path, request, kind):
    journal = f"journal:{tmp_path}/study.log"
    url = {"sqlite": None, "journal": journal}.get(kind) or (
        request.getfixturevalue("server").new_database() if kind == "postgres" else None
    )
    sweep = made(tmp_path, url=url)
    for state in ("complete", "complete", "running", "waiting"):
        add(sweep, lambda number, values, run: (0.5 + number / 10,), state)
    shown = show(open_sweep(sweep.folder, sweep_db=url))
    assert results_of(sweep).counts() == {"complete": 2, "running": 1, "waiting": 1}
    assert "2 complete" in shown.lines[0] and shown.page.is_file()
