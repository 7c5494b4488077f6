"""Which charts a report has: the loss first, then every other value of the epochs, the learning rate, the speed."""

from __future__ import annotations

from .series import Panel, Series
from .subject import Subject

NOT_CHARTED = {"epoch", "step", "lr"}


def panels(subjects: list[Subject]) -> list[Panel]:
    """Return the charts of one run, or of several over each other; values that no run has make none."""
    names = dict.fromkeys(name for subject in subjects for row in subject.rows for name in row)
    stems = dict.fromkeys(
        name.removesuffix("_train").removesuffix("_valid") for name in names if name not in NOT_CHARTED
    )
    found = [_by_epoch(stem, subjects) for stem in stems]
    found.append(_by_step("learning rate", "lr", "", subjects, zero=False))
    found.append(_by_step("speed", "samples_per_s", "samples/s", subjects, zero=True))
    found.append(_by_step("share of time waiting for data", "data_wait", "", subjects, zero=True))
    return [panel for panel in found if any(line.y.size for line in panel.lines)]


def _by_epoch(stem: str, subjects: list[Subject]) -> Panel:
    """Return the chart of a value over epochs, for training and validation."""
    lines: list[Series] = []
    for number, subject in enumerate(subjects):
        if len(subjects) == 1 and stem == "loss":
            steps, values = subject.interval("loss_train")
            lines.append(Series("each interval", subject.epochs_of(steps), values, "faint"))
        for name, look in ((f"{stem}_train", "train"), (f"{stem}_valid", "valid"), (stem, "valid")):
            epochs, values = subject.column(name)
            if values.size and (len(subjects) == 1 or look == "valid"):
                label = name.removeprefix(f"{stem}_") if len(subjects) == 1 else subject.name
                lines.append(Series(label, epochs, values, look if len(subjects) == 1 else f"run{number % 8}"))
    return Panel(stem.replace("_", " "), "", "epoch", tuple(lines), wide=stem == "loss")


def _by_step(title: str, name: str, unit: str, subjects: list[Subject], *, zero: bool) -> Panel:
    """Return the chart of a value of the log intervals over epochs."""
    lines = []
    for number, subject in enumerate(subjects):
        steps, values = subject.interval(name)
        alone = len(subjects) == 1
        lines.append(
            Series(
                "" if alone else subject.name,
                subject.epochs_of(steps),
                values,
                "train" if alone else f"run{number % 8}",
            )
        )
    return Panel(title, unit, "epoch", tuple(lines), zero=zero)
