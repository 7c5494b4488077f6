"""From stored numbers to physical, transformed values and where they are valid: one code for train and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.bands import Band, Bands
from ..core.batch import Batch, RawBatch, everywhere
from ..core.errors import DataError, perhaps
from ..core.fill import fill_invalid

TRANSFORMS = ("none", "log10", "log10_reflectance", "reflectance")
"""What may be declared for a band. ``log10``: decimal logarithm, what is not positive becomes missing.
``log10_reflectance``: ``(log10(x) + 3) / 3``, which puts reflectances from 0.001 to 1 between 0 and 1 (SpectralEye);
a pixel whose first band so transformed is under 0.001 is background, and missing in all of them.
``reflectance``: a band that has neither scale nor offset of its own is stored as 10 000 times its reflectance."""

REFLECTANCE_SCALE = 1e-4
BACKGROUND = 1e-3
"""Under ``log10_reflectance``, less than this in the first band is no reflectance of anything."""
_SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


@dataclass(frozen=True, slots=True)
class _Constants:
    """What the arithmetic needs of the bands, each [C,1,1] on the device, None where it would change nothing."""

    nodata: Tensor | None
    no_nodata: Tensor | None
    scale: Tensor | None
    offset: Tensor | None
    logarithmic: Tensor | None
    reflecting: Tensor | None
    first_reflecting: int


class Values:
    """Turns a `RawBatch` into a `Batch`, on whatever device it lies.

    The order is fixed: stored type; equal to ``nodata`` in that type, NaN, infinite or masked becomes invalid;
    float32; holes filled; ``scale``, ``offset``; the declared transform. Nothing is filled twice, and no arithmetic
    ever meets a hole.

    Args:
        bands: one a channel.
        transform: one of `TRANSFORMS` for all bands, or one a band.
        all_valid: the data set is known to hold no missing value (:attr:`Statistics.all_valid` under the same bands
            and transform). Then nothing is looked for, and ``valid`` is a view that takes one byte.

    Raises:
        DataError: a transform that there is not, or not one a band.
    """

    def __init__(self, bands: Bands, transform: str | Sequence[str] = "none", *, all_valid: bool = False) -> None:
        self.bands = bands
        self.transforms = _one_a_band(bands, transform)
        self.all_valid = all_valid
        self._cache: dict[tuple[torch.dtype, torch.device], _Constants] = {}

    @property
    def transformed(self) -> Bands:
        """The bands of what comes out: without a unit where the transform is not linear."""
        unitless = [name in ("log10", "log10_reflectance") for name in self.transforms]
        return Bands(
            replace(band, unit=None) if gone else band for band, gone in zip(self.bands, unitless, strict=True)
        )

    def __call__(self, raw: RawBatch) -> Batch:
        """Return the batch in physical, transformed values; ``image`` is float32 and finite everywhere."""
        image, valid = self.measure(raw.image, raw.mask)
        return Batch(
            image=image,
            valid=everywhere(image.shape, image.device) if valid is None else valid,
            target=raw.target,
            index=raw.index,
            all_valid=valid is None,
            dataset=raw.dataset,
        )

    def measure(self, stored: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the values, float32 [B,C,H,W], and where they are valid; None where that is everywhere.

        None comes back where ``all_valid`` was promised, and where the type alone says so: integers without nodata,
        mask or logarithm. A hole holds some finite number. The stored tensor is never written to, and is returned
        itself where there is nothing to do.

        Args:
            stored: [B,C,H,W] in the stored type.
            mask: bool [B,1,H,W] or [B,C,H,W], True where observed, or None.
        """
        if stored.shape[1] != len(self.bands):
            raise DataError(f"the images have {stored.shape[1]} channels, but {len(self.bands)} bands are described")
        constants = self._constants(stored.dtype, stored.device)
        image = stored.to(torch.float32)
        valid = None if self.all_valid else _observed(stored, image, mask, constants)
        if valid is not None:
            image = fill_invalid(image, valid)
        if constants.scale is not None:
            image = image * constants.scale
        if constants.offset is not None:
            image = image + constants.offset
        if constants.logarithmic is not None:
            image, valid = self._logarithm(image, valid, constants)
        return image, valid

    def _logarithm(self, image: Tensor, valid: Tensor | None, constants: _Constants) -> tuple[Tensor, Tensor | None]:
        """Take log10 of the chosen channels; what is not positive there becomes invalid, and the background."""
        chosen, reflecting = constants.logarithmic, constants.reflecting
        assert chosen is not None
        if not self.all_valid:
            positive = (image > 0) | ~chosen
            if reflecting is not None:
                first = constants.first_reflecting
                background = image[:, first : first + 1] < BACKGROUND
                if valid is not None:  # a hole holds some number
                    background = background & valid[:, first : first + 1]
                positive = positive & ~(background & reflecting)
            valid = positive if valid is None else valid & positive
            image = fill_invalid(image, valid, 1.0)
        logarithm = image.log10()
        if reflecting is not None:
            logarithm = torch.where(reflecting, (logarithm + 3) / 3, logarithm)
        return torch.where(chosen, logarithm, image), valid

    def _constants(self, dtype: torch.dtype, device: torch.device) -> _Constants:
        """Return the constants for a stored type, made once for each device."""
        if (known := self._cache.get((dtype, device))) is not None:
            return known
        scales, offsets = zip(*map(_linear, self.bands, self.transforms), strict=True)
        nodata = [_stored_nodata(band.nodata, dtype) for band in self.bands]
        logs = [transform in ("log10", "log10_reflectance") for transform in self.transforms]
        reflecting = [transform == "log10_reflectance" for transform in self.transforms]

        def column(numbers: Sequence[float | bool], kind: torch.dtype) -> Tensor:
            return torch.tensor(numbers, dtype=kind, device=device).reshape(-1, 1, 1)

        some = any(number is not None for number in nodata)
        every = all(number is not None for number in nodata)
        made = _Constants(
            nodata=column([number or 0 for number in nodata], _SIGNED.get(dtype, dtype)) if some else None,
            no_nodata=column([number is None for number in nodata], torch.bool) if some and not every else None,
            scale=column(scales, torch.float32) if any(scale != 1 for scale in scales) else None,
            offset=column(offsets, torch.float32) if any(offset != 0 for offset in offsets) else None,
            logarithmic=column(logs, torch.bool) if any(logs) else None,
            reflecting=column(reflecting, torch.bool) if any(reflecting) else None,
            first_reflecting=reflecting.index(True) if any(reflecting) else 0,
        )
        self._cache[dtype, device] = made
        return made


def _observed(stored: Tensor, image: Tensor, mask: Tensor | None, constants: _Constants) -> Tensor | None:
    """Return where something was measured; None where the type leaves no other possibility."""
    valid = None
    if stored.is_floating_point():
        # NaN and infinity times 0 are NaN; half the passes of isfinite. Of the float32 image, as a float64 may
        # be finite and yet beyond float32.
        valid = image * 0 == 0
    if constants.nodata is not None:
        # unsigned types beyond uint8 lack kernels on some devices; the same bits compare equal as signed
        present = stored.view(_SIGNED.get(stored.dtype, stored.dtype)) != constants.nodata
        if constants.no_nodata is not None:
            present = present | constants.no_nodata
        valid = present if valid is None else valid & present
    if mask is not None:
        valid = mask.expand_as(image) if valid is None else valid & mask
    return valid


def _one_a_band(bands: Bands, transform: str | Sequence[str]) -> tuple[str, ...]:
    """Return the transform of each band, or raise."""
    chosen = (transform,) * len(bands) if isinstance(transform, str) else tuple(transform)
    for name in chosen:
        if name not in TRANSFORMS:
            raise DataError(
                f"there is no transform {name!r}" + perhaps(name, TRANSFORMS),
                where="dataset.transform",
                fix=f"known are {', '.join(TRANSFORMS)}",
            )
    if len(chosen) != len(bands):
        raise DataError(
            f"{len(chosen)} transforms for {len(bands)} bands",
            where="dataset.transform",
            fix=f"give one for all bands, or one each for {', '.join(bands.names)}",
        )
    return chosen


def _linear(band: Band, transform: str) -> tuple[float, float]:
    """Return scale and offset of a band under its transform."""
    if transform == "reflectance" and (band.scale, band.offset) == (1.0, 0.0):
        return REFLECTANCE_SCALE, 0.0
    return band.scale, band.offset


def _stored_nodata(nodata: float | None, dtype: torch.dtype) -> float | None:
    """Return nodata as a number of the stored type; None where there is none that the type can hold.

    So -9999 declared for unsigned 16-bit data matches nothing, as nothing stored can equal it. An unsigned number is
    returned as the signed one of the same bits.
    """
    if nodata is None or nodata != nodata:
        return None
    if dtype.is_floating_point:
        return nodata
    info = torch.iinfo(dtype)
    if nodata != int(nodata) or not info.min <= nodata <= info.max:
        return None
    return int(nodata) - (1 << info.bits) if dtype in _SIGNED and int(nodata) >> (info.bits - 1) else int(nodata)
