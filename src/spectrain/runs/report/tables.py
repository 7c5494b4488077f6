"""The page's tables: epochs, options with their origins, environment, and what differs between runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from .html import Html, el
from .panels import split
from .scales import number
from .subject import Subject
from .words import best_epoch, key_numbers, local_time


def metrics_table(run: Subject) -> Html:
    """Return a row an epoch, the newest first; the best one is marked in words too."""
    names = _columns(run)
    best = best_epoch(run)
    head = el("tr", *(el("th", name, scope="col") for name in ("epoch", "step", *names)))
    body = []
    for row in reversed(run.rows):
        epoch = int(row["epoch"])
        mark = el("span", " best", class_="mark") if epoch == best else None
        cells = [el("th", epoch, mark, scope="row"), el("td", f"{int(row['step']):,}")]
        cells += [el("td", number(row[name], 6) if name in row else "–") for name in names]
        body.append(el("tr", *cells, class_="best" if epoch == best else None))
    caption = f"{len(run.rows):,} {'epoch' if len(run.rows) == 1 else 'epochs'}, the newest first"
    return _scroll(
        el("table", el("caption", caption), el("thead", head), el("tbody", *body)),
        "Metrics of each epoch",
        "scroll tall",
    )


def _columns(run: Subject) -> list[str]:
    """Return the columns: the two phases of a value side by side, the learning rate last."""
    names = list(dict.fromkeys(name for row in run.rows for name in row if name not in ("epoch", "step")))
    stems = list(dict.fromkeys(split(name)[0] for name in names))
    return sorted(names, key=lambda name: (name == "lr", stems.index(split(name)[0]), split(name)[1]))


def options_table(run: Subject) -> Html:
    """Return the options that somebody set, and behind a fold those that are defaults."""
    chosen = [option for option in run.options if option.origin != "default"]
    rest = [option for option in run.options if option.origin == "default"]
    folded = el(
        "details",
        el("summary", f"{len(rest)} options at their defaults"),
        _options(rest, "Options at their defaults"),
    )
    return el("div", _options(chosen, "Options that were set, and where"), folded if rest else None)


def environment_table(run: Subject) -> Html:
    """Return what the run depended on, and how to repeat it."""
    facts = run.facts
    hardware, git, seeds = (facts.get(name) or {} for name in ("hardware", "git", "seeds"))
    gpus = [gpu.get("name") if isinstance(gpu, Mapping) else gpu for gpu in hardware.get("gpus") or []]
    commit = git.get("commit")
    rows = {
        "Folder": run.folder,
        "Command": shlex.join(map(str, facts.get("command") or [])),
        "Started": local_time(facts.get("created")),
        "Ended": local_time(facts["ended"]) if facts.get("ended") else None,
        "Seeds": ", ".join(f"{name} {value}" for name, value in seeds.items()),
        "Fold": facts.get("fold"),
        "Data fingerprint": facts.get("fingerprint"),
        "Git commit": f"{commit}{' with uncommitted changes' if git.get('dirty') else ''}" if commit else None,
        "Host": hardware.get("host"),
        "System": hardware.get("system"),
        "Processor": _processor(hardware),
        "Memory": f"{hardware['memory_bytes'] / 2**30:.1f} GiB" if hardware.get("memory_bytes") else None,
        "GPUs": ", ".join(map(str, gpus)) or "none",
        "Device": hardware.get("device"),
        "Processes": facts.get("processes"),
        "Versions": ", ".join(f"{name} {version}" for name, version in (facts.get("versions") or {}).items()),
    }
    body = [
        el("tr", el("th", name, scope="row"), el("td", value))
        for name, value in rows.items()
        if value not in (None, "")
    ]
    table = el("table", el("caption", "Environment", class_="unseen"), el("tbody", *body), class_="pairs")
    return _scroll(table, "Environment")


def runs_table(runs: Sequence[Subject], labels: Sequence[str], looks: Sequence[str]) -> Html:
    """Return a row for each run with its key numbers, a link to its own page, and its line's colour."""
    numbers = [{name: (value, remark) for name, value, remark in key_numbers(run)} for run in runs]
    names = list(dict.fromkeys(name for found in numbers for name in found))
    head = el("tr", *(el("th", name, scope="col") for name in ("run", "status", *names)))
    body = []
    for run, label, look, found in zip(runs, labels, looks, numbers, strict=True):
        swatch = el("span", class_=f"swatch {look}", aria_hidden="true")
        cells = [el("th", swatch, label, scope="row"), el("td", run.status())]
        for name in names:
            value, remark = found.get(name, ("–", ""))
            cells.append(el("td", value, el("small", remark) if remark else None))
        body.append(el("tr", *cells))
    return _scroll(
        el("table", el("caption", "The runs", class_="unseen"), el("thead", head), el("tbody", *body)), "The runs"
    )


def differences_table(runs: Sequence[Subject], labels: Sequence[str]) -> Html | None:
    """Return the options in which the runs differ, a column for each run; None where they do not."""
    values = [{option.key: option.value for option in run.options} for run in runs]
    keys = dict.fromkeys(key for found in values for key in found)
    differing = [key for key in keys if len({found.get(key) for found in values}) > 1]
    if not differing:
        return None
    head = el("tr", *(el("th", name, scope="col") for name in ("option", *labels)))
    rows = [
        el("tr", el("th", key, scope="row"), *(el("td", found.get(key, "–")) for found in values)) for key in differing
    ]
    table = el(
        "table",
        el("caption", "Options that differ", class_="unseen"),
        el("thead", head),
        el("tbody", *rows),
        class_="text",
    )
    return _scroll(table, "Options that differ")


def _options(options: Sequence[Any], caption: str) -> Html:
    head = el("tr", *(el("th", name, scope="col") for name in ("option", "value", "set by")))
    rows = [
        el("tr", el("th", option.key, scope="row"), el("td", option.value), el("td", option.origin, class_="origin"))
        for option in options
    ]
    return _scroll(el("table", el("caption", caption), el("thead", head), el("tbody", *rows), class_="text"), caption)


def _processor(hardware: Mapping[str, Any]) -> str | None:
    parts = [hardware.get("cpu"), f"{hardware['cores']} cores" if hardware.get("cores") else None]
    parts.append(f"{hardware['threads']} threads used" if hardware.get("threads") else None)
    return ", ".join(str(part) for part in parts if part) or None


def _scroll(table: Html, label: str, class_: str = "scroll") -> Html:
    """Let a wide or long table scroll by itself, by keyboard too."""
    return el("div", table, class_=class_, role="region", tabindex="0", aria_label=label)
