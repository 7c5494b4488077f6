"""Transformer blocks: attention by one fused product, so that no matrix of scores is ever stored."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attend(query: Tensor, key: Tensor, value: Tensor, keys: Tensor | None) -> Tensor:
    """Return softmax(query key' / sqrt(d)) value, [B,heads,M,d] for queries [B,heads,M,d] and keys [B,heads,N,d].

    Backward on a CPU, torch shares whole heads out to its threads. Where they do not come out even (three heads for two
    threads), the queries of each are cut in two, so that no thread waits; a sixth of the time for one image.
    """
    if not _uneven(query):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=keys)
    batch, heads, count, dim = query.shape
    halves = query.reshape(batch, heads, 2, count // 2, dim).transpose(1, 2).reshape(-1, heads, count // 2, dim)
    key, value = key.repeat_interleave(2, 0), value.repeat_interleave(2, 0)
    keys = None if keys is None else keys.repeat_interleave(2, 0)
    y = F.scaled_dot_product_attention(halves, key, value, attn_mask=keys)
    return y.reshape(batch, 2, heads, count // 2, dim).transpose(1, 2).reshape(batch, heads, count, dim)


def _uneven(query: Tensor) -> bool:
    """Say whether the heads of a batch would leave a thread without work in backward."""
    if torch.compiler.is_compiling() or query.device.type != "cpu" or not query.requires_grad or query.shape[2] % 2:
        return False
    heads, threads = query.shape[0] * query.shape[1], torch.get_num_threads()
    return heads % threads > 0 and heads < 4 * threads


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to each other (Vaswani et al. 2017), with query, key and value from one product.

    Args:
        dim: length of a token.
        heads: number of heads; ``dim`` is a multiple of it.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, keys: Tensor | None, first: int = 0) -> Tensor:
        """Return [B,N-first,dim] for the tokens from ``first`` on.

        ``keys``, bool [B,1,1,N], is False for tokens that nobody may look at; None for no such.
        """
        batch, count, dim = x.shape
        query, key, value = self.qkv(x).view(batch, count, 3, self.heads, dim // self.heads).unbind(2)
        y = attend(query[:, first:].transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), keys)
        out: Tensor = self.proj(y.transpose(1, 2).reshape(batch, count - first, dim))
        return out


class CrossAttention(nn.Module):
    """Multi-head attention of queries to other tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor, keys: Tensor | None) -> Tensor:
        """Return [B,M,dim] for queries [B,M,dim] and context [B,N,dim]; ``keys`` as in `SelfAttention`."""
        batch, count, dim = x.shape
        query = self.q(x).view(batch, count, self.heads, -1)
        key, value = self.kv(context).view(batch, context.shape[1], 2, self.heads, dim // self.heads).unbind(2)
        y = attend(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), keys)
        out: Tensor = self.proj(y.transpose(1, 2).reshape(batch, count, dim))
        return out


class Mlp(nn.Module):
    """Two layers with a GELU between."""

    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, int(dim * ratio))
        self.fc2 = nn.Linear(int(dim * ratio), dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., dim]."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Attention and MLP, each on normalised tokens and added to what came in (pre-norm)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, mlp_ratio)

    def forward(self, x: Tensor, keys: Tensor | None, first: int = 0) -> Tensor:
        """Return [B,N-first,dim]: only the tokens from ``first`` on, which look at all."""
        x = x[:, first:] + self.attn(self.norm1(x), keys, first)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class CrossBlock(nn.Module):
    """As `Block`, but queries look at the context and never at each other (CrossMAE, Fu et al. 2024)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = CrossAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, mlp_ratio)

    def forward(self, x: Tensor, context: Tensor, keys: Tensor | None) -> Tensor:
        """Return [B,M,dim]."""
        x = x + self.attn(self.norm1(x), context, keys)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def key_mask(seen: Tensor | None) -> Tensor | None:
    """Return bool [B,N] as attention takes it; None stays None.

    Where there is nothing to look at, everything is looked at: the result means nothing, but has to be finite.
    """
    if seen is None:
        return None
    return (seen | ~seen.any(dim=1, keepdim=True))[:, None, None, :]


def init_weights(module: nn.Module) -> None:
    """Draw linear layers uniformly after Glorot and Bengio (2010), biases 0, as MAE does (He et al. 2022)."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
