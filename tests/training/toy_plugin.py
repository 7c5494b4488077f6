"""The toy tasks and their network as a plugin, so that they go through configuration and loop like any other part."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tasks"))
from toy_tasks import TOY_TASKS, ToyNet

from spectrain.core.registry import register

for name, task in TOY_TASKS.items():
    register("task", f"toy_{name}")(task)


class Embedded(nn.Module):
    """Unit vectors [B,D] from a network's feature map."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        maps = self.features(x)[0][1]
        return F.normalize(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1).float(), dim=1)

    def features(self, x):
        return self.network.features(x)


@register("model", "toy_net")
class ToyPart(ToyNet):
    @dataclass(frozen=True)
    class Config(ToyNet.Config):
        batch_norm: bool = True
        embed: bool = False

    @classmethod
    def from_config(cls, config, *, bands, image_size):
        network = ToyNet(config.in_channels(bands), config.outputs, config.width)
        if not config.batch_norm:
            network.norm = nn.Identity()
        if config.embed:
            network.head = nn.Identity()
            return Embedded(network)
        return network
