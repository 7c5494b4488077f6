"""Published weights of spectral masked autoencoders: SpectralEye's, and SpectralGPT's of the same form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...core.bands import Band, Bands
from ...core.errors import ConfigError, DataError
from .imported import Imported, chosen_bands, configuration, epoch_of, in_float32, plain_names, write_imported
from .published_file import read_published

WAVELENGTHS = (*range(450, 740, 10), 850)
"""Of SpectralEye's 30 bands, in nm."""


@dataclass(frozen=True)
class Sizes:
    """What the shapes of the weights say."""

    dim: int
    depth: int
    decoder_dim: int
    decoder_depth: int
    mlp_ratio: float
    patch: int
    group_size: int
    groups: int
    side: int
    class_token: bool

    @property
    def channels(self) -> int:
        """Bands of an image."""
        return self.groups * self.group_size

    @property
    def image(self) -> int:
        """Side of an image in px."""
        return self.side * self.patch


# (encoder's dim and depth, decoder's dim and depth): the variant and its heads
KNOWN: dict[tuple[int, int, int, int], tuple[str, int, int]] = {
    (128, 4, 64, 2): ("mae_tiny_published", 4, 2),
    (256, 8, 128, 4): ("mae_small_published", 8, 4),
    (768, 12, 256, 8): ("mae_base_published", 12, 8),
    (512, 16, 256, 8): ("mae_medium_published", 16, 8),
    (960, 12, 256, 8): ("mae_large_published", 12, 8),
    (1200, 12, 320, 8): ("mae_huge_published", 12, 8),
    (768, 12, 512, 4): ("mae_spectral", 12, 16),  # SpectralGPT: base, large, huge
    (1024, 24, 512, 4): ("mae_spectral", 16, 16),
    (1280, 32, 512, 4): ("mae_spectral", 16, 16),
}

# published name, without `encoder.` or `decoder.`: ours, and whether ours has no leading axis of 1
_NAMES: dict[str, tuple[str, bool]] = {
    "encoder_pos_embed_spatial": ("encoder.place.spatial", True),
    "encoder_pos_embed_wavelength": ("encoder.place.spectral", True),
    "norm.weight": ("encoder.norm.weight", False),
    "norm.bias": ("encoder.norm.bias", False),
    "decoder_embed.weight": ("decoder.embed.weight", False),
    "decoder_embed.bias": ("decoder.embed.bias", False),
    "decoder_pos_embed_spatial": ("decoder.place.spatial", True),
    "decoder_pos_embed_temporal": ("decoder.place.spectral", True),
    "decoder_norm.weight": ("decoder.norm.weight", False),
    "decoder_norm.bias": ("decoder.norm.bias", False),
    "decoder_pred.weight": ("decoder.head.weight", False),
    "decoder_pred.bias": ("decoder.head.bias", False),
    "patch_embed.proj.bias": ("encoder.embed.bias", False),
}
# as SpectralGPT calls what SpectralEye renamed
_RENAMED = {
    "pos_embed_spatial": "encoder_pos_embed_spatial",
    "pos_embed_temporal": "encoder_pos_embed_wavelength",
    "cls_token": "encoder_cls_token",
    "pos_embed_class": "encoder_pos_embed_class",
}
_BLOCK = re.compile(r"(decoder_)?blocks\.(\d+)\.(.+)")
_QUERY = re.compile(r"attn\.([qkv])\.(weight|bias)")


def import_spectraleye(
    path: Path, output: Path, names: Sequence[str], heads: tuple[int, int] | None = None
) -> Imported:
    """Import a spectral masked autoencoder with learned positions.

    Shapes tell all sizes but the number of heads. Images are taken to be square. The configuration is that of the
    published training: its transform of the images and its loss.
    """
    record = read_published(path)
    inside = next((record[key] for key in ("model", "model_state_dict", "state_dict") if key in record), record)
    if not isinstance(inside, Mapping):
        raise DataError("the file holds no weights", where=str(path), fix="give the .pth file that was published")
    published = published_names(inside, path)
    sizes = sizes_of(published, path)
    variant, *known = KNOWN.get((sizes.dim, sizes.depth, sizes.decoder_dim, sizes.decoder_depth), ("mae_spectral",))
    if heads is None and not known:
        raise DataError(
            f"no published model has an encoder of {sizes.depth} blocks of {sizes.dim} and a decoder of "
            f"{sizes.decoder_depth} of {sizes.decoder_dim}, and weights do not tell the number of heads",
            where=str(path),
            fix="give it: --heads ENCODER DECODER",
        )
    chosen_heads = heads or (known[0], known[1])
    of_eye = sizes.channels == len(WAVELENGTHS)
    otherwise = Bands.unnamed(sizes.channels)
    if of_eye:
        otherwise = Bands(Band(f"{centre} nm", wavelength=float(centre)) for centre in WAVELENGTHS)
    bands = chosen_bands(names, sizes.channels, otherwise)
    notes = [
        f"{sizes.image} x {sizes.image} px, {sizes.groups} groups of {sizes.group_size} bands, tokens of "
        f"{sizes.patch} px; {chosen_heads[0]} heads in the encoder, {chosen_heads[1]} in the decoder"
    ]
    if of_eye:
        notes.append("images are to be reflectances: dataset.transform=log10_reflectance, as published")
    try:
        cfg = configuration("mae", {}, _overrides(variant, sizes, chosen_heads, of_eye))
        write_imported(
            output,
            cfg,
            recipe="mae",
            bands=bands,
            image_size=(sizes.image, sizes.image),
            weights=network_weights(published),
            source=path,
            system="spectraleye",
            epoch=epoch_of(record),
        )
    except ConfigError as error:
        raise DataError(
            f"no such model can be built: {error.problems[0].what}", where=str(path), fix=error.problems[0].fix
        ) from error
    name = variant if variant != "mae_spectral" else f"masked autoencoder of {sizes.depth} blocks of {sizes.dim}"
    options = [one for one in _model_options(sizes, chosen_heads) if variant == "mae_spectral" or "patch_size" in one]
    options = [f"model={variant}", *options, f"model.init_from={output}"]
    return Imported(output, name, bands, None, epoch_of(record), tuple(notes), "mae", tuple(options))


def network_weights(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return published weights (of `published_names`) by the names and in the shapes of `MAESpectral`."""
    ours: dict[str, Tensor] = {}
    for name, value in published.items():
        if name in _NAMES:
            to, leading = _NAMES[name]
            ours[to] = value.squeeze(0) if leading else value
        elif name == "mask_token":
            ours["decoder.mask_token"] = value.flatten()
        elif name == "patch_embed.proj.weight":  # [d,1,u,p,p]; our tokens are in the order band, row, column
            ours["encoder.embed.weight"] = value.flatten(1)
        elif name == "encoder_cls_token":
            place = published.get("encoder_pos_embed_class", torch.zeros_like(value))
            ours["encoder.cls"] = torch.cat((value.flatten(0, 1), place.flatten(0, 1)))
        elif match := _BLOCK.fullmatch(name):
            block = f"{'decoder' if match[1] else 'encoder'}.blocks.{match[2]}."
            if query := _QUERY.fullmatch(match[3]):
                if query[1] == "q":
                    three = [published.get(name.replace(".attn.q.", f".attn.{one}.")) for one in "qkv"]
                    ours[f"{block}attn.qkv.{query[2]}"] = torch.cat([one for one in three if one is not None])
            else:
                ours[block + match[3]] = value
        elif name != "encoder_pos_embed_class":
            ours[name] = value
    return ours


def published_names(weights: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """Return the weights by SpectralEye's names without ``module.``, ``encoder.`` and ``decoder.``, in float32."""
    found = {}
    for name, value in plain_names(weights).items():
        name = re.sub(r"^(encoder|decoder)\.", "", name)
        found[_RENAMED.get(name, name)] = value
    lacking = [name for name in ("patch_embed.proj.weight", *_NAMES, "mask_token") if name not in found]
    strange = [name for name, value in found.items() if not isinstance(value, Tensor)]
    if lacking or strange:
        raise DataError(
            "these are not the weights of a spectral masked autoencoder with learned positions: "
            + (f"{lacking[0]} is missing" if lacking else f"{strange[0]} is no tensor"),
            where=str(path),
            fix="give the state dict of the whole model, as SpectralEye or SpectralGPT writes it",
        )
    return in_float32(found)


def sizes_of(published: Mapping[str, Tensor], path: Path) -> Sizes:
    """Return what the shapes say.

    Raises:
        DataError: they are not of such a model, or of images that are not square.
    """

    def wrong(what: str) -> DataError:
        return DataError(what, where=str(path), fix="give the state dict of the whole model, of square images")

    stem, spatial = published["patch_embed.proj.weight"], published["encoder_pos_embed_spatial"]
    spectral, decoder = published["encoder_pos_embed_wavelength"], published["decoder_embed.weight"]
    hidden = published.get("blocks.0.mlp.fc1.weight", torch.empty(0))
    if stem.dim() != 5 or stem.shape[1] != 1 or stem.shape[3] != stem.shape[4]:
        raise wrong(f"patch_embed.proj.weight is {list(stem.shape)}, not [dim, 1, bands, side, side]")
    if spatial.dim() != 3 or spectral.dim() != 3 or decoder.dim() != 2 or hidden.dim() != 2:
        raise wrong("positions, decoder_embed and blocks.0.mlp.fc1 are not of the shapes that they should be")
    side = math.isqrt(spatial.shape[1])
    if side * side != spatial.shape[1]:
        raise wrong(f"{spatial.shape[1]} places are of no square image")
    blocks = {(bool(match[1]), match[2]) for name in published if (match := _BLOCK.fullmatch(name))}
    return Sizes(
        dim=stem.shape[0],
        depth=sum(not of_decoder for of_decoder, _ in blocks),
        decoder_dim=decoder.shape[0],
        decoder_depth=sum(of_decoder for of_decoder, _ in blocks),
        mlp_ratio=hidden.shape[0] / stem.shape[0],
        patch=stem.shape[3],
        group_size=stem.shape[2],
        groups=spectral.shape[1],
        side=side,
        class_token="encoder_cls_token" in published,
    )


def _model_options(sizes: Sizes, heads: tuple[int, int]) -> list[str]:
    options: dict[str, Any] = {
        "embed_dim": sizes.dim,
        "encoder_depth": sizes.depth,
        "encoder_num_heads": heads[0],
        "decoder_embed_dim": sizes.decoder_dim,
        "decoder_depth": sizes.decoder_depth,
        "decoder_num_heads": heads[1],
        "mlp_ratio": sizes.mlp_ratio,
        "patch_size": f"[{sizes.patch},{sizes.group_size}]",
        "positions": "learned",
        "standardise": "none",
        "class_token": str(sizes.class_token).lower(),
    }
    return [f"model.{key}={value}" for key, value in options.items()]


def _overrides(variant: str, sizes: Sizes, heads: tuple[int, int], of_eye: bool) -> list[str]:
    loss = {
        "sam_weight": 0,
        "variance_weight": 0,
        "range_penalty_weight": 0,
        "spectral_sum_weight": 1,
        "spectral_sum_normalised": "false",
    }
    return [
        f"model={variant}",
        *_model_options(sizes, heads),
        *(f"loss.{key}={value}" for key, value in loss.items()),
        *(["dataset.transform=log10_reflectance"] if of_eye else []),
    ]
