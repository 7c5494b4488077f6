"""Batch normalisation over all processes, on any device (torch's own synchronised one has no CPU form)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...core.distributed import sum_over_processes


class SyncBatchNorm(_BatchNorm):
    """`BatchNorm` whose statistics in training are those of the batches of all processes together.

    Sum, sum of squares and count go through one differentiable all-reduce, so outputs and gradients equal those of
    one process with the whole batch, also where processes hold different numbers of images. The running variance is
    the unbiased one, as torch's. State-dict keys are those of `nn.BatchNorm2d`.

    Input is [B,C,...]; statistics are float32 whatever the input is, float64 for float64 input.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions [B,C,...], got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised batch, in the type of the input."""
        self._check_input_dim(input)
        if not self.training:
            return super().forward(input)
        values = input if input.dtype == torch.float64 else input.to(torch.float32)
        axes = [axis for axis in range(values.dim()) if axis != 1]
        count = values.new_full((1,), values.numel() / values.shape[1])
        # Centred on the running mean first: sums of squares of raw values cancel badly where mean >> deviation.
        shape = [1, -1] + [1] * (values.dim() - 2)
        centre = values.new_zeros(values.shape[1])
        if self.running_mean is not None:
            centre = self.running_mean.detach().clone()
        centred = values - centre.view(shape)
        sums = sum_over_processes(torch.cat((centred.sum(axes), centred.square().sum(axes), count)))
        total, squares, count = sums[: self.num_features], sums[self.num_features : -1], sums[-1:]
        shift = total / count
        variance = (squares / count - shift.square()).clamp(min=0)
        if self.track_running_stats:
            self._update(shift.detach() + centre, variance.detach() * count / (count - 1).clamp(min=1))
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        result = (centred - shift.view(shape)) * scale.view(shape)
        if self.bias is not None:
            result = result + self.bias.view(shape)
        return result.to(input.dtype)

    def _update(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        """Move the running statistics as torch does: by momentum, or as a plain average where it is None."""
        if self.running_mean is None or self.running_var is None:
            return
        with torch.no_grad():
            count = self.num_batches_tracked
            if count is not None:
                count.add_(1)
            if self.momentum is None and count is not None:
                share = 1.0 / count.to(mean.dtype)
                self.running_mean += share * (mean - self.running_mean)
                self.running_var += share * (unbiased_variance - self.running_var)
            else:
                self.running_mean.lerp_(mean, self.momentum or 0.0)
                self.running_var.lerp_(unbiased_variance, self.momentum or 0.0)


def synchronised(model: nn.Module) -> nn.Module:
    """Replace each batch norm in ``model``, keeping its parameters and buffers; returns the model."""
    for name, child in model.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, SyncBatchNorm):
            norm = SyncBatchNorm(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
            norm.weight, norm.bias = child.weight, child.bias
            norm.running_mean, norm.running_var = child.running_mean, child.running_var
            norm.num_batches_tracked = child.num_batches_tracked
            norm.train(child.training)
            setattr(model, name, norm)
        else:
            synchronised(child)
    return model


def has_batch_norm(model: nn.Module) -> bool:
    """Say whether batch statistics couple the samples of a batch in this model."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())
