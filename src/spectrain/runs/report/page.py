"""The page: one design for one run and for several, light and dark, from a phone to a wide screen."""

from __future__ import annotations

import base64
from importlib.resources import files
from typing import Any

from .chart import chart
from .html import Html, el, join
from .panels import panels
from .scales import number
from .subject import Picture, Subject

MOST_PICTURES = 12
MOST_ROWS = 200


def page(subjects: list[Subject]) -> str:
    """Return the whole page as one HTML text that needs nothing else."""
    first = subjects[0]
    title = first.name if len(subjects) == 1 else f"{len(subjects)} runs"
    body = el(
        "main",
        el("header", el("p", "spectrain", class_="brand"), el("h1", title), *_summary(subjects)),
        _numbers(subjects),
        _charts(subjects),
        *(_pictures(subject, len(subjects) > 1) for subject in subjects),
        _rows(first) if len(subjects) == 1 else None,
        _options(first) if len(subjects) == 1 else _differences(subjects),
        *(_environment(subject, len(subjects) > 1) for subject in subjects),
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{title} · spectrain"),
        el("link", rel="icon", href="data:,"),
        el("style", Html(_asset("report.css"))),
    )
    script = el("script", Html(_asset("report.js")))
    return f"<!doctype html>\n{el('html', head, el('body', body, script), lang='en')}\n"


def _asset(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _section(title: str, *children: object) -> Html:
    return el("section", el("h2", title), *children)


def _summary(subjects: list[Subject]) -> list[Html]:
    """Return a sentence for each run: what was trained on what, and how it ended."""
    found = []
    for subject in subjects:
        facts = subject.facts
        model, data = subject.option("model.name"), subject.option("dataset.path")
        done = len(subject.rows)
        epochs = subject.option("hparams.epochs")
        text = f"{facts.get('recipe') or 'A training'}: {model or 'a model'} on {data or 'data'}, {done} of {epochs} epochs."
        status = subject.status()
        name = el("strong", subject.name, " ") if len(subjects) > 1 else None
        found.append(el("p", el("span", status, class_=f"status {status}"), " ", name, text))
        if notes := facts.get("notes"):
            found.append(el("p", str(notes), class_="notes"))
    return found


def _numbers(subjects: list[Subject]) -> Html:
    """Return the key numbers: a card each for one run, a table for several."""
    columns: dict[str, list[str]] = {}
    for subject in subjects:
        best = subject.facts.get("best") or {}
        timings = subject.facts.get("timings") or {}
        last = subject.rows[-1] if subject.rows else {}
        values = {
            f"best {best.get('monitor', 'value')}": _shown(best.get("value")),
            "in epoch": _shown(best.get("epoch")) if best.get("epoch") else "–",
            "last training loss": _shown(last.get("loss_train")),
            "optimiser steps": _shown(subject.facts.get("steps")),
            "samples a second": _shown(timings.get("samples_per_s"), 3),
            "waiting for data": f"{100 * timings['data_wait']:.1f} %" if "data_wait" in timings else "–",
        }
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    if len(subjects) == 1:
        cards = [el("div", el("dt", name), el("dd", values[0])) for name, values in columns.items()]
        return _section("In numbers", el("dl", *cards, class_="cards"))
    head = el("tr", el("th", "", scope="col"), *(el("th", subject.name, scope="col") for subject in subjects))
    rows = [el("tr", el("th", name, scope="row"), *(el("td", v) for v in values)) for name, values in columns.items()]
    return _section("In numbers", _table("Key numbers of each run", head, rows))


def _shown(value: Any, digits: int = 4) -> str:
    return number(float(value), digits) if isinstance(value, int | float) and not isinstance(value, bool) else "–"


def _table(caption: str, head: Html, rows: list[Html]) -> Html:
    table = el("table", el("caption", caption), el("thead", head), el("tbody", *rows))
    return el("div", table, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _charts(subjects: list[Subject]) -> Html:
    found = [chart(panel, f"chart-{number}") for number, panel in enumerate(panels(subjects))]
    nothing = el("p", "No epoch is done yet: curves appear after the first.", class_="notes")
    return _section("Curves", el("div", *found, class_="charts") if found else nothing)


def _pictures(subject: Subject, several: bool) -> Html | None:
    """Return the pictures of a run, the last epoch in view and a slider through the others."""
    blocks = []
    for name, pictures in subject.pictures.items():
        spread = max(1, len(pictures) - 1)
        kept = sorted(
            {round(index * spread / (MOST_PICTURES - 1)) for index in range(MOST_PICTURES)} & set(range(len(pictures)))
        )
        chosen = [pictures[index] for index in kept] if len(pictures) > MOST_PICTURES else pictures
        images = [_image(name, picture, picture is chosen[-1]) for picture in chosen]
        slider = None
        if len(chosen) > 1:
            top = len(chosen) - 1
            slider = el(
                "label",
                "epoch ",
                el("output", str(chosen[-1].epoch)),
                el("input", type="range", min=0, max=top, value=top, aria_label=f"epoch of the picture {name}"),
            )
        blocks.append(el("figure", el("figcaption", el("strong", name)), *images, slider, class_="pictures"))
    if not blocks:
        return None
    return _section(f"Pictures of {subject.name}" if several else "Pictures", *blocks)


def _image(name: str, picture: Picture, shown: bool) -> Html:
    data = base64.b64encode(picture.path.read_bytes()).decode()
    alt = f"{name} after epoch {picture.epoch}"
    return el("img", src=f"data:image/png;base64,{data}", alt=alt, data_epoch=picture.epoch, hidden=not shown)


def _rows(subject: Subject) -> Html | None:
    """Return the table of epochs, the latest first."""
    if not subject.rows:
        return None
    names = list(dict.fromkeys(name for row in subject.rows for name in row))
    head = el("tr", *(el("th", name.replace("_", " "), scope="col") for name in names))
    latest = list(reversed(subject.rows))[:MOST_ROWS]
    rows = [el("tr", *(el("td", _cell(name, row.get(name))) for name in names)) for row in latest]
    left_out = len(subject.rows) - len(latest)
    caption = "Each epoch, the latest first" + (f"; {left_out} earlier ones are in metrics.csv" if left_out else "")
    return _section("Epochs", _table(caption, head, rows))


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{int(value)}" if name in ("epoch", "step") else number(float(value))


def _options(subject: Subject) -> Html | None:
    """Return the configuration, what was set by hand before the defaults."""
    if not subject.options:
        return None
    head = el("tr", *(el("th", name, scope="col") for name in ("option", "value", "from")))
    chosen = [option for option in subject.options if option.origin != "default"]
    others = [option for option in subject.options if option.origin == "default"]

    def rows(options: list[Any]) -> list[Html]:
        return [el("tr", el("td", el("code", o.key)), el("td", o.value), el("td", o.origin)) for o in options]

    return _section(
        "Configuration",
        _table("What the recipe, files and command line set", head, rows(chosen)),
        el("details", el("summary", f"{len(others)} defaults"), _table("Defaults", head, rows(others))),
    )


def _differences(subjects: list[Subject]) -> Html:
    """Return the options in which the runs differ."""
    values = [{option.key: option.value for option in subject.options} for subject in subjects]
    keys = dict.fromkeys(key for one in values for key in one)
    different = [key for key in keys if len({one.get(key) for one in values}) > 1]
    if not different:
        return _section("Configuration", el("p", "The runs have the same configuration."))
    head = el("tr", el("th", "option", scope="col"), *(el("th", subject.name, scope="col") for subject in subjects))
    rows = [el("tr", el("td", el("code", key)), *(el("td", one.get(key, "–")) for one in values)) for key in different]
    return _section("Configuration", _table("Options in which the runs differ", head, rows))


def _environment(subject: Subject, several: bool) -> Html:
    """Return where and with what the run was trained."""
    names = ("created", "ended", "command", "versions", "git", "hardware", "processes", "seeds", "fingerprint")
    rows = [(name, subject.facts.get(name)) for name in names]
    items = [join(el("dt", name), el("dd", _told(value))) for name, value in rows if value not in (None, {}, "")]
    title = f"Environment of {subject.name}" if several else "Environment"
    return _section(title, el("dl", *items, el("dt", "folder"), el("dd", str(subject.folder)), class_="facts"))


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(item)}" for name, item in value.items() if item not in (None, {}, []))
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
