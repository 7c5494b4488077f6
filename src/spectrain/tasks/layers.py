"""What a task draws as maps: layers, and the layers of a map of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core.colours import Colour, class_colours
from ..core.targets import IGNORED

CLASS, PROBABILITY, SPREAD = "class", "probability", "spread"


@dataclass(frozen=True, slots=True)
class Layer:
    """One map that a task draws, of one or more bands.

    Attributes:
        name: unique within the task, and the key in what `Task.maps` returns.
        bands: a description of each of its bands.
        dtype: "uint8" or "float32", as it is stored.
        nodata: stored value of a pixel that is missing.
        unit: of its values, as CF conventions spell it; None for classes.
        scale: ``value = stored * scale + offset``; whole numbers are rounded.
        offset: see ``scale``.
        classes: names of the classes that a map of classes holds; empty for values.
        colours: red, green and blue (0 to 255) of each class.
        probability: name of the layer with the probabilities of these classes (one band: of class 1; else one each).
        background: the class that polygons leave out, or None.
    """

    name: str
    bands: tuple[str, ...]
    dtype: Literal["uint8", "float32"] = "float32"
    nodata: float = float("nan")
    unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    classes: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()
    probability: str | None = None
    background: int | None = None


def class_layers(names: Sequence[str], members: int) -> tuple[Layer, ...]:
    """Return the layers of a map of classes: class, probability, and of an ensemble its spread.

    Args:
        names: of the classes, two or more.
        members: how many models there are.
    """
    names = tuple(names)
    shown = names[1:] if len(names) == 2 else names
    found = [
        Layer(
            CLASS,
            (CLASS,),
            "uint8",
            nodata=IGNORED,
            classes=names,
            colours=class_colours(len(names)),
            probability=PROBABILITY,
            background=0 if len(names) == 2 else None,
        ),
        Layer(PROBABILITY, tuple(f"probability of {name}" for name in shown), unit="1"),
    ]
    if members > 1:
        found.append(Layer(SPREAD, tuple(f"spread of the probability of {name}" for name in shown), unit="1"))
    return tuple(found)


def class_quantities(logits: Tensor) -> Tensor:
    """Return probabilities, float32: of class 1 [B,1,H,W] where there is one logit a pixel, else [B,K,H,W]."""
    logits = logits.float()
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def class_maps(probabilities: Tensor) -> dict[str, Tensor]:
    """Return the layers of `class_layers`, each [N,H,W], from the members' probabilities [M,1 or K,H,W].

    The class is that of the mean probability; the spread is the deviation of the members from it (divided by M).
    """
    mean = probabilities.mean(0)
    chosen = (mean >= 0.5) if mean.shape[0] == 1 else mean.argmax(0, keepdim=True)
    found = {CLASS: chosen, PROBABILITY: mean}
    if probabilities.shape[0] > 1:
        found[SPREAD] = torch.std(probabilities, dim=0, correction=0)
    return found
