"""`spectrain export`: a trained model for other programs, and for other machines."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from .. import __version__
from ..core.atomic import OF_OUTPUT, disk_errors
from ..core.bands import Bands
from ..core.errors import RunError, perhaps
from ..models.any_bands import AnyBands
from ..runs.folder import plain_name
from ..tasks.base import Task
from ..training.trained.exported import DESCRIPTION, WEIGHTS, save_exported
from ..training.trained.model import Trained, load_trained
from .exports.check import compared, samples_of
from .exports.graph import INPUT, write_onnx, write_torch
from .exports.module import ExportedModel
from .exports.pipeline import as_pipeline, beyond_limits, comparable, place_pipeline, write_pipeline

log = logging.getLogger("spectrain")

Format = Literal["pipeline", "safetensors", "onnx", "torch-export"]
_SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
GRAPH = ("spectrain.graph", 1)


@dataclass(frozen=True)
class Exported:
    """What `export` wrote.

    Attributes:
        path: the file; of safetensors the folder.
        format: as asked for.
        size: bytes.
        difference: the largest from the run's model, as a share of the range of the output.
        samples: what this was seen on, in words.
        remarks: what a user of the file has to know.
    """

    path: Path
    format: Format
    size: int
    difference: float
    samples: str
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"{self.path}: {self.format}, {self.size / 1e6:.1f} MB",
            f"  differs from the run's model by at most {self.difference:.2g} of the output's range, on {self.samples}",
            *(f"  {remark}" for remark in self.remarks),
        ]
        return "\n".join(lines)


def export(
    run: str | Path,
    to: Format,
    output: str | Path | None = None,
    *,
    name: str | None = None,
    overwrite: bool = False,
    plugins: Sequence[str] = (),
) -> Exported:
    """Write a trained model in another format, load it again, and hold it against the run's model.

    They are compared on patches of the run's validation split, on noise within the statistics where the data are not
    there. What differs by more than 1e-4 of the output's range is removed again. Nothing is left half written.

    Formats:
        safetensors: a folder with ``model.safetensors`` and ``model.json``, which every verb takes as a run.
        onnx: a graph with the input ``image``, float32 [B,C,H,W] in physical values with NaN where missing;
            transform and standardisation are inside. The output is called ``logits``; or ``values`` for regressions:
            means, then variances as recalibrated, in the unit of the labels and its square; or ``embedding`` for models
            that learned without labels: the encoder's vector.
        torch-export: the same graph as a ``.pt2`` of `torch.export`.
        pipeline: ``{name}_{date}.ckpt``, the converted checkpoint of DARTS.

    Args:
        run: run folder (its best checkpoint, else its last), checkpoint, or exported model.
        to: the format.
        output: file of a graph; folder of safetensors; folder of the pipeline's file, or that file (``.ckpt``). None is
            ``export`` in the run folder.
        name: of the pipeline's checkpoint; None is the run's name.
        overwrite: replace what is there. A checkpoint of the pipeline without a name of its own gets a number instead.
        plugins: modules to import first.

    Raises:
        RunError: no such run, there is something already, the model cannot be expressed so, or it came out different.
        DataError: the pipeline cannot express the model.
    """
    if to not in get_args(Format):
        raise RunError(
            f"there is no format {to!r}" + perhaps(to, get_args(Format)),
            where="--to",
            fix=f"known are {', '.join(get_args(Format))}",
        )
    trained = load_trained(run, plugins)
    task: Task = trained.cfg.task.build(loss=trained.cfg.loss.build(), metric=None, plot=None)
    task.recalibrate(trained.meta.get("recalibration"))
    module = ExportedModel(trained, task).eval()
    target = _target(trained, to, None if output is None else Path(output).expanduser())
    _refuse_existing(target, to, overwrite)
    writers: dict[Format, Callable[[], Exported]] = {
        "pipeline": lambda: _pipeline(trained, task, module, target, name),
        "safetensors": lambda: _safetensors(trained, task, module, target),
        "onnx": lambda: _graph(trained, task, module, target, to),
        "torch-export": lambda: _graph(trained, task, module, target, to),
    }
    with torch.no_grad():
        return writers[to]()


def _target(trained: Trained, to: Format, output: Path | None) -> Path:
    """Return where to write: a file, or a folder for safetensors and for the pipeline's file without a name."""
    folder = trained.run_folder / "export"
    suffix = _SUFFIXES.get(to)
    if output is None:
        return folder / f"model{suffix}" if suffix else folder / "model" if to == "safetensors" else folder
    if suffix is not None and output.suffix != suffix:
        raise RunError(f"a file of --to {to} ends in {suffix}", where=str(output), fix=f"call it {output.stem}{suffix}")
    if to == "safetensors" and output.suffix == ".safetensors":
        raise RunError(
            f"--to safetensors writes a folder with {WEIGHTS} and {DESCRIPTION}",
            where=str(output),
            fix=f"name the folder: -o {output.with_suffix('')}",
        )
    return output


def _refuse_existing(target: Path, to: Format, overwrite: bool) -> None:
    there = target.exists()
    if to == "safetensors":
        if there and not target.is_dir():
            raise RunError("is a file", where=str(target), fix="name a folder")
        there = any((target / one).exists() for one in (WEIGHTS, DESCRIPTION))
    elif to == "pipeline" and target.suffix != ".ckpt":
        there = False
    elif target.is_dir():
        raise RunError("is a folder", where=str(target), fix=f"name a file in it, such as {target / 'model'}.*")
    if there and not overwrite:
        raise RunError("is there already", where=str(target), fix="give another -o, or --overwrite to replace it")


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a folder beside the target to write in, on the same disk; nothing of it stays."""
    with disk_errors(target, OF_OUTPUT):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
        try:
            yield folder
        except RunError as error:
            if isinstance(cause := error.__cause__, OSError):  # of writing: it is the target that the user knows
                raise OSError(cause.errno, cause.strerror) from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _safetensors(trained: Trained, task: Task, module: ExportedModel, target: Path) -> Exported:
    samples = samples_of(trained)
    with _beside(target) as folder:
        described = {**_description(trained, task), **trained.meta}
        described.pop("format", None)
        described.pop("weights", None)
        save_exported(folder, trained.model.state_dict(), described)
        loaded = ExportedModel(load_trained(folder), task).eval()
        wanted = module.of_batch(samples.batch)
        found = compared(lambda: loaded.of_batch(samples.batch), wanted, f"{target}", samples.of)
        target.mkdir(exist_ok=True)
        size = sum(path.stat().st_size for path in folder.iterdir())
        for one in (WEIGHTS, DESCRIPTION):
            (folder / one).replace(target / one)
    return Exported(target, "safetensors", size, found, samples.of)


def _graph(trained: Trained, task: Task, module: ExportedModel, target: Path, to: Format) -> Exported:
    samples = samples_of(trained)
    described: dict[str, Any] = {
        "format": {"name": GRAPH[0], "version": GRAPH[1]},
        **_description(trained, task),
        "input": f"{INPUT}: float32 [batch, band, height, width], physical values, NaN where missing",
        "output": task.exports,
        "bands": Bands.from_json(trained.meta["bands"]).to_json(),
        "spectrain": __version__,
        **{key: trained.meta.get(key) for key in ("run_name", "run_id", "fingerprint")},
    }
    with _beside(target) as folder:
        write = write_onnx if to == "onnx" else write_torch
        graph = write(trained, module, folder / target.name, described)
        wanted = module.of_batch(samples.batch)
        found = compared(lambda: graph.run(samples.image), wanted, f"{target}", samples.of)
        size = sum(path.stat().st_size for path in folder.iterdir())
        for path in folder.iterdir():
            path.replace(target.parent / path.name)
    return Exported(target, to, size, found, samples.of, (f"takes {graph.sizes}", *module.remarks))


def _pipeline(trained: Trained, task: Task, module: ExportedModel, target: Path, name: str | None) -> Exported:
    chosen = plain_name("--name", name or str(trained.meta.get("run_name") or trained.path.stem))
    pipeline = as_pipeline(trained, len(getattr(task, "names", ())), chosen)
    samples = samples_of(trained)
    with _beside(target) as folder:
        temporary = folder / "model.ckpt"
        run = write_pipeline(pipeline, temporary)
        cut, whole = comparable(pipeline, trained, samples)
        found = compared(lambda: run(pipeline.normalised(cut)), module(cut), f"{target}", samples.of)
        remark = beyond_limits(run, pipeline, module, whole, cut)
        if target.suffix == ".ckpt":
            path = temporary.replace(target)
        else:
            target.mkdir(exist_ok=True)
            path = place_pipeline(temporary, target, chosen)
    remarks = ("logits, of which the pipeline takes the sigmoid", *([remark] if remark else []))
    return Exported(path, "pipeline", path.stat().st_size, found, samples.of, remarks)


def _description(trained: Trained, task: Task) -> Mapping[str, Any]:
    """Return what a stranger needs to know of the weights, beside what a checkpoint says of itself."""
    model = trained.model
    held = model.band_set(0) if isinstance(model, AnyBands) else model
    return {
        "task": trained.cfg.task.name,
        "activation": "none",
        "classes": [],
        **task.exported_as(),
        "transform": trained.cfg.dataset.transform,
        "standardisation": {
            "method": model.standardise,
            "subtracted": held.mean.tolist(),
            "divided_by": held.std.tolist(),
            "mask_channel": model.mask_channel,
            "missing": 0,
        },
    }
