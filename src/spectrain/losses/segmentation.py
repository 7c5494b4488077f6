"""Losses of segmentation: cross-entropy, focal, Dice and Tversky, one or a weighted sum of them, from logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config.option import option
from ..core.errors import SpectrainError
from ..core.fill import fill_invalid
from ..core.loss_sum import LossSum
from ..core.segmented import Segmented

SMOOTH = 1.0
"""Pixels added to both sides of the fraction of Dice and Tversky, so that an image without a class has a gradient."""


class SegmentationLoss(nn.Module):
    """Weighted sum of the losses of segmented pixels. Of several, each is logged, as ``loss_bce`` and so on.

    All take logits, never probabilities, and are means over the pixels that count, in float32:

    - ``bce``: cross-entropy, binary for two classes. Its gradient at a pixel is probability minus truth: near 1 for a
      confident miss.
    - ``focal``: cross-entropy times ``(1 - p)**gamma``, p the probability of the true class (Lin et al. 2017).
    - ``dice``: 1 less twice the common share (Milletari et al. 2016) of each image: of class 1 where there are two,
      else the mean over the classes that the image has.
    - ``tversky``: as ``dice``, false positives weighed by ``tversky_alpha`` and misses by ``tversky_beta`` (Salehi
      et al. 2017); both 0.5 is Dice.

    Dice and Tversky are taken of each image and weighed by its pixels that count. So the loss of a batch is the sum of
    those of its images, and micro-batches and processes add up; taken over a whole batch they would not.

    A pixel whose label is 255 takes no part, whatever the model says there. A batch without any has sum and weight 0.

    Args:
        bce_weight: of ``bce``.
        focal_weight: of ``focal``.
        dice_weight: of ``dice``.
        tversky_weight: of ``tversky``.
        alpha: weight of class 1 in ``bce`` and ``focal`` (class 0 has 1 - alpha), or one a class; None weighs all
            alike. As text ("auto") it must have been replaced by numbers before.
        gamma: of ``focal``.
        tversky_alpha: weight of false positives.
        tversky_beta: weight of misses.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``loss=segmentation``, and of ``focal bce dice tversky combined``, other weights of the same."""

        bce_weight: float = option(0.0, "weight of the cross-entropy", minimum=0)
        focal_weight: float = option(1.0, "weight of the focal loss", minimum=0)
        dice_weight: float = option(0.0, "weight of the Dice loss of each image", minimum=0)
        tversky_weight: float = option(0.0, "weight of the Tversky loss of each image", minimum=0)
        alpha: float | list[float] | Literal["auto"] | None = option(
            None,
            "weight of class 1 (class 0 has the rest), or a list; auto weighs rare classes; null all alike",
            minimum=0,
        )
        gamma: float = option(2.0, "focus of the focal loss on what is predicted badly; 0 is cross-entropy", minimum=0)
        tversky_alpha: float = option(0.3, "weight of false positives in the Tversky loss", minimum=0)
        tversky_beta: float = option(0.7, "weight of misses in the Tversky loss", minimum=0)

    def __init__(
        self,
        bce_weight: float = 0.0,
        focal_weight: float = 1.0,
        dice_weight: float = 0.0,
        tversky_weight: float = 0.0,
        alpha: float | Sequence[float] | str | None = None,
        gamma: float = 2.0,
        tversky_alpha: float = 0.3,
        tversky_beta: float = 0.7,
    ) -> None:
        super().__init__()
        given = {"bce": bce_weight, "focal": focal_weight, "dice": dice_weight, "tversky": tversky_weight}
        self.weights = {name: weight for name, weight in given.items() if weight > 0}
        if not self.weights:
            raise SpectrainError("every part of the loss weighs 0", where="loss", fix="give one a weight above 0")
        if isinstance(alpha, str):
            raise SpectrainError(f"alpha must be numbers here, not {alpha!r}", where="loss.alpha")
        self.alpha = [1 - alpha, alpha] if isinstance(alpha, int | float) else None if alpha is None else list(alpha)
        if self.alpha is not None and min(self.alpha) < 0:
            raise SpectrainError("a class cannot weigh less than 0", where="loss.alpha", fix="give numbers from 0 to 1")
        self.gamma, self.tversky_alpha, self.tversky_beta = gamma, tversky_alpha, tversky_beta
        self._on: dict[torch.device, Tensor] = {}

    @classmethod
    def from_config(cls, config: Config) -> SegmentationLoss:
        """Return the loss."""
        return cls(**vars(config))

    def forward(self, found: Segmented) -> Tensor:
        """Return the mean loss, a float32 scalar; 0 where no pixel counts."""
        return self.sums(found)[0].mean

    def sums(self, found: Segmented) -> tuple[LossSum, dict[str, LossSum]]:
        """Return the loss and its parts as sums over the pixels that count."""
        counted = found.counted
        logits = fill_invalid(found.logits.float(), counted[:, None])
        pixels = counted.sum(dtype=torch.float32)
        truth = fill_invalid(found.y.long(), counted, 0)
        parts: dict[str, Tensor] = {}
        if "bce" in self.weights or "focal" in self.weights:
            parts |= self._of_pixels(logits, truth, counted)
        if "dice" in self.weights:
            parts["dice"] = _overlap(logits, truth, counted, 0.5, 0.5)
        if "tversky" in self.weights:
            parts["tversky"] = _overlap(logits, truth, counted, self.tversky_alpha, self.tversky_beta)
        total = torch.stack([self.weights[name] * value for name, value in parts.items()]).sum()
        if len(parts) == 1:
            return LossSum(total, pixels), {}
        return LossSum(total, pixels), {
            f"loss_{name}": LossSum(value.detach(), pixels) for name, value in parts.items()
        }

    def _of_pixels(self, logits: Tensor, truth: Tensor, counted: Tensor) -> dict[str, Tensor]:
        """Return the summed cross-entropy and focal loss."""
        if logits.shape[1] == 1:
            margin = torch.where(truth == 1, logits[:, 0], -logits[:, 0])  # of the true class over the other
            log_p = F.logsigmoid(margin)
            log_rest: Tensor | None = F.logsigmoid(-margin)
        else:
            log_all = logits.log_softmax(1)
            log_p = log_all.gather(1, truth[:, None])[:, 0]
            log_rest = None if self.gamma == 0 else _log_of_rest(log_all, truth)
        weight = counted.to(torch.float32)
        if self.alpha is not None:
            if len(self.alpha) != max(2, logits.shape[1]):
                raise SpectrainError(
                    f"{len(self.alpha)} weights for {max(2, logits.shape[1])} classes",
                    where="loss.alpha",
                    fix="give one a class",
                )
            weight = weight * self._alpha_on(logits.device)[truth]
        parts = {}
        if "bce" in self.weights:
            parts["bce"] = -(weight * log_p).sum()
        if "focal" in self.weights:
            # as exp(gamma log(1 - p)): for gamma below 1 the slope of (1 - p)**gamma is infinite at p = 1, this one not
            focus = 1.0 if self.gamma == 0 or log_rest is None else (self.gamma * log_rest).exp()
            parts["focal"] = -(weight * focus * log_p).sum()
        return parts

    def _alpha_on(self, device: torch.device) -> Tensor:
        """Return the weights of the classes on a device, brought there once."""
        if device not in self._on:
            self._on[device] = torch.tensor(self.alpha, dtype=torch.float32, device=device)
        return self._on[device]


def _log_of_rest(log_all: Tensor, truth: Tensor) -> Tensor:
    """Return log(1 - p) of the true class [B,H,W] from log p of all [B,K,H,W], without cancellation near p = 1."""
    others = log_all.scatter(1, truth[:, None], -torch.inf)
    return others.logsumexp(1)


def _overlap(logits: Tensor, truth: Tensor, counted: Tensor, false_positives: float, misses: float) -> Tensor:
    """Return the sum over images of 1 - Tversky index, each times its pixels that count."""
    if logits.shape[1] == 1:
        p, t = logits.sigmoid(), (truth == 1)[:, None]
    else:
        p, t = logits.softmax(1), F.one_hot(truth, logits.shape[1]).movedim(-1, 1).bool()
    there = counted[:, None]
    t = t & there
    p = fill_invalid(p, there)
    both = (p * t).sum((2, 3))
    wrong, missed = p.sum((2, 3)) - both, t.sum((2, 3)) - both
    index = (both + SMOOTH) / (both + false_positives * wrong + misses * missed + SMOOTH)
    lost = 1 - index
    if logits.shape[1] > 1:
        present = t.flatten(2).any(2)
        lost = fill_invalid(lost, present).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp(min=1)
    return (lost[:, 0] * counted.sum((1, 2))).sum()
