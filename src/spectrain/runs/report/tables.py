"""The tables of a run's page: epochs, options with their origins, environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from .frame import empty, local_time, scroll
from .html import Html, el, join
from .options import Option
from .panels import split
from .read_run import ReadRun
from .scales import number
from .words import best_epoch


def metrics_table(run: ReadRun) -> Html:
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
    table = el("table", el("caption", caption), el("thead", head), el("tbody", *body))
    return scroll(table, "Metrics of each epoch", tall=True)


def _columns(run: ReadRun) -> list[str]:
    """Return the columns: the two phases of a value side by side, the learning rate last."""
    names = list(dict.fromkeys(name for row in run.rows for name in row if name not in ("epoch", "step")))
    stems = list(dict.fromkeys(split(name)[0] for name in names))
    return sorted(names, key=lambda name: (name == "lr", stems.index(split(name)[0]), split(name)[1]))


def options_table(run: ReadRun) -> Html:
    """Return the options that somebody set for this run, and behind a fold all of them."""
    chosen = [option for option in run.options if option.origin != "default" and not _by_recipe(option)]
    said = _options(chosen, "Set for this run, and where") if chosen else empty("All is as the recipe has it.")
    summary = el("summary", f"All {len(run.options)} options")
    return join(said, el("details", summary, _options(run.options, "All options, and where each was set")))


def _by_recipe(option: Option) -> bool:
    return option.origin.startswith("recipe ")


def environment_table(run: ReadRun) -> Html:
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
    return scroll(table, "Environment")


def _options(options: Sequence[Option], caption: str) -> Html:
    head = el("tr", *(el("th", name, scope="col") for name in ("option", "value", "set by")))
    rows = [
        el("tr", el("th", option.key, scope="row"), el("td", option.value), el("td", option.origin, class_="origin"))
        for option in options
    ]
    return scroll(el("table", el("caption", caption), el("thead", head), el("tbody", *rows), class_="text"), caption)


def _processor(hardware: Mapping[str, Any]) -> str | None:
    parts = [hardware.get("cpu"), f"{hardware['cores']} cores" if hardware.get("cores") else None]
    parts.append(f"{hardware['threads']} threads used" if hardware.get("threads") else None)
    return ", ".join(str(part) for part in parts if part) or None
