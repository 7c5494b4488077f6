"""The loss of few labelled pixels: host round trips a step, and its time against the published form.

"published form" is what the document describes: before each loss, the labels go to the host three times to be looked
through for NaN, and mean, log-variance and label are each picked by the mask that comes back. Ours are the loss of
`loss=gaussian_nll` over all pixels ("dense") and over index and value ("sparse"). Of all three are the loss and its
gradient with respect to the network's output, alternating; a training takes "sparse" where at most a tenth of the
pixels are labelled. "against published" is the median ratio of neighbours, and
"gradient differs by" the most by which a gradient's number is not the published one, as a share of its largest.

Round trips are counted, not timed: copies to the host, values read from a tensor, and whatever has as many results as
there are labelled pixels (`nonzero`, a mask as index), all of which make the host wait for a GPU. On a CPU the last
row leaves out that the optimiser asks whether a step had any label: with a GPU this is decided there. Where there is a
GPU, its own count of waits is added up.

Goal: 0 round trips a step.
"""

from __future__ import annotations

import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from step import SPARSE, alternate, options_of, synchronise

BATCH, SIDE, BANDS = 4, 244, 14
ROUNDS = 30
HEAD = ("what", "labelled", "round trips", "median ms", "against published", "gradient differs by")


class Counted(TorchDispatchMode):
    """Counts operations whose result the host reads, or needs to know the size of."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.excused = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[-1]
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in args if isinstance(x, Tensor)]
        from_gpu = isinstance(result, Tensor) and result.device.type == "cpu" and any(x.is_cuda for x in tensors)
        if (name in self.NAMES or from_gpu) and not self.excused:
            self.found.append(name)
        return result


class CountedCalls(TorchFunctionMode):
    """Counts copies to the host, which do nothing on a CPU, and masks as index."""

    def __init__(self, into: Counted) -> None:
        super().__init__()
        self.into = into

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        masked = name in ("__getitem__", "__setitem__") and any(
            isinstance(key, Tensor) and key.dtype == torch.bool
            for key in (args[1] if isinstance(args[1], tuple) else (args[1],))
        )
        if (name in ("cpu", "tolist") or masked) and not self.into.excused:
            self.into.found.append(name)
        return func(*args, **(kwargs or {}))


def round_trips(action: Callable[[], object]) -> int:
    """Return how often the host waits for the device; of a GPU, as its own driver counts too, whichever is more."""
    counted = Counted()
    with CountedCalls(counted), counted, excused_optimiser(counted):
        action()
    return max(len(counted.found), waits(action) if torch.cuda.is_available() else 0)


def waits(action: Callable[[], object]) -> int:
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            action()
        return sum("synchroniz" in str(one.message) for one in said)
    finally:
        torch.cuda.set_sync_debug_mode("default")


class excused_optimiser:  # noqa: N801 - reads as a statement
    """Leaves out what `step_unless_empty` asks on a CPU."""

    def __init__(self, counted: Counted) -> None:
        self.counted = counted

    def __enter__(self) -> None:
        from spectrain.training import step

        self.real = step.step_unless_empty

        def asked(optimizer: torch.optim.Optimizer, weight: Tensor) -> None:
            on_host = not weight.is_cuda
            self.counted.excused += on_host
            self.real(optimizer, weight)
            self.counted.excused -= on_host

        step.step_unless_empty = asked

    def __exit__(self, *_: object) -> None:
        from spectrain.training import step

        step.step_unless_empty = self.real


def published(raw: Tensor, y: Tensor) -> Tensor:
    """Return the mean loss as the document has it, each of the three picked by a mask that the host makes anew."""
    mean, s = raw[:, :1], functional.softplus(raw[:, 1:])
    mean = mean[labelled_on_host(y)]
    s = s[labelled_on_host(y)]
    y = y[labelled_on_host(y)]
    v = s.exp() + 1e-8
    return ((y - mean) ** 2 / (2 * v) + v.log() / 2).mean()


def labelled_on_host(y: Tensor) -> NDArray[np.bool_]:
    """Return where labels are, found by NumPy in a copy."""
    return ~np.isnan(y.detach().cpu().numpy())


def rows(side: int = SIDE, rounds: int = ROUNDS) -> list[dict[str, object]]:
    found = [row for share in (0.01, 0.1, 0.5) for row in of_share(share, side, rounds)]
    for sparse in (True, False):
        found.append(of_step(sparse, min(side, 64)))
    return found


def of_share(share: float, side: int, rounds: int) -> list[dict[str, object]]:
    from spectrain.core.targets import DenseValues, SparseValues
    from spectrain.losses.regression import RegressionLoss

    device = "cuda" if torch.cuda.is_available() else "cpu"
    draw = torch.Generator().manual_seed(0)
    y = torch.randn(BATCH, 1, side, side, generator=draw)
    y[torch.rand(y.shape, generator=draw) >= share] = torch.nan
    dense, sparse = DenseValues.from_nan(y).to(device), SparseValues.from_dense(y[:, 0]).to(device)
    y = y.to(device)
    raw = torch.randn(BATCH, 2, side, side, generator=draw).to(device).requires_grad_()
    criterion = RegressionLoss(variance="published")  # so that both compute the same

    def ours_dense() -> Tensor:
        return criterion(criterion.found(raw, dense.value, dense.valid, ("value",)))

    def ours_sparse() -> Tensor:
        at = sparse.at(raw)
        return criterion(criterion.found(at, sparse.value[:, None], sparse.valid[:, None], ("value",), sparse.row))

    forms = {"published form": lambda: published(raw, y), "ours, dense": ours_dense, "ours, sparse": ours_sparse}

    def stepped(form: Callable[[], Tensor]) -> Callable[[], None]:
        def step() -> None:
            raw.grad = None
            form().backward()

        return step

    gradients = {}
    for name, form in forms.items():
        stepped(form)()
        gradients[name] = raw.grad.clone()
    theirs = gradients["published form"]
    times = alternate({name: stepped(form) for name, form in forms.items()}, rounds)
    base = times["published form"]
    table = []
    for name, form in forms.items():
        ratio = statistics.median(a / b for a, b in zip(times[name], base, strict=True))
        off = ((gradients[name] - theirs).abs().max() / theirs.abs().max()).item()
        cells = (name, f"{share:.0%}", round_trips(stepped(form)), statistics.median(times[name]) * 1e3, ratio, off)
        table.append(dict(zip(HEAD, cells, strict=True)))
    return table


def of_step(sparse: bool, side: int) -> dict[str, object]:
    """Return the count of a whole step of the recipe: values, augmentation, network, loss, clipping, update."""
    from spectrain.config import load_config
    from spectrain.training.session import build_session
    from spectrain.training.step import optimiser_step

    share = SPARSE if sparse else 0.5
    with tempfile.TemporaryDirectory() as folder:
        options = options_of("regression", ("unet", str(share)), f"{side}×{side}×{BANDS}", Path(folder))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        words = [*options, "hparams.batch_size=2", f"general.device={device}", "general.compile=false"]
        session = build_session(load_config("regression", overrides=words, use_personal=False))
        raws = list(session.train.loader.load(step[0] for step in session.train_order.steps(0)))
        optimiser_step(session, iter(raws), 1, 0, 0)
        synchronise()
        count = round_trips(lambda: optimiser_step(session, iter(raws[1:]), 1, 0, 1))
        session.close()
    kind = "sparse" if sparse else "dense"
    return dict(zip(HEAD, (f"a whole step of the recipe, {kind}", f"{share:.0%}", count, "", "", ""), strict=True))


if __name__ == "__main__":
    from run import table

    print(table(rows()))
