"""`spectrain sweep show`: one page with all trials, tables beside it, and the pictures as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.atomic import atomic_write
from ..runs.report.document import part
from ..runs.report.frame import Section, empty, framed, numbers
from ..runs.report.html import Html, el, join
from ..runs.report.scales import number
from .importance import Importance, importances
from .pictures.all import Gallery, gallery, write_pictures
from .pictures.drawing import Picture
from .results import Results, results_of
from .results_files import write_results
from .sweep import Sweep
from .trials_table import failures, parameters_table, trials_table
from .words import count, states, summary, terminal_lines, verdict

PAGE = "index.html"
_PICTURES = f"{__package__}.pictures"


@dataclass(frozen=True)
class Shown:
    """What `show` left.

    Attributes:
        page: the HTML page.
        lines: the same in short, for a terminal.
        results: what was found.
    """

    page: Path
    lines: list[str]
    results: Results


def show(sweep: Sweep, output: Path | None = None) -> Shown:
    """Write what a sweep has found so far: a page, its pictures in ``plots/``, tables, and JSON.

    May be called at any time, also while runners are at work; nothing of the study is changed.

    Args:
        sweep: from `open_sweep`.
        output: folder to write into; None is the sweep's own.

    Raises:
        RunError: the folder cannot be written.
        SpectrainError: the database is away for too long.
    """
    folder = sweep.folder if output is None else Path(output).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    results = results_of(sweep)
    decided = importances(results)
    drawn = gallery(results, decided)
    write_results(results, decided, folder)
    write_pictures(drawn.all(), folder / "plots")
    atomic_write(folder / PAGE, sweep_page(results, decided, drawn, sweep.folder, folder))
    return Shown(folder / PAGE, terminal_lines(results, decided), results)


def sweep_page(results: Results, importance: Sequence[Importance], drawn: Gallery, runs: Path, folder: Path) -> str:
    """Return the page.

    Args:
        results: what was found.
        importance: of the parameters, for each metric.
        drawn: its pictures.
        runs: folder that the runs' folders are in.
        folder: that the page will lie in.
    """
    header = el(
        "header",
        el("p", "spectrain sweep", class_="eyebrow"),
        el("h1", results.name, el("span", f" {results.sweep_id}", class_="ident")),
        el("p", summary(results), class_="lede"),
        el("p", verdict(results), class_="verdict"),
        _facts(results),
    )
    unsaid = [empty(one.remark) for one in importance if not one.shares]
    said = [one for one in importance if one.shares]
    nothing = empty("No run is finished yet, so there is nothing to draw.")
    sections = [
        Section("Best trial" if len(results.best) == 1 else "Best trials", _best(results)) if results.best else None,
        Section("Course", _figures(drawn.course)) if drawn.course else Section("Course", nothing),
        Section("Folds and seeds", _figures(drawn.folds)) if drawn.folds else None,
        Section("Parameters", _figures(drawn.parameters)) if drawn.parameters else None,
        Section("One parameter at a time", join(*map(_small, drawn.slices))) if drawn.slices else None,
        Section("Importance", join(_figures(drawn.importance), *unsaid)) if said or results.best else None,
        Section("Trials", trials_table(results, runs, folder)) if results.trials else None,
        Section("Failures", failures(results)) if results.counts().get("failed") else None,
    ]
    style = part("picture.css", _PICTURES) + part("page.css", _PICTURES)
    return framed(f"{results.name} · spectrain sweep", header, sections, style=style, script=part("page.js", _PICTURES))


def _facts(results: Results) -> Html:
    done = sum(len(trial.done) for trial in results.trials)
    planned = sum(len(trial.runs) for trial in results.trials)
    facts = []
    if results.best and len(results.metrics) == 1:
        best = results.trials[results.best[0]].scores[0]
        low_high = f"95 % interval {number(best.low, 3)} to {number(best.high, 3)}" if best.low == best.low else ""
        facts.append((f"Best {results.metrics[0].name}", number(best.mean), low_high))
    if results.best:
        title = "Best trial" if len(results.best) == 1 else "Pareto front"
        facts.append((title, ", ".join(map(str, results.best[:4])) + ("…" if len(results.best) > 4 else ""), ""))
    limit = f" of {results.total:,}" if (results.total or 0) >= max(len(results.trials), 1) else ""
    facts.append(("Trials", f"{len(results.trials):,}{limit}", states(results) if results.trials else ""))
    each = f"{count(results.folds, 'fold')} × {count(results.seeds, 'seed')} each"
    facts.append(("Runs done", f"{done:,}", f"of {planned:,} begun; {each}"))
    return numbers(facts)


def _best(results: Results) -> Html:
    commands = [
        el(
            "p",
            "Train it on all folds and test it on what was kept for that: ",
            _code("retrain", results),
            class_="resume",
        ),
        el("p", "Take its folds' models as one ensemble: ", _code("ensemble", results), class_="resume"),
    ]
    return join(parameters_table(results), *commands)


def _code(verb: str, results: Results) -> Html:
    trial = "" if len(results.best) == 1 else f" --trial {results.best[0]}"
    return el("code", f"spectrain sweep {verb} {results.sweep_id}{trial}")


def _figures(pictures: Sequence[Picture]) -> Html:
    return join(*(_figure(one) for one in pictures))


def _figure(one: Picture) -> Html:
    drawings = [el("div", one.wide, class_="for-wide"), el("div", one.narrow, class_="for-narrow")]
    caption = el("figcaption", el("h3", one.title))
    return el("figure", caption, *drawings, el("p", one.note, class_="note") if one.note else None, class_="drawn")


def _small(group: tuple[str, Sequence[Picture]]) -> Html:
    title, pictures = group
    figures = [el("figure", el("figcaption", el("h3", one.title)), one.wide, class_="drawn") for one in pictures]
    return join(el("h3", title, class_="group") if title else None, el("div", *figures, class_="slices"))
