"""Views by one warp, noise and removal of the mean: the published contrastive augmentation, for any bands and holes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..config.option import option
from ..core.bands import Bands
from ..core.batch import Batch, everywhere
from ..core.pieces import pieces
from ..core.random import Key, uniform
from ..core.registry import register
from ..core.window import Window
from .band_dropout import kept_bands, without_bands
from .dihedral import DihedralWarp
from .finish import add_noise, remove_mean
from .geometry import Parameters, Ranges, compose
from .options import check
from .radiometry import change_light, optical_bands
from .sometimes import Sometimes
from .warp import AffineWarp
from .window import drawn_window, middle_window

log = logging.getLogger("spectrain")

Demean = Literal["none", "image", "band"]
Corners = Literal["reflect", "zero"]
View = AffineWarp | DihedralWarp | Sometimes
_AT_ONCE = 1 << 19
"""Values to finish at once on a CPU. More than are warped at once: the noise takes two hundred small steps a piece."""


@register("augmentation", "warp")
class WarpAugmentation:
    """Flip, turn, scale, shift, crop and zoom back in one interpolation; then light, noise, and the mean removed.

    What a sample becomes depends on the key and the sample's index alone, never on the batch it is in. Geometry,
    window, noise, missing bands, and whether a sample is changed at all have a stream each. Nothing waits for the
    device. Only pixels of the view are interpolated, not the rest of the image. With ``corners="zero",
    published=True`` a view is that of the published scikit-image chain (RandomFlip, RandomRotate, JitterCrop,
    GaussianNoise and Demean of Nenya), interpolated once instead of twice.
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
        size: int | list[int] | None = option(
            None,
            "side in px of a random window that the view is, not zoomed; null is the whole image; one number, or "
            "[height, width]",
            minimum=1,
        )
        shift: float | list[float] = option(
            0.0,
            "the image moves by up to so many px, or, below 1, by such a share of its side; one number, or [y, x]",
            minimum=0,
        )
        scale: float = option(0.0, "largest relative change of size, below 1", minimum=0)
        noise: float | list[float] = option(
            0.0, "standard deviation of normal noise in the image's unit; one number, or one a band", minimum=0
        )
        band_dropout: float = option(
            0.0,
            "probability, below 1, that a band of a sample is taken away: it becomes invalid; one band always stays",
            minimum=0,
        )
        brightness: float = option(0.0, "largest relative change of light, below 1, of optical bands", minimum=0)
        contrast: float = option(0.0, "largest relative change of contrast, below 1, of optical bands", minimum=0)
        speckle: float = option(0.0, "largest relative change of each value, below 1, of optical bands", minimum=0)
        optical: list[str] | None = option(
            None, "bands that light changes; null takes those with a wavelength, so not elevation, indices or radar"
        )
        demean: Demean = option(
            "none", "subtract the mean of the valid pixels: none, of the whole image, or of each band"
        )
        corners: Corners = option("reflect", "what comes from beyond the border: reflect (valid) or zero (invalid)")
        published: bool = option(False, "zero corners count as valid and the crop's edge is mirrored, as published")
        dihedral: bool = option(False, "only flips and quarter turns, exact to the bit")
        probability: float = option(
            1.0, "share of samples that are changed at all; size and demean are for all", minimum=0, maximum=1
        )

    def __init__(self, config: Config, bands: int, optical: Tensor | None = None) -> None:
        check(config, bands)
        self._light = config.brightness, config.contrast, config.speckle
        self._optical = torch.ones(bands, dtype=torch.bool) if optical is None else optical
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
        self._size: tuple[int, int] | None = None
        if config.size is not None:
            height, width = config.size if isinstance(config.size, list) else (config.size, config.size)
            self._size = height, width
        self._warned = False
        sigma = config.noise
        self._noisy = any(sigma) if isinstance(sigma, list) else bool(sigma)
        self._sigma = torch.tensor(sigma)[:, None, None] if isinstance(sigma, list) else sigma

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands) -> WarpAugmentation:
        """Return the augmentation for images of these bands.

        Raises:
            ConfigError: options that are out of range or exclude each other, all of them at once.
            DataError: light is to change, and which bands are optical is not known.
        """
        lit = config.brightness or config.contrast or config.speckle
        return cls(config, len(bands), optical_bands(bands, config.optical) if lit else None)

    @torch.no_grad()
    def __call__(self, batch: Batch, key: Key) -> Batch:
        """Return the view that ``key`` names: a new image, with validity and target moved alike.

        Args:
            batch: on any device; nothing from its holes (NaN neither) reaches the view, whose own holes hold 0.
            key: the stream; views of a sample differ by ``key.view``.

        Raises:
            DataError: the crop or the size does not fit the images, or labels at single pixels meet a warp that is not
                dihedral.
        """
        height, width = batch.image.shape[2:]
        changed = None
        if self._config.probability < 1:
            changed = uniform(_stream(key, "changed"), batch.index, 1)[:, 0] < self._config.probability
        window = drawn_window(self._size, (height, width), _stream(key, "window"), batch.index)
        ranges = self._ranges.in_px(height, width)
        drawn = Parameters.draw(ranges, _stream(key, "geometry"), batch.index)
        return self._moved(batch, self._warp(ranges, drawn, batch, window, changed), key, changed)

    @torch.no_grad()
    def centred(self, batch: Batch) -> Batch:
        """Return the view without chance, of which embeddings are taken: the centre, at the zoom or size of training.

        It is neither flipped nor turned, shifted, scaled or noisy, and has all its bands; its mean is removed as in
        training.

        Raises:
            DataError: the crop or the size does not fit the images.
        """
        height, width = batch.image.shape[2:]
        window = middle_window(self._size, (height, width), batch.index)
        if window is not None:
            return self._moved(batch, DihedralWarp(torch.zeros_like(batch.index), (height, width), window), None)
        if self._config.crop is None:
            kept = None if batch.all_valid else batch.valid.to(batch.image.dtype)
            return batch.replace(image=self._finish(batch.filled().clone(), kept, batch.index, None))
        still = Parameters.still(batch.index)
        return self._moved(batch, self._warp(self._ranges.in_px(height, width), still, batch), None)

    def _moved(self, batch: Batch, warp: View, key: Key | None, changed: Tensor | None = None) -> Batch:
        """Return the batch warped and finished; without chance where there is no key."""
        target = batch.target.warp(warp)
        kept: Tensor | None = None
        if batch.all_valid and not warp.makes_holes:
            image = warp.image(batch.image)
        else:
            image, kept = warp.image_with_holes(batch.image, batch.valid)
        if key is not None and self._config.band_dropout:
            image, kept = self._without_bands(image, kept, _stream(key, "bands"), batch.index, changed)
        if key is not None and any(self._light):
            image = self._lit(image, kept, _stream(key, "light"), batch.index, changed)
        noise = _stream(key, "noise") if key is not None and self._noisy else None
        image = self._finish(image, kept, batch.index, noise, changed)
        if kept is not None:
            return batch.replace(image=image, valid=kept.bool().expand_as(image), target=target, all_valid=False)
        valid = batch.valid if image.shape == batch.image.shape else everywhere(image.shape, image.device)
        return batch.replace(image=image, valid=valid, target=target)

    def _warp(
        self,
        ranges: Ranges,
        parameters: Parameters,
        batch: Batch,
        window: Window | None = None,
        changed: Tensor | None = None,
    ) -> View:
        """Return the geometry of every sample: whole pixels only where the options move nothing else."""
        height, width = batch.image.shape[2:]
        ranges.check(height, width)
        self._warn_of_small_crops(height, width)
        if self._config.dihedral or ranges.only_flips:
            step = parameters.dihedral_step(height, width)
            return DihedralWarp(step if changed is None else step * changed, (height, width), window)
        published = self._config.published
        geometry = compose(parameters, self._config.crop, (height, width), mirror_edge=published)
        # a window may lie anywhere: where the whole view stays inside, so does its window, and only there
        corners = "inside" if ranges.stays_inside(height, width) else self._config.corners
        warp = AffineWarp(geometry, corners, corners_count=published, window=window)
        return warp if changed is None else Sometimes(warp, changed, (height, width))

    def _without_bands(
        self, image: Tensor, kept: Tensor | None, key: Key, index: Tensor, changed: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return image and mask without the bands that the stream takes away; the image is changed in place."""
        if kept is None:
            seen = torch.ones(image.shape[:2], dtype=torch.bool, device=image.device)
        else:
            seen = (kept.amax((2, 3)) > 0).expand(image.shape[:2])
        bands = kept_bands(self._config.band_dropout, seen, key, index)
        if changed is not None:
            bands = bands | ~changed[:, None]
        return image, without_bands(image, kept, bands)

    def _lit(self, image: Tensor, kept: Tensor | None, key: Key, index: Tensor, changed: Tensor | None) -> Tensor:
        """Return the image in other light."""
        self._optical = self._optical.to(image.device)  # copied for the first batch only
        for rows in pieces(image, _AT_ONCE):
            mask, some = (None if part is None else part[rows] for part in (kept, changed))
            image[rows] = change_light(image[rows], mask, self._optical, self._light, key, index[rows], some)
        return image

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

    def _finish(
        self, image: Tensor, kept: Tensor | None, index: Tensor, noise: Key | None, changed: Tensor | None = None
    ) -> Tensor:
        """Add noise (to changed samples) and remove the mean, in place, from images that nobody else holds."""
        if isinstance(self._sigma, Tensor):
            self._sigma = self._sigma.to(image.device)  # copied for the first batch only
        for rows in pieces(image, _AT_ONCE):
            part, mask = image[rows], None if kept is None else kept[rows]
            if noise is not None:
                noisy = mask
                if changed is not None:
                    some = changed[rows, None, None, None].to(image.dtype)
                    noisy = some if mask is None else mask * some
                add_noise(part, noisy, self._sigma, noise, index[rows])
            if self._config.demean != "none":
                remove_mean(part, mask, per_band=self._config.demean == "band")
        return image


def _stream(key: Key, name: str) -> Key:
    """Return the stream of one of the augmentation's choices."""
    return key.at(purpose=f"{key.purpose}/{name}")
