"""Figures out of the training's way: drawn and written by a thread, from what was brought to the host for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor

log = logging.getLogger("spectrain")


class Drawing:
    """One thread that draws, one figure after the other; one that cannot be drawn is logged and left out.

    While a figure is drawn a second may wait; a third makes the training wait, so that memory stays bounded.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="drawing")
        self._under_way: list[Future[None]] = []

    def add(self, draw: Callable[[], None]) -> None:
        """Let the thread call a function that draws and writes a figure."""
        self._under_way = [future for future in self._under_way if not future.done()]
        if len(self._under_way) > 1:
            self._under_way.pop(0).result()
        self._under_way.append(self._thread.submit(_attempt, draw))

    def finish(self) -> None:
        """Wait until everything is drawn."""
        self._thread.shutdown(wait=True)


def _attempt(draw: Callable[[], None]) -> None:
    try:
        draw()
    except Exception:  # a figure is not worth a training
        log.exception("a figure could not be drawn")


def on_host(value: Any) -> Any:
    """Return a value with its tensors detached and on the CPU, so that another thread may look at it at leisure.

    Looked into are lists, tuples, dicts and dataclasses. A tensor that occurs twice is copied once, one that is on the
    CPU already not at all: nobody may change it afterwards.
    """
    return _copied(value, {})


def _copied(value: Any, known: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        if id(value) not in known:
            known[id(value)] = _tensor(value.detach())
        return known[id(value)]
    if isinstance(value, Mapping):
        return {key: _copied(item, known) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copied(item, known) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{part.name: _copied(getattr(value, part.name), known) for part in fields(value)})
    return value


def _tensor(value: Tensor) -> Tensor:
    """Return a tensor on the CPU; one that is a single number throughout (validity without holes) stays so small."""
    if value.numel() and not any(value.stride()):
        return value[(0,) * value.dim()].cpu().expand(value.shape)
    return value.cpu()
