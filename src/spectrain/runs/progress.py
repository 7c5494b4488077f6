"""The live progress line of a training, and the table of layers at its start."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

if TYPE_CHECKING:
    from torch import nn


NARROWEST_BAR, WIDEST_BAR = 8, 32


class ProgressLine:
    """Shows where a training stands: epoch, step, loss, learning rate, samples/s, waiting for data, time left.

    On a terminal it is one line that is redrawn; elsewhere (a log file, a batch job) each interval is a line of its
    own. It is given floats that are on the host already, and asks the device nothing.

    Args:
        epochs: epochs of the whole training.
        steps_per_epoch: optimiser steps of an epoch.
        start: steps that were done before, in a run that goes on; the time left counts from there.
        enabled: False shows nothing (processes beside the first).
        console: where to write; by default the standard output.
    """

    def __init__(
        self,
        *,
        epochs: int,
        steps_per_epoch: int,
        start: int = 0,
        enabled: bool = True,
        console: Console | None = None,
    ) -> None:
        self._epochs, self._steps_per_epoch, self._start = epochs, steps_per_epoch, start
        self._enabled = enabled
        # in a notebook rich would make a block of HTML of each line
        self._console = console or Console(file=sys.stdout, highlight=False, force_jupyter=False)
        self._live: Live | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        if self._enabled and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, what: RenderableType) -> None:
        """Print something that stays."""
        if self._enabled:
            self._console.print(what, soft_wrap=isinstance(what, str), markup=False)

    def interval(self, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Show the numbers of a log interval.

        Args:
            epoch: from 1.
            step: optimiser steps done in this epoch.
            values: by name; `loss_train`, `lr`, `samples_per_s` and `data_wait` are shown, those that are there.
        """
        if not self._enabled:
            return
        done = (epoch - 1) * self._steps_per_epoch + step
        places = [f"epoch {epoch}/{self._epochs}", f"step {step}/{self._steps_per_epoch}"]
        parts = places + describe(values) + [f"{duration(self._left(done))} left"]
        if self._live is None:
            self.show("  ".join(parts))
            return
        text = "  ".join(parts)
        room = self._console.width - len(text) - 2
        line = Table.grid(padding=(0, 2))
        if room >= NARROWEST_BAR:
            total = self._epochs * self._steps_per_epoch
            line.add_row(ProgressBar(total=total, completed=done, width=min(room, WIDEST_BAR)), text)
        else:
            line.add_column(no_wrap=True, overflow="ellipsis")
            line.add_row(text)
        self._live.update(line, refresh=True)

    def epoch(self, epoch: int, values: Mapping[str, float], *, best: bool = False) -> None:
        """Print an epoch's row as a line that stays; ``best`` marks the best validation so far."""
        names = [name for name in values if name != "lr"]
        parts = [f"epoch {epoch}/{self._epochs}", *(f"{name} {number(values[name])}" for name in names)]
        self.show("  ".join([*parts, "best so far"] if best else parts))

    def _left(self, done: int) -> float:
        here = done - self._start
        total = self._epochs * self._steps_per_epoch
        return (time.monotonic() - self._began) / here * (total - done) if here > 0 else math.nan


def describe(values: Mapping[str, float]) -> list[str]:
    """Return the shown values of an interval, each with its name and unit."""
    shown = []
    if "loss_train" in values:
        shown.append(f"loss {number(values['loss_train'])}")
    if "lr" in values:
        shown.append(f"lr {values['lr']:.2e}")
    if "samples_per_s" in values:
        rate = values["samples_per_s"]
        shown.append(f"{rate:,.0f} samples/s" if rate >= 100 else f"{rate:.3g} samples/s")
    if "data_wait" in values:
        shown.append(f"{values['data_wait']:.0%} data wait")
    return shown


def number(value: float) -> str:
    """Return a number with five significant digits; NaN and infinity as words."""
    return f"{value:.5g}"


def duration(seconds: float) -> str:
    """Return a time as "1:02:03" or "2:03"; "--:--" where it is not known."""
    if not math.isfinite(seconds):
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def layer_table(model: nn.Module) -> Table:
    """Return a table of a model's parts: name, type and number of parameters, without running the model.

    A wrapper around one part is opened until several parts appear. A parameter that two parts share counts in the
    first; frozen ones are counted too, and named.
    """
    table = Table(title=type(model).__name__, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("layer")
    table.add_column("type")
    table.add_column("parameters", justify="right")
    seen: set[int] = set()
    total = frozen = 0
    for name, module in _parts(model):
        count, still = _count(module, seen)
        total, frozen = total + count, frozen + still
        table.add_row(name, type(module).__name__, f"{count:,}" + (" frozen" if count and count == still else ""))
    own, still = _count(model, seen)  # what belongs to no part
    if own:
        table.add_row("(own)", type(model).__name__, f"{own:,}")
    table.add_section()
    trainable = total + own - frozen - still
    table.add_row("total", "", f"{total + own:,}")
    if trainable != total + own:
        table.add_row("trainable", "", f"{trainable:,}")
    return table


def _with_weights(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return a model's children; those without any parameter only where all are."""
    children = list(model.named_children())
    return [(name, child) for name, child in children if any(True for _ in child.parameters())] or children


def _parts(model: nn.Module) -> Iterator[tuple[str, Any]]:
    prefix, parts = "", _with_weights(model)
    while len(parts) == 1 and list(parts[0][1].children()):
        prefix, parts = f"{prefix}{parts[0][0]}.", _with_weights(parts[0][1])
    for name, module in parts:
        yield prefix + name, module


def _count(module: nn.Module, seen: set[int]) -> tuple[int, int]:
    """Return a module's parameters that were not seen before, and how many of them are frozen."""
    new = [parameter for parameter in module.parameters() if id(parameter) not in seen]
    seen.update(id(parameter) for parameter in new)
    return sum(p.numel() for p in new), sum(p.numel() for p in new if not p.requires_grad)
