"""What a regression leaves to the labels: its quantities, their mean and deviation, bins, and how rare values are."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import Config
from ...core.errors import DataError
from ...data.mixture import datasets_of
from ...data.patches import Patches
from ...losses.rarity import fit_rarity
from ...tasks.value_layers import VALUE
from ..processes.shared_work import from_main
from .begun import meta_of_weights
from .label_statistics import PIXELS, LabelStatistics, LabelSums, label_statistics

log = logging.getLogger("spectrain")

FAR, MARGIN = 4.0, 0.03
"""Deviations from the mean label where plots end at most, and what is added to labels that lie nearer: a share."""
MAGNITUDE = 8.0
"""Labels that are this many times as large as others, or as small, are about an order of magnitude from them."""
COMMON, APART = 0.5, 20.0
"""Share of the labels that are one value, and deviations between such a value and the others, from which it is odd."""
_LOOKED_AT = 256

Numbers = NDArray[np.float64]


def with_measured(cfg: Config, patches: Patches, valid: Patches | None = None) -> Config:
    """Return the configuration with what it leaves to the training's labels filled in.

    That are names, mean, deviation and limits of the quantities, bins of a test's table (``metric.quantiles``) and the
    weights of rare values (``loss.rare``). A run's configuration holds what was found, so a checkpoint says in which
    numbers its model speaks. A task without such options is left as it is. A model that begins from the weights of a
    regression goes on in their numbers.

    Args:
        cfg: the configuration.
        patches: the training split.
        valid: the validation split; where its labels seem to be in another unit, a line says so.

    Raises:
        DataError: there are no labels, no pixel is measured, or the names are not one a layer.
    """
    options = cfg.task.options
    if not {"centre", "spread", "standardise", "limits"} <= {field.name for field in dataclasses.fields(options)}:
        return cfg
    weighs = getattr(cfg.loss.options, "rare", 0) > 0 and not cfg.loss.options.rare_edges
    if options.centre and options.spread and not weighs:  # of a run that goes on, or as was said
        return cfg
    _refuse_images(cfg)
    known = from_main(lambda: label_statistics(patches, options.ignore))
    count, mean, deviation = known.count, known.mean, known.deviation
    layers = len(count)
    where = f"{patches.path}, {patches.split}"
    if not count.all():
        raise DataError(
            "no pixel of the training split is measured" + (f" in layer {np.argmin(count)}" if count.any() else ""),
            where=where,
            fix="look at the labels with `spectrain inspect`; NaN and task.ignore mean 'not measured'",
        )
    names = list(options.names) or ([VALUE] if layers == 1 else [f"{VALUE}_{number}" for number in range(layers)])
    if layers > 1 and not options.names:
        said = "%s: the labels have %d layers, taken for as many quantities: %s; task.names names them"
        log.info(said, where, layers, ", ".join(names))
    if len(names) != layers:
        raise DataError(f"{len(names)} names for {layers} layers of labels", where="task.names", fix="name each layer")
    from_main(lambda: _doubt_fill(known, names, where))
    if valid is not None and valid is not patches:
        from_main(lambda: _doubt_units(valid, options, mean, deviation, "of the training"))
    published = getattr(cfg.loss.options, "variance", None) == "published"
    begun = _of_weights(cfg, layers) if options.standardise == "auto" else None
    if begun is not None:
        (centre, spread), whose = begun, "of the weights to begin from"
        if centre.any() or (spread != 1).any():
            from_main(lambda: _doubt_units(patches, options, centre, spread, whose))
        mean, deviation = begun
    elif options.standardise == "none" or (options.standardise == "auto" and published):
        mean, deviation = np.zeros(layers), np.ones(layers)
    found: dict[str, Any] = {"names": names, "centre": mean.tolist(), "spread": deviation.tolist()}
    found |= {"limits": _limits(known)}
    labels = "the labels"
    numbers = labels if begun is None else "the weights of model.init_from"
    cfg = _filled(cfg, "task", found, {"names": labels, "limits": labels, "centre": numbers, "spread": numbers})
    return _with_rarity(_with_bins(cfg, known), known, where)


def _refuse_images(cfg: Config) -> None:
    """Raise where the folder of the images is named for that of the labels too: it would be learned band by band."""
    labels, places = cfg.dataset.labels_path, [place.resolve() for place in cfg.dataset.places]
    if labels is not None and Path(labels).expanduser().resolve() in places:
        raise DataError(
            "the images are named as their own labels",
            where=f"dataset.labels_path={labels}",
            fix="name the folder of the labels",
        )


def _filled(cfg: Config, group: str, found: dict[str, Any], origins: dict[str, str]) -> Config:
    """Return the configuration with options of a part set that were not given, and where they are from."""
    part = getattr(cfg, group)
    found = {name: value for name, value in found.items() if not getattr(part.options, name)}
    changed = dataclasses.replace(part, options=dataclasses.replace(part.options, **found))
    said = {f"{group}.{name}": origins[name] for name in found}
    made: Config = dataclasses.replace(cfg, origins={**cfg.origins, **said}, **{group: changed})
    return made


def _with_bins(cfg: Config, known: LabelStatistics) -> Config:
    """Return the configuration with bins of the target that hold about as many labels each; of one quantity alone."""
    count = getattr(cfg.metric.options, "quantiles", 0)
    if count < 2 or len(known.sample) > 1:
        return cfg
    inner = np.quantile(known.sample[0], np.linspace(0, 1, count + 1)[1:-1])
    digits = 2 - int(np.floor(np.log10(known.deviation[0])))
    edges = sorted({float(edge) for edge in np.round(inner, digits)})
    return _filled(cfg, "metric", {"bins": edges}, {"bins": "the labels"})


def _with_rarity(cfg: Config, known: LabelStatistics, where: str) -> Config:
    """Return the configuration with the weights of rare values, where they are asked for."""
    power = getattr(cfg.loss.options, "rare", 0)
    if not power or cfg.loss.options.rare_edges:
        return cfg
    if len(known.sample) > 1:
        raise DataError(
            f"the labels have {len(known.sample)} quantities, and weights of rare values are of one",
            where=f"loss.rare, {where}",
            fix="set loss.rare=0, or train one quantity",
        )
    edges, weights = fit_rarity(known.sample[0], power=power, smooth=1.0)
    origins = {"rare_edges": "the labels", "rare_weights": "the labels"}
    return _filled(cfg, "loss", {"rare_edges": edges, "rare_weights": weights}, origins)


def with_limits(cfg: Config, patches: Patches) -> Config:
    """Return the configuration of a test, whose plots end where its labels do if the model does not say where."""
    if getattr(cfg.task.options, "limits", None) != []:
        return cfg
    known = label_statistics(patches, cfg.task.options.ignore, remark=False)
    if not known.count.all():
        return cfg
    return _filled(cfg, "task", {"limits": _limits(known)}, {"limits": "the labels"})


def _limits(known: LabelStatistics) -> list[float]:
    """Return where the plots of each quantity begin and end, one after the other: a little beyond its labels."""
    mean, far = known.mean, FAR * known.deviation
    low, high = np.maximum(known.lowest, mean - far), np.minimum(known.highest, mean + far)
    margin = np.maximum(MARGIN * (high - low), 1e-6 * np.maximum(np.abs(mean), 1))
    found: list[float] = np.stack([low - margin, high + margin], 1).ravel().tolist()
    return found


def _of_weights(cfg: Config, layers: int) -> tuple[Numbers, Numbers] | None:
    """Return mean and deviation of the labels in whose numbers the weights to begin from speak; None where they do not.

    The published U-Net learns labels as they are, and its file says nothing of them.
    """
    task = meta_of_weights(cfg).get("config", {}).get("task", {})
    if task.get("name") != "regression":
        return None
    centre, spread = task.get("centre") or [0.0] * layers, task.get("spread") or [1.0] * layers
    return (np.array(centre), np.array(spread)) if len(centre) == len(spread) == layers else None


def doubt_units(cfg: Config, patches: Patches) -> None:
    """Warn where labels of a test are orders of magnitude out of those that a regression was trained on.

    A model of labels as they are (``task.standardise=none``) does not know what it was trained on.
    """
    options = cfg.task.options
    centre, spread = getattr(options, "centre", []), getattr(options, "spread", [])
    if not centre or not spread or (not any(centre) and all(one == 1 for one in spread)):
        return
    _doubt_units(patches, options, np.array(centre), np.array(spread), "of the training")


def _doubt_units(patches: Patches, options: Any, mean: Numbers, deviation: Numbers, whose: str) -> None:
    """Warn where the labels of up to `_LOOKED_AT` patches of each data set are of another magnitude."""
    for one in datasets_of(patches):
        if not one.has_labels:
            continue
        sums = LabelSums()
        rows = max(1, PIXELS // (one.shape[2] * one.shape[3]))
        index = np.unique(np.linspace(0, len(one) - 1, min(len(one), _LOOKED_AT)).astype(np.int64))
        for at in range(0, len(index), rows):
            sums.add(one, index[at : at + rows], options.ignore)
        own = sums.statistics()
        if not own.count.any():
            log.warning(
                "%s, %s: none of %d patches that were looked at has a labelled pixel, so no score of them is known",
                one.path, one.split, len(index),
            )  # fmt: skip
        if len(own.mean) != len(mean):  # the task says so itself
            continue
        ratio = np.hypot(own.mean, own.deviation) / np.hypot(mean, deviation)
        names = list(options.names) or [VALUE] * len(mean)
        for number in np.flatnonzero((own.count > 0) & ((ratio >= MAGNITUDE) | (ratio <= 1 / MAGNITUDE))).tolist():
            ours, theirs = (own.mean[number], own.deviation[number]), (mean[number], deviation[number])
            log.warning(
                "%s, %s: the labels (%s) are %.3g ± %.3g, those %s %.3g ± %.3g: are they in another unit?",
                one.path, one.split, names[number], *ours, whose, *theirs,
            )  # fmt: skip


def _doubt_fill(known: LabelStatistics, names: Sequence[str], where: str) -> None:
    """Warn of a label that may stand for "not measured": it is most of them, or comes again far from all others."""
    for name, sample in zip(names, known.sample, strict=True):
        values, counts = np.unique(sample, return_counts=True)
        if len(values) < 2:
            continue
        most = int(counts.argmax())
        odd = [most] if counts[most] > COMMON * len(sample) else []
        odd += [end for end in (0, len(values) - 1) if end not in odd and _stands_apart(end, values, counts)]
        for number in odd:
            log.warning(
                "%s: %.3g %% of the labels (%s) are %.6g: if that stands for 'not measured', set task.ignore=[%.6g]",
                where, 100 * counts[number] / len(sample), name, values[number], values[number],
            )  # fmt: skip


def _stands_apart(end: int, values: Numbers, counts: NDArray[np.int64]) -> bool:
    """Say whether the first or last of rising values comes more than once, and many deviations beyond the others."""
    others, weights = np.delete(values, end), np.delete(counts, end)
    mean = np.average(others, weights=weights)
    deviation = np.sqrt(np.average((others - mean) ** 2, weights=weights))
    return bool(counts[end] > 1 and abs(values[end] - mean) > APART * deviation)
