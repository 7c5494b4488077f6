"""The contrastive loss, self-supervised and supervised (Khosla et al., NeurIPS 2020; SimCLR: Chen et al., ICML 2020).

For an anchor ``a`` among rows ``r`` (itself and padding left out), its positives ``P`` and the temperature ``T``::

    loss(a) = - T / T0 * mean_{p in P} log_softmax_r(a . r / T)[p]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..config.option import option
from ..core.distributed import gather_rows, rank
from ..core.fill import fill_invalid
from ..core.loss_sum import LossSum

ContrastMode = Literal["all", "one"]


class SupConLoss(nn.Module):
    """Views of one sample, or of one class, attract each other; all others repel.

    The whole loss is scaled by ``temperature / base_temperature``, as published: a temperature other than the base
    changes the effective learning rate too. It depends on the batch size: an encoder that has collapsed to one point
    gives exactly ``log(V * B - 1)`` (at ``temperature == base_temperature``, without labels).

    An anchor without a positive (one view, and no other sample of its class) contributes 0 and still counts in the
    mean, as in the authors' corrected code. A batch of one sample teaches nothing: the only other row is the positive,
    loss and gradient are 0.

    Arithmetic is float32 (float64 for float64 input), whatever the input and also under autocast. Rows need not be of
    unit length, but the temperature is meant for such.

    Args:
        temperature: ``T``, above 0.
        contrast_mode: "all" (each row is an anchor) or "one" (only those of the first view).
        base_temperature: ``T0``, above 0.

    Raises:
        ValueError: a temperature is not above 0, or the mode is unknown.

    Example:
        >>> criterion = SupConLoss(temperature=0.07)
        >>> loss = criterion(features)  # [B,V,D]: SimCLR
        >>> loss = criterion(features, labels)  # [B,V,D], [B]: SupCon
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``loss=supcon``."""

        temperature: float = option(0.07, "lower ones concentrate on the hardest negatives", above=0)
        contrast_mode: ContrastMode = option("all", "anchors: all views, or those of the first one")
        base_temperature: float = option(0.07, "the loss is scaled by temperature / base_temperature", above=0)

    def __init__(
        self, temperature: float = 0.07, contrast_mode: ContrastMode = "all", base_temperature: float = 0.07
    ) -> None:
        super().__init__()
        if not (temperature > 0 and base_temperature > 0):
            raise ValueError(f"temperatures are above 0, not {temperature} and {base_temperature}")
        if contrast_mode not in get_args(ContrastMode):
            raise ValueError(f"contrast_mode is one of {', '.join(get_args(ContrastMode))}, not {contrast_mode!r}")
        self.temperature, self.contrast_mode, self.base_temperature = temperature, contrast_mode, base_temperature

    @classmethod
    def from_config(cls, config: Config) -> SupConLoss:
        """Return the configured loss."""
        return cls(config.temperature, config.contrast_mode, config.base_temperature)

    def forward(self, features: Tensor, labels: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch in the published call form, of this process alone.

        Args:
            features: [B,V,...], flattened to [B,V,D].
            labels: [B]; rows of equal label are positives. None with no ``mask``: only the views of a sample are.
            mask: [B,B], weight of sample j as positive of sample i; need not be symmetric.

        Returns:
            The mean over V * B anchors (B where ``contrast_mode`` is "one"); 0 for an empty batch.

        Raises:
            ValueError: fewer than 3 dimensions, labels and mask together, or their lengths are not B.
        """
        if features.dim() < 3:
            raise ValueError(f"features are [B,V,...], at least 3 dimensions, not {list(features.shape)}")
        if labels is not None and mask is not None:
            raise ValueError("give labels or a mask, not both")
        batch, views = features.shape[:2]
        rows = features.flatten(2).transpose(0, 1).flatten(0, 1)
        if labels is not None:
            if labels.numel() != batch:
                raise ValueError(f"{labels.numel()} labels for {batch} samples")
            mask = labels.reshape(-1, 1) == labels.reshape(1, -1)
        elif mask is not None and mask.shape != (batch, batch):
            raise ValueError(f"the mask of {batch} samples is [{batch}, {batch}], not {list(mask.shape)}")
        anchors = self._anchor_count(batch, views)
        itself = _itself(anchors, batch * views, 0, rows.device)
        if mask is None:
            positives = _other_views(anchors, batch * views, views, 0, rows.device)
        else:
            positives = mask.to(rows.device, torch.float32).repeat(views, views)[:anchors].masked_fill(itself, 0.0)
        return self._losses(rows[:anchors], rows, itself, positives).sum() / max(anchors, 1)

    def sums(self, embeddings: Tensor, views: int, labels: Tensor | None = None, real: Tensor | None = None) -> LossSum:
        """Return the loss of this process's anchors against the rows of all processes.

        The sums (and their gradients) of all processes add up to those of one process with the whole batch. Nothing
        here waits for the device.

        Args:
            embeddings: [V*B,D], view-major: all first views, then all second; the same V and B on each process.
            views: V.
            labels: int64 [V*B]; rows of equal label are positives. A negative label means "not labelled": only the
                other views of that sample are its positives. None: so it is for all samples.
            real: bool [V*B], False for rows that only fill up a batch; they are neither anchors nor negatives, and
                may hold NaN.

        Returns:
            Sum over anchors, and how many there were (those without positives among them).

        Raises:
            ValueError: the rows are not V times B, or labels or ``real`` are not one a row.
        """
        count = embeddings.shape[0]
        if embeddings.dim() != 2 or views < 1 or count % views:
            raise ValueError(f"embeddings are [V*B,D] with V = {views}, not {list(embeddings.shape)}")
        for name, rowwise in (("labels", labels), ("real", real)):
            if rowwise is not None and rowwise.shape != (count,):
                raise ValueError(f"{name} are one a row, [{count}], not {list(rowwise.shape)}")
        anchors, first = self._anchor_count(count // views, views), rank() * count
        own = embeddings if real is None else fill_invalid(embeddings, real[:, None])
        rows = gather_rows(own)
        excluded = _itself(anchors, rows.shape[0], first, rows.device)
        if real is not None:
            excluded = excluded | ~gather_rows(real.to(torch.uint8)).to(torch.bool)
        if labels is None:
            positives = _other_views(anchors, count, views, first, rows.device)
        else:
            groups = _groups(labels, views, first)
            positives = ((groups[:anchors, None] == gather_rows(groups)) & ~excluded).to(torch.float32)
        losses = self._losses(own[:anchors], rows, excluded, positives)
        if real is None:
            return LossSum(losses.sum(), torch.full((), float(anchors), device=rows.device))
        counted = real[:anchors]
        return LossSum(fill_invalid(losses, counted).sum(), counted.sum(dtype=torch.float32))

    def _anchor_count(self, batch: int, views: int) -> int:
        """Return how many of the view-major rows are anchors; they come first."""
        return batch if self.contrast_mode == "one" else batch * views

    def _losses(self, anchors: Tensor, rows: Tensor, excluded: Tensor, positives: Tensor) -> Tensor:
        """Return the loss [A] of each anchor; 0 for one without positives.

        Args:
            anchors: [A,D].
            rows: [R,D].
            excluded: bool [A,R], the anchor itself and padding.
            positives: int64 [A,P], the columns that are positives of each anchor; or float [A,R], the weight of each
                row as a positive.
        """
        with torch.autocast(rows.device.type, enabled=False):
            anchors, rows = _full_precision(anchors), _full_precision(rows)
            # Finite, not infinite: an anchor with nothing to compare with then has a finite loss, to be dropped below.
            nothing = torch.finfo(rows.dtype).min / 2
            similarity = (anchors / self.temperature) @ rows.T
            log_prob = similarity.masked_fill_(excluded, nothing).log_softmax(dim=1)
            if positives.is_floating_point():
                weight = positives.sum(dim=1)
                total = torch.linalg.vecdot(log_prob, positives.to(log_prob.dtype))
            else:
                weight = log_prob.new_full(log_prob.shape[:1], positives.shape[1])
                total = log_prob.gather(1, positives).sum(dim=1)
            some = weight > 1e-6
            mean = fill_invalid(total, some) / fill_invalid(weight, some, 1.0)
            return mean * (-self.temperature / self.base_temperature)


def _full_precision(rows: Tensor) -> Tensor:
    """Return float16 and bfloat16 as float32; logits of 1/T differ by less than those can tell apart."""
    return rows if rows.dtype == torch.float64 else rows.float()


def _itself(own: int, rows: int, first: int, device: torch.device) -> Tensor:
    """Return bool [own, rows], True where a row is the anchor itself: own rows begin at ``first``."""
    return torch.arange(first, first + own, device=device)[:, None] == torch.arange(rows, device=device)


def _other_views(anchors: int, own: int, views: int, first: int, device: torch.device) -> Tensor:
    """Return int64 [anchors, V-1], the rows of the other views of each anchor's sample.

    Of a process's ``own`` = V * B rows, which begin at ``first``, those of one sample lie B apart.
    """
    row = torch.arange(anchors, device=device)[:, None]
    step = torch.arange(1, views, device=device) * (own // views)
    return first + (row + step) % max(own, 1)


def _groups(labels: Tensor, views: int, first: int) -> Tensor:
    """Return the labels [V*B], with a negative number of its own for each sample without one."""
    batch = labels.shape[0] // views
    sample = torch.arange(first, first + batch, device=labels.device).repeat(views)
    return torch.where(labels >= 0, labels.to(torch.int64), -1 - sample)
