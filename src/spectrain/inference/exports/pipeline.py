"""The converted checkpoint that the pipeline of DARTS reads: numbers times a factor in, logits out, nothing else."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.atomic import atomic_write
from ...core.bands import Bands
from ...core.errors import DataError, RunError
from ...models.smp import SmpNetwork
from ...training.trained.model import Trained
from ..weights.published_bands import from_pipeline
from .check import Samples
from .module import ExportedModel, transforms_of

_NONE = 1e-6
"""Of a standardised band: a summand that is less is none."""


@dataclass(frozen=True)
class Pipeline:
    """A trained model in the terms of the pipeline.

    Attributes:
        record: what the file holds.
        scale: from the pipeline's numbers to the training's values, float32 [C,1,1].
        offset: likewise, what is added.
        clips: training cut values off at the limits.
    """

    record: dict[str, Any]
    scale: Tensor
    offset: Tensor
    clips: bool

    def normalised(self, image: Tensor) -> Tensor:
        """Return what the pipeline would feed the network of images [B,C,H,W] in physical values; NaN becomes 0."""
        factors = torch.tensor(list(self.record["config"]["norm_factors"].values()))[:, None, None]
        return torch.nan_to_num((image - self.offset) / self.scale * factors, nan=0.0)


def as_pipeline(trained: Trained, classes: int, name: str) -> Pipeline:
    """Return the trained model as the pipeline can take it.

    It multiplies each band by its factor and calls the network. So a division is exact in the factor, and a
    subtraction is where it comes to nothing: ``model.standardise=limits`` with the published limits, whose lower one
    is the pipeline's 0. Any other subtraction is folded into the first layer, which is exact where that pads with
    nothing and nothing is missing (ConvNeXt); elsewhere 0 at the border is the mean for one and not for the other, and
    it is refused.

    Raises:
        DataError: the model cannot be expressed so; the message says why, and what can be done.
    """
    model, network = trained.model, trained.model.network
    where = str(trained.path)
    fix = "export it by --to onnx, torch-export or safetensors"
    if (kind := trained.cfg.task.name) != "segmentation":
        raise DataError(
            f"the pipeline takes the logits of a segmentation, and this is a model of the task {kind!r}",
            where=where,
            fix=fix,
        )
    if not isinstance(network, SmpNetwork):
        raise DataError(
            f"the pipeline builds networks of segmentation-models-pytorch, and this is a {type(network).__name__}",
            where=where,
            fix=f"{fix}; or train with model=smp",
        )
    if model.mask_channel:
        raise DataError("the pipeline has no mask, which this model takes as channels", where=where, fix=fix)
    if classes != 2:
        raise DataError(f"the pipeline knows two classes, and this model has {classes}", where=where, fix=fix)
    bands = Bands.from_json(trained.meta["bands"])
    names = transforms_of(bands, trained.cfg.dataset.transform)
    scales, offsets = zip(*(from_pipeline(band, one) for band, one in zip(bands, names, strict=True)), strict=True)
    scale, offset = torch.tensor(scales, dtype=torch.float64), torch.tensor(offsets, dtype=torch.float64)
    divisor, mean = model.std.double(), model.mean.double()
    factors, shift = scale / divisor, (offset - mean) / divisor
    state = {_theirs(key): value.detach().clone() for key, value in network.state_dict().items()}
    if bool((shift.abs() > _NONE).any()):
        key, added = _folded(trained, network, shift.float(), len(bands))
        state[_theirs(key)] += added
    options = trained.cfg.model.options
    record = {
        "config": {
            "input_combination": list(bands.names),
            "norm_factors": dict(zip(bands.names, factors.tolist(), strict=True)),
            "model": {
                "arch": options.arch,
                "encoder_name": options.encoder,
                "in_channels": len(bands),
                "classes": 1,
            },
            "time": time.strftime("%Y-%m-%d"),
            "name": name,
            "model_framework": "smp",
        },
        "statedict": state,
    }
    column = (-1, 1, 1)
    return Pipeline(record, scale.float().view(column), offset.float().view(column), model.standardise == "limits")


def _theirs(name: str) -> str:
    return f"segmentation_{name}" if name.startswith("head.") else name


def _folded(trained: Trained, network: SmpNetwork, shift: Tensor, bands: int) -> tuple[str, Tensor]:
    """Return the bias of the first layer by name, and what the shift of each band [C] adds to it.

    Raises:
        DataError: it would not be the same at the border, or where values are missing.
    """
    first: list[tuple[str, nn.Module]] = []
    image = torch.zeros(1, bands, network.multiple, network.multiple)

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
            if given and given[0] is image and not list(module.children()):
                first.append((name, module))

        return hook

    hooks = [module.register_forward_pre_hook(look(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    name, layer = first[0] if len(first) == 1 else ("", None)
    # a subclass may pad by itself
    alone = type(layer) is nn.Conv2d and layer.padding == (0, 0) and layer.groups == 1 and layer.bias is not None
    statistics = trained.meta["statistics"]
    missing = any(statistics["missing"]) or not any(statistics["count"])  # where nothing was counted, nobody knows
    if not alone or missing:
        what = "what is missing is 0" if alone else "its first layer pads images with 0"
        by_limits = trained.model.standardise == "limits"
        first_do = "give bands limits of which the lower is 0 to the pipeline" if by_limits else "give bands limits"
        raise DataError(
            "the model subtracts a number from each band, which the pipeline does not, and folded into the first layer "
            f"it is not the same: {what}, which is that number for the model, and another value for the pipeline",
            where=f"model.standardise={trained.model.standardise}",
            fix=f"{first_do}, as `spectrain prepare s2` and `planet` do, and train on with model.standardise=limits "
            "model.init_from=RUN; or export it by --to onnx, torch-export or safetensors",
        )
    weight = cast(nn.Conv2d, layer).weight.detach()
    return f"{name}.bias", (weight.sum((2, 3)) @ shift)


def write_pipeline(pipeline: Pipeline, path: Path) -> Callable[[Tensor], Tensor]:
    """Write the file, and return what the package makes of it: logits for normalised images."""
    import segmentation_models_pytorch as smp

    held = io.BytesIO()  # torch ends the process where writing to a disk fails
    torch.save(pipeline.record, held)
    atomic_write(path, held.getbuffer())
    loaded = torch.load(path, weights_only=True)
    network: nn.Module = smp.create_model(**loaded["config"]["model"], encoder_weights=None)
    network.load_state_dict(loaded["statedict"])
    network.eval()

    def run(image: Tensor) -> Tensor:
        output: Tensor = network(image)
        return output

    return run


def comparable(pipeline: Pipeline, trained: Trained, samples: Samples) -> tuple[Tensor, Tensor]:
    """Return the samples as the pipeline can be compared on, within the limits and whole, both [B,C,H',W'].

    The package takes sides that are multiples of its stride, so edges are repeated up to one. What is beyond the limits
    was cut off in training and is not by the pipeline, so the first of the two has it cut off.
    """
    step = int(cast(Any, trained.model.network).multiple)
    height, width = samples.image.shape[2:]
    whole = F.pad(samples.image, (0, -width % step, 0, -height % step), mode="replicate")
    if not pipeline.clips:
        return whole, whole
    low = trained.model.mean.view(-1, 1, 1)
    return torch.minimum(torch.maximum(whole, low), low + trained.model.std.view(-1, 1, 1)), whole


def beyond_limits(
    run: Callable[[Tensor], Tensor], pipeline: Pipeline, module: ExportedModel, whole: Tensor, cut: Tensor
) -> str | None:
    """Return what training's cutting off means for the pipeline, in words; None where it means nothing here."""
    if not pipeline.clips:
        return None
    share = float((whole != cut)[~whole.isnan()].double().mean())
    if share == 0:
        return None
    largest = float((run(pipeline.normalised(whole)).sigmoid() - module(whole).sigmoid()).abs().max())
    return (
        f"{100 * share:.3g} % of the values lie beyond the limits, where training cuts off and the pipeline does not: "
        f"probabilities differ by up to {largest:.2g} there"
    )


def place_pipeline(temporary: Path, folder: Path, name: str) -> Path:
    """Move a finished file to ``{folder}/{name}_{date}.ckpt``; with a number where there is one of the same day.

    Raises:
        RunError: the folder cannot be written.
    """
    day = time.strftime("%Y-%m-%d")
    for number in count(1):
        path = folder / (f"{name}_{day}.ckpt" if number == 1 else f"{name}_{day}_{number}.ckpt")
        try:
            path.open("xb").close()  # in one process only
        except FileExistsError:
            continue
        return temporary.replace(path)
    raise RunError("no name is left", where=str(folder))
