"""Views by one warp, noise and removal of the mean: the published contrastive augmentation, for any bands and holes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..config.option import option
from ..core.bands import Bands
from ..core.batch import Batch
from ..core.random import Key
from ..core.registry import register
from .dihedral import DihedralWarp
from .finish import add_noise, remove_mean
from .geometry import Parameters, Ranges, compose
from .options import check
from .pieces import pieces
from .warp import AffineWarp

log = logging.getLogger("spectrain")

Demean = Literal["none", "image", "band"]
Corners = Literal["reflect", "zero"]
_AT_ONCE = 1 << 19
"""Values to finish at once on a CPU. More than are warped at once: the noise takes two hundred small steps a piece."""


@register("augmentation", "warp")
class WarpAugmentation:
    """Flip, turn, scale, shift, crop and zoom back in one interpolation, then noise, then the mean removed.

    What a sample becomes depends on the key and the sample's index alone, never on the batch it is in. Geometry and
    noise have a stream each. Nothing waits for the device. With ``corners="zero", published=True`` a view is that of
    the published scikit-image chain (RandomFlip, RandomRotate, JitterCrop, GaussianNoise and Demean of Nenya),
    interpolated once instead of twice.
    """

    @dataclass
    class Config:
        """Options of one view; lengths are in px, noise in the unit of the image."""

        flip: bool = option(True, "flip each axis with probability one half")
        rotate: bool | float = option(
            True, "true is any angle; a number is the largest angle in degrees to either side", minimum=0
        )
        crop: int | None = option(
            None, "side in px of the window that is zoomed back to the image; null takes the whole image", minimum=2
        )
        jitter: int = option(0, "the window's centre moves by up to so many px along each axis", minimum=0)
        shift: float | list[float] = option(
            0.0, "the image moves by up to so many px; one number, or [y, x]", minimum=0
        )
        scale: float = option(0.0, "largest relative change of size, below 1", minimum=0)
        noise: float | list[float] = option(
            0.0, "standard deviation of normal noise in the image's unit; one number, or one a band", minimum=0
        )
        demean: Demean = option(
            "none", "subtract the mean of the valid pixels: none, of the whole image, or of each band"
        )
        corners: Corners = option("reflect", "what comes from beyond the border: reflect (valid) or zero (invalid)")
        published: bool = option(False, "zero corners count as valid and the crop's edge is mirrored, as published")
        dihedral: bool = option(False, "only flips and quarter turns, exact to the bit")

    def __init__(self, config: Config, bands: int) -> None:
        check(config, bands)
        shift_y, shift_x = config.shift if isinstance(config.shift, list) else (config.shift, config.shift)
        self._config = config
        self._ranges = Ranges(
            flip=config.flip,
            rotate=360.0 if config.rotate is True else float(config.rotate),
            crop=config.crop,
            jitter=config.jitter,
            shift=(shift_y, shift_x),
            scale=config.scale,
        )
        self._warned = False
        sigma = config.noise
        self._noisy = any(sigma) if isinstance(sigma, list) else bool(sigma)
        self._sigma = torch.tensor(sigma)[:, None, None] if isinstance(sigma, list) else sigma

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands) -> WarpAugmentation:
        """Return the augmentation for images of these bands.

        Raises:
            ConfigError: options that are out of range or exclude each other, all of them at once.
        """
        return cls(config, len(bands))

    @torch.no_grad()
    def __call__(self, batch: Batch, key: Key) -> Batch:
        """Return the view that ``key`` names: a new image, with validity and target moved alike.

        Args:
            batch: on any device; nothing from its holes (NaN neither) reaches the view, whose own holes hold 0.
            key: the stream; views of a sample differ by ``key.view``.

        Raises:
            DataError: the crop does not fit the images, or labels at single pixels meet a warp that is not dihedral.
        """
        drawn = Parameters.draw(self._ranges, key.at(purpose=f"{key.purpose}/geometry"), batch.index)
        noise = key.at(purpose=f"{key.purpose}/noise") if self._noisy else None
        return self._moved(batch, self._warp(drawn, batch), noise)

    @torch.no_grad()
    def centred(self, batch: Batch) -> Batch:
        """Return the view without chance, of which embeddings are taken: the centre, at the zoom of training.

        It is neither flipped nor turned, shifted, scaled or noisy; its mean is removed as in training.

        Raises:
            DataError: the crop does not fit the images.
        """
        if self._config.crop is None:
            kept = None if batch.all_valid else batch.valid.to(batch.image.dtype)
            return batch.replace(image=self._finish(batch.filled().clone(), kept, batch.index, None))
        return self._moved(batch, self._warp(Parameters.still(batch.index), batch), None)

    def _moved(self, batch: Batch, warp: AffineWarp | DihedralWarp, noise: Key | None) -> Batch:
        """Return the batch warped and finished."""
        target = batch.target.warp(warp)
        if batch.all_valid and not warp.makes_holes:
            image = self._finish(warp.image(batch.image), None, batch.index, noise)
            return batch.replace(image=image, target=target)
        image, kept = warp.image_with_holes(batch.image, batch.valid)
        image = self._finish(image, kept, batch.index, noise)
        return batch.replace(image=image, valid=kept.bool().expand_as(image), target=target, all_valid=False)

    def _warp(self, parameters: Parameters, batch: Batch) -> AffineWarp | DihedralWarp:
        """Return the geometry of every sample: whole pixels only where the options move nothing else."""
        height, width = batch.image.shape[2:]
        self._ranges.check(height, width)
        self._warn_of_small_crops(height, width)
        if self._config.dihedral or self._ranges.only_flips:
            return DihedralWarp(parameters.dihedral_step(height, width), (height, width))
        published = self._config.published
        geometry = compose(parameters, self._config.crop, (height, width), mirror_edge=published)
        inside = self._ranges.stays_inside(height, width)
        return AffineWarp(geometry, "inside" if inside else self._config.corners, corners_count=published)

    def _warn_of_small_crops(self, height: int, width: int) -> None:
        """Say once that a window is so small that little is left to tell images apart by."""
        crop = self._config.crop
        if self._warned or crop is None or 4 * crop >= min(height, width):
            return
        self._warned = True
        log.warning(
            "augmentation.crop=%d takes windows of %d px out of images of %d x %d px and zooms them up: under a "
            "quarter of the side, little is left to tell images apart by; set augmentation.crop (the first number of "
            "random_cropjitter or random_jitter) to about %d",
            crop,
            crop // 2 * 2,
            height,
            width,
            min(height, width) * 5 // 8,
        )

    def _finish(self, image: Tensor, kept: Tensor | None, index: Tensor, noise: Key | None) -> Tensor:
        """Add noise and remove the mean, in place, from images that nobody else holds."""
        if isinstance(self._sigma, Tensor):
            self._sigma = self._sigma.to(image.device)  # copied for the first batch only
        for rows in pieces(image, _AT_ONCE):
            part, mask = image[rows], None if kept is None else kept[rows]
            if noise is not None:
                add_noise(part, mask, self._sigma, noise, index[rows])
            if self._config.demean != "none":
                remove_mean(part, mask, per_band=self._config.demean == "band")
        return image
