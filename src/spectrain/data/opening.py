"""From a path to patches: what it is is seen from its content, not from its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config.schema import DatasetOptions
from ..core.errors import DataError, nearest
from ..core.registry import lookup, names, registered
from .band_choice import with_options
from .mixture import together
from .patches import Patches
from .reader import Reader
from .splits_file import chosen_ids, read_splits
from .subset import Subset

SPLITS = "splits.json"


def open_patches(
    path: str | Path | Sequence[str | Path], split: str = "train", options: DatasetOptions | None = None
) -> Patches:
    """Open one split of a patch set.

    Args:
        path: a file or folder of a known kind; or a list of them, which makes a mixture where they are several.
        split: name of the split. With ``options.fold`` the names of the splits that are trained and validated on mean
            those parts of the fold.
        options: the configuration group ``dataset``; None is its defaults.

    Raises:
        DataError: nothing is there, it is empty, damaged or of no known kind; no such split, fold or band; the
            splits file belongs to other data.
    """
    options = options or DatasetOptions()
    if not isinstance(path, str | Path):
        if not path:
            raise DataError("dataset.path lists no data", where="dataset.path", fix="name a file or folder")
        return together([open_patches(one, split, options) for one in path])
    place = Path(path).expanduser()
    reader = recognise(place, options)
    if options.fold is None and options.splits is None:
        return with_options(reader.open(place, split, options), options)
    file = Path(options.splits).expanduser() if options.splits else _beside(place)
    content = read_splits(file)
    whole = reader.open(place, reader.pool or options.train_key, options)
    made_for = content["fingerprint"]
    if made_for is not None and made_for != whole.fingerprint():
        raise DataError(
            "the splits were made for other data: the fingerprints differ",
            where=str(file),
            fix=f"give the splits of {place}, or split it anew",
        )
    ids = chosen_ids(content, split, options, str(file))
    return with_options(Subset.of_ids(whole, split, ids, str(file)), options)


def recognise(path: Path, options: DatasetOptions | None = None) -> Reader:
    """Return the reader for a file or folder; those of plugins are asked first.

    An HDF5 file is one cube where `cube_key` names it, whatever else is in it.

    Raises:
        DataError: nothing is there, it is empty, or no reader knows it (those that there are are listed).
    """
    readers: list[Reader] = [*registered("reader").values()]
    readers += [lookup("reader", name) for name in names("reader") if name not in registered("reader")]
    try:
        reader = _recognise(path, readers)
        named = options is not None and options.cube_key is not None and reader is lookup("reader", "hdf5")
        return lookup("reader", "cube") if named else reader
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}", where=str(path), fix="see that you may read it"
        ) from error


def _recognise(path: Path, readers: list[Reader]) -> Reader:
    if not path.exists():
        near = nearest(path.name, [one.name for one in path.parent.iterdir()]) if path.parent.is_dir() else []
        raise DataError(
            "there is no such file or folder" + (f"; did you mean {near[0]!r}?" if near else ""),
            where=str(path),
            fix="correct dataset.path",
        )
    for reader in readers:
        if reader.recognises(path):
            return reader
    if path.is_file() and path.stat().st_size == 0:
        what = "the file is empty"
    elif path.is_dir() and not any(path.iterdir()):
        what = "the folder is empty"
    else:
        what = f"the {'folder' if path.is_dir() else 'file'} is of no known kind"
    raise DataError(what, where=str(path), fix=f"known are: {'; '.join(reader.description for reader in readers)}")


def _beside(place: Path) -> Path:
    """Return where the splits of a file or folder are kept: in the folder, or beside the file."""
    return place / SPLITS if place.is_dir() else place.with_name(SPLITS)
