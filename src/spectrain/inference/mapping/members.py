"""The models of a map: loaded, held against each other, each with the bands that it takes of the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...core.bands import Bands
from ...core.batch import Batch, RawBatch
from ...core.errors import DataError, RunError
from ...core.targets import NoTarget
from ...data.scene import Scene
from ...data.values import Values
from ...models.any_bands import AnyBands
from ...training.processes.devices import autocast, autocast_dtype
from ...training.trained.members import Loaded
from ...training.trained.turned import Turned
from .bands import Chosen, choose_bands
from .units import UnitsCheck


def bands_of(loaded: Loaded) -> Bands:
    """Return the bands that a model takes; of one for any bands those that it was trained on first."""
    model = loaded.trained.model
    return model.band_set(0).bands if isinstance(model, AnyBands) else model.bands


def all_bands(members: Sequence[Loaded]) -> Bands:
    """Return the bands that any of the models takes."""
    named = {band.name: band for member in reversed(members) for band in bands_of(member)}
    order = dict.fromkeys(name for member in members for name in bands_of(member).names)
    return Bands(named[name] for name in order)


def window_of(members: Sequence[Loaded], window: int | None) -> tuple[int, int]:
    """Return height and width of the windows: as given, else those of the training.

    Raises:
        RunError: they are not known, or the members differ.
    """
    if window is not None:
        return window, window
    sizes = {tuple(member.trained.meta["image_size"] or ()) for member in members}
    if len(sizes) > 1 or not (size := next(iter(sizes))):
        several = " and ".join(" × ".join(map(str, size)) for size in sorted(sizes) if size)
        raise RunError(
            f"the runs were trained on images of several sizes: {several} px" if several else "no size is known",
            where="--window",
            fix="name the side of the windows in px",
        )
    height, width = size
    return height, width


class Member:
    """One model, ready to look at windows of a scene.

    Args:
        loaded: the run.
        scene: what is mapped, as the run's data were prepared.
        where: the scene, for messages.
        device: where the model runs.
        turns: it sees each window in its eight turns and flips.
    """

    def __init__(self, loaded: Loaded, scene: Scene, where: str, device: torch.device, *, turns: bool = False) -> None:
        trained = loaded.trained
        self.task, self.scene = loaded.task, scene
        self.chosen: Chosen = choose_bands(bands_of(loaded), scene.bands, where)
        self.units = UnitsCheck(bands_of(loaded), trained.statistics[0])
        self.values = Values(self.chosen.bands, trained.cfg.dataset.transform)
        self.sees = (id(scene), self.chosen, self.values.transforms)
        """Members for which this is equal are shown the same batches."""
        self.model: nn.Module = trained.model.to(device).eval()
        self._channels_last = trained.cfg.general.channels_last and trained.model.convolves
        if self._channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        if turns:
            self.model = Turned(self.model).eval()
        self._device, self._amp = device, autocast_dtype(trained.cfg.general.use_amp, device)

    def batch(self, image: NDArray[np.generic], mask: NDArray[np.bool_] | None) -> Batch:
        """Return windows of the scene [B,C,h,w] with their mask [B,1 or C,h,w] as the model was shown its images."""
        channels = list(self.chosen.channels)
        if channels != list(range(image.shape[1])):
            image = image[:, channels]
            mask = mask[:, channels] if mask is not None and mask.shape[1] > 1 else mask
        raw = RawBatch(
            torch.from_numpy(np.ascontiguousarray(image)),
            None if mask is None else torch.from_numpy(np.ascontiguousarray(mask)),
            NoTarget(),
            torch.arange(len(image)),
        )
        batch: Batch = self.values(raw.to(self._device, non_blocking=True))
        self.units.add(batch)
        return batch

    def __call__(self, batch: Batch) -> Tensor:
        """Return the quantities of a batch, float32 [B,Q,h,w].

        Raises:
            DataError: the model returns something else than maps.
        """
        if self._channels_last:
            batch = batch.replace(image=batch.image.contiguous(memory_format=torch.channels_last))
        with autocast(self._device, self._amp):
            output: Tensor = self.model(batch)
        if output.dim() != 4 or output.shape[2:] != batch.image.shape[2:]:
            raise DataError(
                f"the model returns {tuple(output.shape)} for images {tuple(batch.image.shape)}: no map of them",
                fix="map with a model that returns a value for each pixel",
            )
        return self.task.quantities(output.float())
