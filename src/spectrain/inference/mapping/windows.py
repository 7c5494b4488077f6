"""Windows of a scene, read ahead of the models, and what all of these say of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.batch import Batch
from ...core.fill import fill_invalid
from ...data.scene import Scene
from .members import Member
from .tiles import Agreement, Axis, Strip, batches, strips

Read = tuple[NDArray[np.generic], NDArray[np.bool_] | None]
"""Windows [N,C,h,w] and their mask [N,1 or C,h,w]."""


class SceneWindows:
    """A scene as its models see it.

    Args:
        members: the models, each with its scene; all scenes are on one grid.
        rows: windows from top to bottom.
        columns: windows from left to right.
        at_once: most windows in a batch.
    """

    def __init__(self, members: Sequence[Member], rows: Axis, columns: Axis, at_once: int) -> None:
        self.members, self.rows, self.columns, self.at_once = members, rows, columns, at_once
        self._scenes = list({id(member.scene): member.scene for member in members}.values())
        self.agreement = Agreement()
        self._quantities: int | None = None  # of all members together, known once they looked at something

    def strips(self) -> Iterator[Strip]:
        """Yield finished rows from top to bottom; their values are the quantities [M,Q,h,W] of the models.

        Raises:
            DataError: the scene is damaged.
        """
        with ThreadPoolExecutor(1) as reader:
            ahead = self._read_ahead(reader)

            def evaluate(row: int, columns: Sequence[int]) -> tuple[Tensor, Tensor]:
                return self._evaluate(next(ahead))

            for strip in strips(self.rows, self.columns, evaluate, self.at_once, self.agreement):
                yield replace(strip, values=strip.values.reshape(len(self.members), -1, *strip.values.shape[1:]))

    def _read_ahead(self, reader: ThreadPoolExecutor) -> Iterator[list[Read]]:
        """Yield the windows of each batch, of each scene, while the next batch is being read."""
        coming: Future[list[Read]] | None = None
        for row, columns in batches(self.rows, self.columns, self.at_once):
            before, coming = coming, reader.submit(self._read, row, columns)
            if before is not None:
                yield before.result()
        if coming is not None:
            yield coming.result()

    def _read(self, row: int, columns: Sequence[int]) -> list[Read]:
        return [self._windows(scene, row, columns) for scene in self._scenes]

    def _windows(self, scene: Scene, row: int, columns: Sequence[int]) -> Read:
        """Return windows of a scene; what lies beyond it is not observed.

        Neighbouring windows are read as one piece, so nothing is unpacked twice for them.
        """
        height, width = self.rows.window, self.columns.window
        bottom = min(row + height, self.rows.size)
        right = min(columns[-1] + width, self.columns.size)
        pixels = scene.read(row, columns[0], bottom - row, right - columns[0])
        image, mask = pixels.image, pixels.mask
        below, beside = row + height - bottom, columns[-1] + width - right
        if below or beside:
            if mask is None:
                mask = np.ones((1, *image.shape[1:]), dtype=bool)
            beyond = ((0, 0), (0, below), (0, beside))
            image, mask = np.pad(image, beyond), np.pad(mask, beyond)
        places = [slice(column - columns[0], column - columns[0] + width) for column in columns]
        windows = np.stack([image[:, :, place] for place in places])
        return windows, None if mask is None else np.stack([mask[:, :, place] for place in places])

    def _evaluate(self, read: list[Read]) -> tuple[Tensor, Tensor]:
        """Return what all models say of windows, float32 [N,M*Q,h,w], 0 where a pixel is missing; and where none is.

        A pixel is there where any model sees a valid band of it. No model looks at a window without any.
        """
        shown: dict[Hashable, Batch] = {}  # members that take the same bands alike are shown one batch
        for member in self.members:
            if member.sees not in shown:
                shown[member.sees] = member.batch(*read[self._scenes.index(member.scene)])
        looked = [shown[member.sees] for member in self.members]
        seen = torch.stack([batch.valid.any(1) for batch in looked]).any(0)
        some = seen.flatten(1).any(1)
        if self._quantities is None:
            some[0] = True
        if not some.all():
            fewer = {sees: _rows(batch, some) for sees, batch in shown.items()}
            looked = [fewer[member.sees] for member in self.members]
        found = seen.new_zeros((0,), dtype=torch.float32)
        if len(looked[0].image):
            found = torch.cat([member(batch) for member, batch in zip(self.members, looked, strict=True)], dim=1)
            self._quantities = found.shape[1]
        if len(found) < len(seen):
            assert self._quantities is not None
            whole = torch.zeros((len(seen), self._quantities, *seen.shape[1:]), device=seen.device)
            if len(found):
                whole[some] = found
            found = whole
        return fill_invalid(found, seen[:, None]), seen


def _rows(batch: Batch, chosen: Tensor) -> Batch:
    """Return the chosen rows [B] of a batch."""
    return batch.replace(image=batch.image[chosen], valid=batch.valid[chosen], index=batch.index[chosen])
