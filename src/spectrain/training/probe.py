"""Probes: what of the metadata or labels can be read off the encoder's features, at each validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from ..core.distributed import gather_rows, rank, world_size
from ..core.errors import DataError, perhaps
from ..data.order import EvalOrder
from ..data.patches import Patches
from ..metrics import probe as fits
from .embedding import embed_batches

if TYPE_CHECKING:
    from .session import Session
    from .subject import Source

LABEL = "label"
MOST_CLASSES = 20
"""Whole numbers with more different values than this are quantities."""
_VALUES = 1 << 24
"""Numbers of the images of a block of labels."""


@dataclass(frozen=True)
class Question:
    """One thing to predict.

    Attributes:
        name: metadata column, or "label".
        classes: the classes; None where it is a number.
        train: float64 [M] values or class numbers of the chosen training patches, NaN where there is none.
        valid: float64 [N], the same of the validation patches.
    """

    name: str
    classes: list[Any] | None
    train: Tensor
    valid: Tensor


class Probe:
    """Predicts each column from the features of the chosen patches, by their nearest neighbours and by a ridge.

    Features are those of `training.embedding`: images as they are, without chance. Fitted on training patches, judged
    on validation patches. Numbers are judged by R², classes by the share that is right. Text, truth values, and whole
    numbers with at most 20 different values are classes; so are labels.

    Attributes:
        names: of the values that a call returns: ``knn_COLUMN_valid`` and ``linear_COLUMN_valid`` for each column.

    Raises:
        DataError: a column that neither split has, or that holds something else than numbers and text.
    """

    def __init__(self, columns: list[str], neighbours: int, images: int, train: Patches, valid: Patches) -> None:
        self.neighbours = neighbours
        self.train_rows, self.valid_rows = (_evenly(len(patches), images) for patches in (train, valid))
        self.questions = [_question(name, train, valid, self.train_rows, self.valid_rows) for name in columns]

    @property
    def names(self) -> list[str]:
        """Names of the values, in order."""
        return [f"{kind}_{question.name}_valid" for question in self.questions for kind in ("knn", "linear")]

    def __call__(self, session: Session) -> dict[str, float]:
        """Return the values for the model as it is now; a collective call."""
        assert session.valid is not None
        train = self._features(session, session.train, self.train_rows)
        valid = self._features(session, session.valid, self.valid_rows)
        found: list[Any] = [None]
        if rank() == 0:  # decided once: early stopping must not differ by a last bit
            found[0] = self._values(train, valid)
        if world_size() > 1:
            dist.broadcast_object_list(found, device=session.device)
        values: dict[str, float] = found[0]
        return values

    def _features(self, session: Session, source: Source, rows: NDArray[np.int64]) -> Tensor:
        """Return the features of the patches ``rows``, on the host; each process computes its share."""
        size = session.cfg.hparams.batch_size_valid or session.cfg.hparams.batch_size
        order = EvalOrder(len(rows), size, world_size(), rank(), group=len(rows))
        places = list(order.batches())
        indices = (np.where(place >= 0, rows[place], -1) for place in places)
        parts = [
            part
            for _, part in embed_batches(
                session.model,  # type: ignore[arg-type]
                session.augmentation,
                source.values,
                source.loader,
                indices,
                amp=session.amp,
            )
        ]
        features = gather_rows(torch.cat(parts)).cpu()
        place = torch.from_numpy(np.concatenate(places)).to(session.device)
        place = gather_rows(place).cpu()
        result = features.new_full((len(rows), features.shape[1]), torch.nan)
        result[place[place >= 0]] = features[place >= 0]
        return result

    def _values(self, train: Tensor, valid: Tensor) -> dict[str, float]:
        found: dict[str, float] = {}
        for question in self.questions:
            kept = train.isfinite().all(1) & question.train.isfinite()
            judged = valid.isfinite().all(1) & question.valid.isfinite()
            answers = _answers(question, train[kept], question.train[kept], valid[judged], self.neighbours)
            for kind, answer in answers.items():
                score = fits.r_squared if question.classes is None else fits.accuracy
                value = math.nan if answer is None else score(answer, question.valid[judged])
                found[f"{kind}_{question.name}_valid"] = value
        return found


def _answers(
    question: Question, train: Tensor, wanted: Tensor, rows: Tensor, neighbours: int
) -> dict[str, Tensor | None]:
    """Return what neighbours and ridge say of ``rows``; None where there is nothing to learn from."""
    if not len(train) or not len(rows):
        return {"knn": None, "linear": None}
    near = fits.nearest_rows(train, rows, neighbours)
    if question.classes is None:
        return {
            "knn": fits.neighbour_mean(near, wanted),
            "linear": fits.ridge(train, wanted[:, None], rows)[:, 0],
        }
    classes = wanted.to(torch.int64)
    one_hot = torch.nn.functional.one_hot(classes, len(question.classes)).double()
    return {
        "knn": fits.neighbour_vote(near, classes).double(),
        "linear": fits.ridge(train, one_hot, rows).argmax(dim=1).double(),
    }


def _evenly(size: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` row numbers, spread evenly over ``size``."""
    count = min(size, most)
    return (np.arange(count, dtype=np.int64) * size) // count


def _question(
    name: str, train: Patches, valid: Patches, train_rows: NDArray[np.int64], valid_rows: NDArray[np.int64]
) -> Question:
    """Return what to predict, as numbers, or raise a `DataError`."""
    first, second = _column(name, train, train_rows), _column(name, valid, valid_rows)
    both = np.concatenate([first, second])
    whole = both.dtype.kind in "iu" and (name == LABEL or len(np.unique(both)) <= MOST_CLASSES)
    if both.dtype.kind == "f" or (both.dtype.kind in "iu" and not whole):
        return Question(name, None, torch.from_numpy(first.astype(float)), torch.from_numpy(second.astype(float)))
    known = [value for value in both.tolist() if _known(name, value)]
    classes = sorted(set(known), key=str) if both.dtype.kind == "O" else sorted(set(known))
    number = {value: float(place) for place, value in enumerate(classes)}

    def numbers(column: NDArray[Any]) -> Tensor:
        found = [number[value] if _known(name, value) else math.nan for value in column.tolist()]
        return torch.tensor(found, dtype=torch.float64)

    return Question(name, classes, numbers(first), numbers(second))


def _known(name: str, value: Any) -> bool:
    """Say whether a class is given; a negative label means that there is none."""
    missing = value is None or value != value
    return not missing and not (name == LABEL and isinstance(value, int) and value < 0)


def _column(name: str, patches: Patches, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return a metadata column, or the labels, of the patches ``rows``."""
    table = patches.metadata()
    if name in table:
        column = table[name].iloc[rows]
        if column.dtype.kind not in "biuf":
            return np.array([None if value != value else value for value in column.tolist()], dtype=object)
        return column.to_numpy()
    if name == LABEL and patches.has_labels:
        labels = _labels(patches, rows)
        if labels is not None and labels.dtype.kind in "iub":
            return labels
        raise DataError("the labels are not one class an image", where="metric.probe", fix="name a metadata column")
    columns = [*(str(column) for column in table), *([LABEL] if patches.has_labels else [])]
    raise DataError(
        f"the split {patches.split!r} has no column {name!r}" + perhaps(name, columns),
        where="metric.probe",
        fix=f"its metadata have {', '.join(columns)}",
    )


def _labels(patches: Patches, rows: NDArray[np.int64]) -> NDArray[Any] | None:
    """Return the labels of the patches ``rows``; None where they are not one an image.

    Taken a block at a time: a reader may have to read the images beside them.
    """
    block = max(1, _VALUES // math.prod(patches.shape[1:]))
    found: list[NDArray[Any]] = []
    for start in range(0, len(rows), block):
        labels = patches.labels(rows[start : start + block])
        if not isinstance(labels, np.ndarray) or labels.ndim != 1:
            return None
        found.append(labels)
    return np.concatenate(found) if found else None


def build_probe(metric: Any, train: Patches, valid: Patches | None) -> Probe | None:
    """Return the probe that the metric part asks for, or None where it asks for none.

    Raises:
        DataError: it asks for one, and there is nothing to judge it on.
    """
    columns = list(getattr(metric, "probe", ()))
    if not columns:
        return None
    if valid is None:
        raise DataError(
            "a probe is judged on validation images, and there are none",
            where="metric.probe",
            fix="set dataset.valid_key, or leave the probe away",
        )
    return Probe(columns, metric.neighbours, metric.probe_images, train, valid)
