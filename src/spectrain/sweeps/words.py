"""A sweep in words: what it is, what is best, how sure that is; and the lines of a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..runs.report.scales import number
from .importance import Importance
from .pictures.scored import short_names, shown, value_text
from .results import Lead, Results, TrialResult

TOP = 10
"""Trials in a terminal."""
METHODS = {"random": "at random", "grid": "as a grid", "bayes": "by what was good before (TPE)"}
STATES = {
    "complete": "complete",
    "running": "running",
    "waiting": "waiting",
    "pruned": "given up",
    "failed": "failed",
}
"""What the states of a trial are called."""


def count(number_of: int, thing: str) -> str:
    """Return "1 fold", "3 folds"."""
    return f"{number_of:,} {thing}{'' if number_of == 1 else 's'}"


def summary(results: Results) -> str:
    """Return what the sweep does, in two sentences."""
    tried = count(len(results.space.parameters), "parameter")
    runs = f"on {count(results.folds, 'fold')}" if results.folds > 1 else "on the data's own splits"
    seeds = f" with {count(results.seeds, 'seed')} each" if results.seeds > 1 else ""
    epoch = "best epoch" if results.score == "best" else "last epoch"
    wanted = " and ".join(f"a {'large' if one.goal == 'maximize' else 'small'} {one.name}" for one in results.metrics)
    return (
        f"The recipe {results.recipe} with {tried} chosen {METHODS.get(results.method, results.method)}; each trial is "
        f"trained {runs}{seeds}. Wanted is {wanted}, taken at each run's {epoch}."
    )


def states(results: Results) -> str:
    """Return "12 complete, 1 running, 2 failed"; "no trial yet" where there is none."""
    return ", ".join(f"{many:,} {STATES[state]}" for state, many in results.counts().items()) or "no trial yet"


def verdict(results: Results) -> str:
    """Return what is best so far, and how sure that is."""
    if not results.trials:
        return "No trial was begun yet."
    if not results.best:
        if set(results.counts()) == {"failed"}:
            return "Every trial failed; the reasons stand below."
        return "No trial is complete yet, so nothing can be said of which is best."
    if len(results.metrics) > 1:
        front = ", ".join(map(str, results.best))
        if len(results.best) == 1:
            return f"Trial {front} is the best in every metric."
        return f"No trial is better in every metric than the trials {front} (the Pareto front): choose among them."
    best = results.best[0]
    if results.lead is None:
        return f"Trial {best} is the only complete one, so there is nothing to compare it with."
    return _sure(results.lead, results)


def _sure(lead: Lead, results: Results) -> str:
    compared = f"over the same {lead.runs} runs" if lead.runs > 1 else "in the one run of each"
    said = f"Trial {lead.best} is before trial {lead.next}, the next, by {number(lead.difference, 3)} {compared}"
    said += f", and better in {lead.won} of them." if lead.runs > 1 else "."
    if math.isnan(lead.low):
        return f"{said} With one fold nothing can be said of how sure that is."
    said += f" The 95 % interval of the difference is {number(lead.low, 3)} to {number(lead.high, 3)}"
    folds = count(len(next(one for one in results.trials if one.number == lead.best).scores[0].by_fold), "fold")
    if lead.low > 0:
        return f"{said} over {folds}: it is better beyond the chance of folds and seeds."
    return f"{said} over {folds}: the two cannot be told apart."


def terminal_lines(results: Results, importance: Sequence[Importance]) -> list[str]:
    """Return what a terminal shows: the best trials in a table, how sure the best is, and why trials failed."""
    lines = [f"{results.name} ({results.sweep_id}): {states(results)}"]
    ranked = [one for one in results.ranked() if one.state != "failed"]
    if ranked:
        lines += ["", *_table(results, ranked[:TOP])]
        if len(ranked) > TOP:
            lines.append(f"… and {len(ranked) - TOP} more")
    lines += ["", verdict(results)]
    for one in importance:
        deciding = [f"{name} ({100 * share:.0f} %)" for name, share in one.deciding.items()]
        if deciding:
            lines.append(f"What decides {one.metric}: {', '.join(deciding)}.")
    failed = [one for one in results.trials if one.state == "failed"]
    lines += [f"trial {one.number} failed: {_first_line(one)}" for one in failed[:TOP]]
    if len(failed) > TOP:
        lines.append(f"… and {len(failed) - TOP} more that failed")
    return lines


def _first_line(trial: TrialResult) -> str:
    return (trial.reason or "no reason is known").splitlines()[0]


def _table(results: Results, trials: Sequence[TrialResult]) -> list[str]:
    names = results.varying()
    labels = short_names(names)
    head = ["trial", *(metric.name for metric in results.metrics), "runs", *(labels[name] for name in names)]
    rows = []
    for one in trials:
        mark = "*" if one.number in results.best else " "
        scores = [value_text(found) for found in one.scores]
        runs = f"{len(one.done)}/{len(one.runs)}" + ("" if one.state == "complete" else f" {STATES[one.state]}")
        values = [shown(one.parameters.get(name)) if name in one.parameters else "–" for name in names]
        rows.append([f"{mark}{one.number}", *scores, runs, *values])
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    table = [[text.rjust(width) for text, width in zip(row, widths, strict=True)] for row in [head, *rows]]
    return ["  ".join(row).rstrip() for row in table]
