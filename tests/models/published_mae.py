"""The published spectral masked autoencoder (SpectralGPT, SpectralEye), written anew from its description.

Every token is embedded by a 3-D convolution and most are then thrown away; queries, keys and values have a product
each; the scores of attention are stored; all tokens are predicted. It is what ours is compared with, in what it
computes and in how long it takes.
"""

from __future__ import annotations

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x):
        batch, count, dim = x.shape
        q, k, v = (
            layer(x).reshape(batch, count, self.heads, dim // self.heads).permute(0, 2, 1, 3)
            for layer in (self.q, self.k, self.v)
        )
        scores = (q @ k.transpose(-2, -1)) * (dim // self.heads) ** -0.5
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, count, dim))


class Mlp(nn.Module):
    def __init__(self, dim, ratio):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, int(dim * ratio)), nn.Linear(int(dim * ratio), dim)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads, ratio):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn, self.mlp = Attention(dim, heads), Mlp(dim, ratio)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PublishedMae(nn.Module):
    def __init__(
        self,
        size=500,
        bands=30,
        patch=25,
        group=5,
        dim=192,
        depth=12,
        heads=3,
        decoder_dim=96,
        decoder_depth=8,
        decoder_heads=3,
        ratio=4.0,
        class_token=False,
    ):
        super().__init__()
        self.patch, self.group, self.t, self.side = patch, group, bands // group, size // patch
        places = self.side**2
        self.proj = nn.Conv3d(1, dim, (group, patch, patch), (group, patch, patch))
        self.spatial = nn.Parameter(torch.randn(1, places, dim) * 0.02)
        self.wavelength = nn.Parameter(torch.randn(1, self.t, dim) * 0.02)
        if class_token:
            self.cls_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
            self.pos_class = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.class_token = class_token
        self.blocks = nn.ModuleList(Block(dim, heads, ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.decoder_embed = nn.Linear(dim, decoder_dim)
        self.mask_token = nn.Parameter(torch.randn(1, 1, decoder_dim) * 0.02)
        self.decoder_spatial = nn.Parameter(torch.randn(1, places, decoder_dim) * 0.02)
        self.decoder_temporal = nn.Parameter(torch.randn(1, self.t, decoder_dim) * 0.02)
        self.decoder_blocks = nn.ModuleList(Block(decoder_dim, decoder_heads, ratio) for _ in range(decoder_depth))
        self.decoder_norm = nn.LayerNorm(decoder_dim)
        self.decoder_pred = nn.Linear(decoder_dim, group * patch * patch)

    def positions(self, spatial, spectral):
        return spatial.repeat(1, self.t, 1) + spectral.repeat_interleave(self.side**2, dim=1)

    def patchify(self, image):
        batch = image.shape[0]
        x = image.reshape(batch, self.t, self.group, self.side, self.patch, self.side, self.patch)
        return torch.einsum("ntuhpwq->nthwupq", x).reshape(batch, -1, self.group * self.patch**2)

    def forward(self, image, noise, keep):
        """Return predictions [B,L,V] and the mask [B,L], 1 where hidden."""
        x = self.proj(image[:, None]).flatten(3).permute(0, 2, 3, 1).flatten(1, 2)
        x = x + self.positions(self.spatial, self.wavelength)
        order = noise.argsort(1)
        restore = order.argsort(1)
        x = x.gather(1, order[:, :keep, None].expand(-1, -1, x.shape[2]))
        mask = torch.ones_like(noise)
        mask[:, :keep] = 0
        mask = mask.gather(1, restore)
        if self.class_token:
            x = torch.cat(((self.cls_token + self.pos_class).expand(len(x), -1, -1), x), 1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        x = self.decoder_embed(x[:, 1:] if self.class_token else x)
        x = torch.cat((x, self.mask_token.expand(x.shape[0], noise.shape[1] - keep, -1)), 1)
        x = x.gather(1, restore[..., None].expand(-1, -1, x.shape[2]))
        x = x + self.positions(self.decoder_spatial, self.decoder_temporal)
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x)), mask

    def loss(self, image, prediction, mask):
        """The published sum: squared error of hidden tokens, and of the sums over band groups of all tokens."""
        target = self.patchify(image)
        of_token = ((prediction - target) ** 2).mean(-1)
        first = (of_token * mask).sum() / mask.sum()
        shape = (image.shape[0], self.t, self.side**2, -1)
        second = ((prediction.view(shape).sum(1) - target.view(shape).sum(1)) ** 2).mean()
        return first + second

    def unpatchify(self, tokens):
        x = tokens.reshape(tokens.shape[0], self.t, self.side, self.side, self.group, self.patch, self.patch)
        x = torch.einsum("nthwupq->ntuhpwq", x)
        return x.reshape(tokens.shape[0], self.t * self.group, self.side * self.patch, self.side * self.patch)


NAMES = {
    "proj": "encoder.patch_embed.proj",
    "spatial": "encoder.encoder_pos_embed_spatial",
    "wavelength": "encoder.encoder_pos_embed_wavelength",
    "cls_token": "encoder.encoder_cls_token",
    "pos_class": "encoder.encoder_pos_embed_class",
    "blocks": "encoder.blocks",
    "norm": "encoder.norm",
    "decoder_spatial": "decoder.decoder_pos_embed_spatial",
    "decoder_temporal": "decoder.decoder_pos_embed_temporal",
}


def published_state(mae, prefix=""):
    """The state dict under the names that the published files have."""
    found = {}
    for name, value in mae.state_dict().items():
        part, dot, rest = name.partition(".")
        found[prefix + NAMES.get(part, f"decoder.{part}") + dot + rest] = value.clone()
    return found
