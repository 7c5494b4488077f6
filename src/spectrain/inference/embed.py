"""`spectrain embed`: embeddings of a whole data set by a trained model, and what people do with them."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import h5py
import torch

from .. import __version__
from ..config.schema import DatasetOptions
from ..core.atomic import OF_OUTPUT, atomic_write
from ..core.errors import DataError, SpectrainError
from ..data.folds import undrawn
from ..data.opening import open_patches, recognise
from ..data.patches import Patches
from ..models.any_bands import AnyBands
from ..training.embedding import What
from ..training.processes.devices import resolve_device
from ..training.trained.model import Trained, load_trained, model_for
from ..training.trained.other_data import opened_elsewhere
from .embeddings.file import facts_of, write_facts
from .embeddings.looking import write_explore_page, write_query
from .embeddings.maps import add_pca, add_umap
from .embeddings.writer import write_splits

log = logging.getLogger("spectrain")

_BLOCK = 1 << 22
"""Bytes of a checkpoint that are read at once for its checksum."""


@dataclass(frozen=True)
class Embedded:
    """What `embed` left.

    Attributes:
        path: the HDF5 file (see `inference.embedding_file`).
        pictures: of the query, if there was one.
        page: the page to explore, if it was asked for.
        others: of the further data sets, where there are several.
    """

    path: Path
    pictures: tuple[Path, ...] = ()
    page: Path | None = None
    others: tuple[Embedded, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Everything that was written, data set by data set."""
        own = [self.path, *self.pictures, *([self.page] if self.page else [])]
        return own + [path for other in self.others for path in other.paths]


def embed(
    run: str | Path,
    data: str | Path | Sequence[str | Path] | None = None,
    output: str | Path | None = None,
    *,
    splits: Sequence[str] = (),
    what: What = "features",
    pca: int = 0,
    umap: bool = False,
    query: int | None = None,
    top: int = 5,
    explore: bool = False,
    explore_images: int = 5000,
    batch_size: int | None = None,
    device: str | int = "auto",
    plugins: Sequence[str] = (),
) -> Embedded:
    """Embed every image of a data set and write the embeddings to HDF5, streamed.

    Images are seen as in training, less the chance: the same values and bands, the crop in the centre at training's
    zoom, demeaned where training demeaned. (The published code embeds whole images, at another zoom than it trained
    with.) An image without any valid pixel (or, where a model cuts images into tokens, without one that is half valid)
    has an embedding of NaN, and a line says how many there are. A model for any bands embeds any data; bands that it
    was not trained on are standardised by the statistics of the data.

    Embeddings that are in ``output`` already, of the same weights and data, are taken from there.

    Args:
        run: run folder (its best checkpoint, else its last), checkpoint, or imported weights.
        data: data set, or several, each with a file of its own; None is what the run was trained on.
        output: HDF5 file, of one data set; None is ``embeddings/<name of the data>.h5`` in the run folder.
        splits: which splits; all where empty.
        what: "features", the encoder's pooled vector; "projection", what the loss compared, of unit length.
        pca: principal components to write, fitted on the training split where it is among ``splits``, else on all;
            0 writes none.
        umap: write a map in two dimensions too.
        query: number of an image in the first of ``splits``; its nearest images by cosine are drawn.
        top: how many of them.
        explore: write a page to explore the embeddings with.
        explore_images: most images on that page, spread evenly.
        batch_size: images at once; None is the run's.
        device: "auto", "cpu", "cuda" or the number of a GPU.
        plugins: modules to import first.

    Raises:
        RunError: no such run, or its checkpoint cannot be read.
        DataError: the data's bands are not those of the model, a split that there is not, no such image, or
            ``output`` holds something else.
    """
    if what not in get_args(What):
        raise SpectrainError(f"there are no embeddings {what!r}", fix=f"take one of {', '.join(get_args(What))}")
    trained = load_trained(run, plugins)
    places = _places(trained, data)
    if len(places) > 1 and output is not None:
        raise SpectrainError(
            f"{len(places)} data sets do not go into one file", where="output", fix="name one of them, or leave it out"
        )
    done = []
    for number, place in enumerate(places):
        chosen = _open(trained, place, splits, other=data is not None)
        _check_query(query, top, chosen[0])
        path = Path(output) if output is not None else _default_output(trained, places, number, what)
        own = number if data is None else None
        _embed(trained, chosen, path, own, what=what, batch_size=batch_size, device=resolve_device(device, 0))
        if pca or explore:
            add_pca(path, trained.cfg.dataset.train_key, max(pca, 2 if explore else 0))
        if umap:
            add_umap(path, trained.cfg.general.seed)
        pictures = [] if query is None else [write_query(path, chosen[0], trained.cfg, query, top)]
        page = write_explore_page(path, chosen, trained.cfg, explore_images) if explore else None
        done.append(Embedded(path, tuple(pictures), page))
    return replace(done[0], others=tuple(done[1:]))


def _embed(
    trained: Trained,
    chosen: list[Patches],
    path: Path,
    number: int | None,
    *,
    what: What,
    batch_size: int | None,
    device: torch.device,
) -> None:
    """Write the embeddings of one data set, unless they are there; ``number`` is its number in the run, or None."""
    facts = _facts(trained, chosen, what)
    if _there_already(path, facts):
        return
    size = batch_size or trained.cfg.hparams.evaluation_batch_size
    model = model_for(trained, chosen[0], own=number, reference=lambda: _reference(trained, chosen))
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(stream: Any) -> None:
        with h5py.File(stream, "w") as file:
            write_splits(file, trained.cfg, model, chosen, what, device, size)
            write_facts(file, facts)

    atomic_write(path, write, OF_OUTPUT)


def _places(trained: Trained, data: str | Path | Sequence[str | Path] | None) -> list[Path]:
    given = trained.cfg.dataset.places if data is None else data
    if not given:
        raise DataError("no data were named", where="embed", fix="spectrain embed RUN DATA")
    return [Path(given)] if isinstance(given, str | Path) else [Path(one) for one in given]


def _open(trained: Trained, place: Path, splits: Sequence[str], *, other: bool) -> list[Patches]:
    """Return the chosen splits of a data set; those of a model that is not for any bands must have its bands."""
    reader = recognise(place.expanduser(), _options(trained))
    names = list(splits) or list(reader.splits(place.expanduser()))
    if not names:
        raise DataError("there is no split in it", where=str(place), fix=f"known is: {reader.description}")
    chosen = [_split(trained, place, split, other=other) for split in dict.fromkeys(names)]
    for patches in chosen:
        if isinstance(trained.model, AnyBands):
            chosen[0].bands.require(patches.bands, where=f"{place}, {patches.split}")
        else:
            trained.model.bands.require(patches.bands, where=f"{place}, {patches.split}")
    return chosen


def _split(trained: Trained, place: Path, split: str, *, other: bool) -> Patches:
    if other and isinstance(trained.model, AnyBands):
        return opened_elsewhere(trained, place, split, _options(trained))
    return open_patches(place, split, _options(trained))


def _options(trained: Trained) -> DatasetOptions:
    """Return how data are read: as in training, but all of them."""
    return undrawn(trained.cfg.dataset)


def _reference(trained: Trained, chosen: list[Patches]) -> Patches:
    """Return what a data set's statistics are taken of: all of it, else its training split, else the first embedded."""
    place, options = chosen[0].path, _options(trained)
    reader = recognise(place, options)
    split = options.train_key if options.train_key in reader.splits(place) else chosen[0].split
    return _split(trained, place, reader.pool or split, other=True)


def _check_query(query: int | None, top: int, patches: Patches) -> None:
    if top < 1:
        raise SpectrainError(f"the {top} nearest images are none", where="--top", fix="ask for at least 1")
    if query is not None and not 0 <= query < len(patches):
        raise DataError(
            f"there is no image {query}: the split {patches.split!r} has {len(patches)}, counted from 0",
            where="--query",
            fix=f"give a number from 0 to {len(patches) - 1}, or another --split",
        )


def _default_output(trained: Trained, places: Sequence[Path], number: int, what: What) -> Path:
    name = places[number].stem
    if [place.stem for place in places].count(name) > 1:
        name = f"{name}_{number}"
    suffix = "" if what == "features" else f"_{what}"
    return trained.run_folder / "embeddings" / f"{name}{suffix}.h5"


def _facts(trained: Trained, chosen: list[Patches], what: What) -> dict[str, Any]:
    """Return what decides the embeddings, and a few words on where they come from."""
    return {
        "what": what,
        "checkpoint_crc32": _crc32(trained.path),
        "splits": [patches.split for patches in chosen],
        "fingerprints": {patches.split: patches.fingerprint() for patches in chosen},
        "run": f"{trained.meta.get('run_name')}/{trained.meta.get('run_id')}",
        "checkpoint": trained.path.name,
        "data": chosen[0].path.name,
        "spectrain": __version__,
    }


def _crc32(path: Path) -> int:
    """Return the checksum of a file, which need not fit into memory."""
    found = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found = zlib.crc32(block, found)
    return found


def _there_already(path: Path, facts: dict[str, Any]) -> bool:
    """Say whether ``path`` holds just these embeddings; other ones are an error, never overwritten."""
    if not path.exists():
        return False
    held = facts_of(path)
    deciding = ("what", "checkpoint_crc32", "splits", "fingerprints")
    if different := [name for name in deciding if held.get(name) != facts[name]]:
        raise DataError(
            f"the file holds other embeddings: {', '.join(different)} differ",
            where=str(path),
            fix="give another -o, or remove the file",
        )
    log.info("%s holds these embeddings already", path)
    return True
