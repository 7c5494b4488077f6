"""Converters: from a value as another system's users write it to the value of our option."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

ALWAYS_WARM = 256
"""Nenya warms up wherever a batch is larger."""

Converter = Callable[[Any, Mapping[str, Any]], Any]
"""Takes the value and all keys given so far under their names; returns the native value, or `Settings`.

Raises ValueError with words that stand behind the key where the value cannot be meant.
"""


class Settings(dict[str, Any]):
    """Several native keys, or none, that one of their keys stands for."""


class AliasError(ValueError):
    """What is wrong with one of several keys that are converted together.

    Attributes:
        key: the key whose value cannot be meant.
    """

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def as_is(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return the value unchanged."""
    return value


def if_given(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return nothing for null: Nenya writes its unset options so."""
    return Settings() if value is None else value


def noise(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return 0, no noise, for null and for what is below 0, as published."""
    return 0 if value is None or (isinstance(value, int | float) and value < 0) else value


def cuda_use(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return the device: true is a GPU where there is one, false the CPU, null says nothing."""
    return Settings() if value is None else "auto" if truth(value) else "cpu"


def method(value: Any, theirs: Mapping[str, Any]) -> str:
    """Return SimCLR or SupCon in our spelling."""
    if str(value).lower() not in ("simclr", "supcon"):
        raise ValueError(f"must be SimCLR or SupCon, not {value!r}")
    return str(value).lower()


def demean(value: Any, theirs: Mapping[str, Any]) -> str:
    """Return "image" for true: one mean over all pixels and bands, as published."""
    return "image" if truth(value) else "none"


def trial_name(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return the trial's number as a name."""
    return Settings() if value is None else f"trial_{value}"


def images_path(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return folder and file joined; the folder alone where no file is named."""
    parts = [theirs.get("data_folder"), theirs.get("images_file")]
    given = [str(part) for part in parts if part is not None]
    return os.path.join(*given) if given else Settings()  # noqa: PTH118 - "./" and addresses stay as they were written


def crop_jitter(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return crop and jitter from ``[crop, jitter]``; 0 is a crop of 32 pixels without jitter, null is no crop."""
    if value is None:
        return Settings({"augmentation.crop": None, "augmentation.jitter": 0})
    if isinstance(value, int | float) and value == 0:
        return Settings({"augmentation.crop": 32, "augmentation.jitter": 0})
    if isinstance(value, list) and len(value) == 2:
        return Settings({"augmentation.crop": value[0], "augmentation.jitter": value[1]})
    raise ValueError(f"must be [crop, jitter] in pixels, or 0, not {value!r}")


def schedule(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the published schedule that cosine, lr_decay_epochs, lr_decay_rate and warm describe together.

    Without ``cosine`` it is one unless there are ``lr_decay_epochs`` ("700, 800, 900" or a list). Batches of more than
    256 always have the warm-up, as published.
    """
    settings = Settings({"scheduler": "nenya"})
    given = "lr_decay_epochs" in theirs
    settings["scheduler.cosine"] = _of(theirs, "cosine", truth) if "cosine" in theirs else not given
    if given:
        settings["scheduler.lr_decay_epochs"] = _of(theirs, "lr_decay_epochs", epochs)
    if theirs.get("lr_decay_rate") is not None:
        settings["scheduler.lr_decay_rate"] = _of(theirs, "lr_decay_rate", number)
    size = theirs.get("batch_size_train")
    large = isinstance(size, int | float) and size > ALWAYS_WARM
    settings["scheduler.warm"] = large or _of(theirs, "warm", truth)
    return settings


def channels(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return nothing: bands are those of the data. Three equal ones (a grey image, repeated) teach what one does."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"must be a number of bands, not {value!r}")
    return Settings()


def _of(theirs: Mapping[str, Any], key: str, read: Callable[[Any], Any]) -> Any:
    """Return the value of a key as ``read`` takes it, or raise a mistake that names the key."""
    try:
        return read(theirs.get(key))
    except (ValueError, OverflowError) as error:
        raise AliasError(key, str(error)) from None


def truth(value: Any) -> bool:
    """Return a truth value; null counts as false, as in the systems these names come from."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ValueError(f"must be true or false, not {value!r}")


def number(value: Any) -> float:
    """Return a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"must be a number, not {value!r}")


def epochs(value: Any) -> list[int]:
    """Return a list of epochs from a list, a number, or text with commas; null is none."""
    if value is None:
        return []
    parts = value if isinstance(value, list) else str(value).split(",")
    try:
        return [int(str(part)) for part in parts]
    except ValueError:
        raise ValueError(f'must be a list of epochs such as "700, 800, 900", not {value!r}') from None
