"""Has the encoder collapsed? Alignment, uniformity, effective rank and spread of embeddings, from sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from ..config.option import option
from ..core.batch import Batch
from ..core.fill import fill_invalid
from .base import Summed, read_sums, widest

_SHARPNESS = 2.0  # of the uniformity kernel; the value of its authors


class EmbeddingMetric:
    """The part called "embedding": what a loss that depends on the batch size does not tell.

    It reports four numbers of the model's output [V*B,D], which should be unit vectors:

    - ``alignment``: mean squared distance between views of a sample; 0 is perfect (Wang and Isola, ICML 2020).
    - ``uniformity``: log of the mean of exp(-2 d²) over pairs of different samples in the same batch and view; 0 where
      all lie on one point, about -4 where they fill the sphere in many dimensions (the same paper).
    - ``effective_rank``: exponential of the entropy of the singular values of the embeddings: 1 where they lie on one
      line, at most D (Roy and Vetterli 2007; RankMe: Garrido et al., ICML 2023). Not centred, as in RankMe.
    - ``embedding_std``: standard deviation over samples, averaged over dimensions: 0 on one point, 1/sqrt(D) where they
      fill the sphere.

    What cannot be counted is NaN: alignment of one view, uniformity of batches of one, all of them where an embedding
    is not finite.

    Args:
        probe: metadata columns, or "label", that are to be predicted from the encoder's features at each validation
            (see `training.probe`).
        probe_images: most images of each split that a probe looks at, spread evenly.
        neighbours: how many nearest training images predict.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``metric=embedding``."""

        probe: list[str] = option([], "metadata columns, or label, to predict from the encoder's features")
        probe_images: int = option(4096, "most images of each split that a probe looks at", minimum=2)
        neighbours: int = option(20, "nearest training images by which a probe predicts", minimum=1)

    def __init__(self, probe: Sequence[str] = (), probe_images: int = 4096, neighbours: int = 20) -> None:
        self.probe, self.probe_images, self.neighbours = list(probe), probe_images, neighbours

    @classmethod
    def from_config(cls, config: Config) -> EmbeddingMetric:
        """Return the part."""
        return cls(config.probe, config.probe_images, config.neighbours)

    def start(self) -> EmbeddingSums:
        """Return fresh sums for one evaluation."""
        return EmbeddingSums()


class EmbeddingSums(Summed):
    """Sums over the rows of an evaluation: two pair sums, and the first two moments."""

    def update(self, output: Tensor, batch: Batch) -> None:
        """Add embeddings [V*B,D]; rows of padding do not count, whatever they hold."""
        real = batch.real
        z = fill_invalid(output.detach().to(widest(output.device)), real[:, None])
        by_view, counts = z.reshape(batch.views, -1, z.shape[1]), real.to(z.dtype).reshape(batch.views, -1)
        new = {
            "aligned": z.new_zeros(()),
            "aligned_pairs": z.new_zeros(()),
            "repelled": z.new_zeros(()),
            "repelled_pairs": z.new_zeros(()),
            "count": counts.sum(),
            "first_moment": z.sum(dim=0),
            "second_moment": z.T @ z,
        }
        for one, other in combinations(range(batch.views), 2):
            both = counts[one] * counts[other]
            new["aligned"] += ((by_view[one] - by_view[other]).square().sum(dim=1) * both).sum()
            new["aligned_pairs"] += both.sum()
        for rows, weight in zip(by_view, counts, strict=True):
            pairs = torch.outer(weight, weight).triu(diagonal=1)
            new["repelled"] += (_kernel(rows) * pairs).sum()
            new["repelled_pairs"] += pairs.sum()
        self.add_sums(new)

    def compute(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return the four metrics."""
        host = read_sums(sums)
        if not host:
            return dict.fromkeys(("alignment", "uniformity", "effective_rank", "embedding_std"), math.nan)
        mean = host["first_moment"] / host["count"]
        variance = host["second_moment"].diagonal() / host["count"] - mean.square()
        return {
            "alignment": float(host["aligned"] / host["aligned_pairs"]),
            "uniformity": float((host["repelled"] / host["repelled_pairs"]).log()),
            "effective_rank": _effective_rank(host["second_moment"]),
            "embedding_std": float(variance.clamp(min=0).sqrt().mean()),
        }


def _kernel(rows: Tensor) -> Tensor:
    """Return exp(-2 d²) between all rows [B,D], as [B,B]."""
    squares = rows.square().sum(dim=1)
    distances = (squares[:, None] + squares[None, :] - 2 * rows @ rows.T).clamp(min=0)
    return (-_SHARPNESS * distances).exp()


def _effective_rank(second_moment: Tensor) -> float:
    """Return exp(entropy) of the singular values of Z, from Z'Z [D,D]: they are the roots of its eigenvalues."""
    if not bool(second_moment.isfinite().all()) or not bool(second_moment.any()):
        return math.nan
    share = torch.linalg.eigvalsh(second_moment).clamp(min=0).sqrt()
    share = share / share.sum()
    return float(torch.special.entr(share).sum().exp())
