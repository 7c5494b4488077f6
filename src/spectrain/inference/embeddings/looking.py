"""Shows embeddings to people: the images nearest to one, and a page to wander about in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ...config import Config
from ...core.batch import RawBatch
from ...core.fill import fill_invalid
from ...core.targets import NoTarget
from ...data.patches import Patches
from ...data.values import Values
from .file import PCA, UMAP, facts_of, opened
from .neighbours import nearest

THUMBNAIL = 64
"""Longest side of an image on the page, in px."""
NEIGHBOURS = 12
"""Nearest images that the page knows of each."""
_AT_ONCE = 256


def write_query(path: Path, patches: Patches, cfg: Config, query: int, top: int) -> Path:
    """Draw an image and its nearest ones by the cosine of their embeddings, beside the file of embeddings.

    Args:
        path: file of embeddings.
        patches: the split that is searched.
        cfg: of the training; how values become physical.
        query: number of the image in ``patches``.
        top: how many to draw.

    Returns:
        The picture, ``NAME_nearest_SPLIT_NUMBER.png``.
    """
    from ...plots.neighbours import draw_neighbours

    with opened(path) as file:
        rows, cosines = nearest(file[patches.split][()], np.array([query]), top)
    found = rows[0][rows[0] >= 0]
    images, valid = _physical(patches, cfg, np.concatenate([[query], found]))
    ids = np.array(patches.ids())
    figure = draw_neighbours(
        images[0],
        valid[0],
        images[1:],
        valid[1:],
        cosines[0][: len(found)].tolist(),
        titles=[f"{ids[query]}", *(str(name) for name in ids[found])],
        bands=patches.bands,
    )
    picture = path.with_name(f"{path.stem}_nearest_{patches.split}_{query}.png")
    figure.savefig(picture, dpi=150)
    return picture


def write_explore_page(path: Path, chosen: list[Patches], cfg: Config, most: int) -> Path:
    """Write the page that explores a file of embeddings, beside it.

    Args:
        path: file of embeddings, with principal components.
        chosen: the splits that it holds.
        cfg: of the training.
        most: how many images the page may hold, spread evenly over all.
    """
    import pandas as pd

    from ..explore import write_explore

    total = sum(len(patches) for patches in chosen)
    picked = np.arange(min(total, most), dtype=np.int64) * total // min(total, most)
    parts: list[tuple[Patches, NDArray[np.int64]]] = []
    start = 0
    for patches in chosen:
        inside = picked[(picked >= start) & (picked < start + len(patches))] - start
        parts.append((patches, inside))
        start += len(patches)
    with opened(path) as file:
        rows = np.concatenate([file[patches.split][inside] for patches, inside in parts])
        positions = {}
        for name, suffix in (("UMAP", UMAP), ("PCA", PCA)):
            if parts[0][0].split + suffix in file:
                found = [file[patches.split + suffix][inside][:, :2] for patches, inside in parts]
                positions[name] = np.concatenate(found)
    near, cosines = nearest(rows, np.arange(len(rows)), NEIGHBOURS)
    tables = [patches.metadata().iloc[inside].assign(split=patches.split) for patches, inside in parts]
    thumbnails = np.concatenate([_thumbnails(patches, cfg, inside) for patches, inside in parts])
    facts = facts_of(path)
    shown = {
        "run": facts["run"],
        "data": facts["data"],
        "embeddings": f"{facts['what']}, {rows.shape[1]} dimensions",
        "images": f"{len(rows)} of {total}" if len(rows) < total else f"{total}",
    }
    page = path.with_suffix(".html")
    write_explore(
        page,
        title=f"Embeddings of {facts['data']}",
        positions=positions,
        neighbours=near,
        cosines=cosines,
        thumbnails=thumbnails,
        metadata=pd.concat(tables, ignore_index=True),
        facts=shown,
    )
    return page


def _physical(patches: Patches, cfg: Config, index: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return images [B,C,H,W] in the values that the training saw, and where they are valid."""
    rows = patches.read(index)
    mask = None if rows.mask is None else torch.from_numpy(rows.mask)
    raw = RawBatch(torch.from_numpy(rows.image), mask, NoTarget(), torch.from_numpy(index))
    batch = Values(patches.bands, cfg.dataset.transform)(raw)
    return batch.image.numpy(), batch.valid.numpy()


def _thumbnails(patches: Patches, cfg: Config, index: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return small colour images [B,h,w,3], each stretched by itself: what is to be seen is structure."""
    from ...plots.images import to_rgb

    _, _, height, width = patches.shape
    shrink = min(1.0, THUMBNAIL / max(height, width))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    found = np.zeros((len(index), *size, 3), np.uint8)
    for start in range(0, len(index), _AT_ONCE):
        images, valid = _physical(patches, cfg, index[start : start + _AT_ONCE])
        if shrink < 1:
            images, valid = _shrunk(torch.from_numpy(images), torch.from_numpy(valid), size)
        for number, (image, seen) in enumerate(zip(images, valid, strict=True), start=start):
            found[number] = np.round(to_rgb(image, seen, patches.bands) * 255)
    return found


def _shrunk(images: torch.Tensor, valid: torch.Tensor, size: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return images averaged over the valid pixels that fall into each pixel; it is valid where half of them are."""
    share = F.adaptive_avg_pool2d(valid.float(), size)
    mean = F.adaptive_avg_pool2d(fill_invalid(images, valid), size) / share.clamp(min=1e-6)
    return mean.numpy(), (share >= 0.5).numpy()
