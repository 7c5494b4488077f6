"""The model as a graph that needs no spectrain: for ONNX Runtime, or for `torch.export.load`."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ...core.atomic import atomic_write
from ...core.errors import RunError, needs
from ...training.trained.model import Trained
from .check import TOLERANCE, difference, noise, own_size
from .module import ExportedModel

INPUT = "image"
MOST_INLINE = 3 << 29
"""Bytes of weights in an ONNX file itself; a file may have 2 GiB, and what is more goes beside it."""

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Graph:
    """A graph that was written.

    Attributes:
        run: what the file computes, loaded anew.
        sizes: which images it takes, in words.
    """

    run: Run
    sizes: str


@dataclass(frozen=True)
class _Attempt:
    """A way to trace: which axes may vary, on an image of which size, and what shows that this is true."""

    axes: Mapping[int, Any]
    size: tuple[int, int]
    probes: tuple[tuple[int, int, int], ...]
    sizes: str


def write_torch(trained: Trained, module: ExportedModel, path: Path, described: Mapping[str, Any]) -> Graph:
    """Write a ``.pt2`` of ``torch.export.save``, with the description as ``metadata.json`` in it.

    A graph of torch refuses sizes that it was not made for.

    Raises:
        RunError: the model cannot be traced.
    """

    def write(program: ExportedProgram) -> Run:
        extra = {"metadata.json": json.dumps(described)}
        held = io.BytesIO()  # torch ends the process where writing to a disk fails
        torch.export.save(program, held, extra_files=extra)
        atomic_write(path, held.getbuffer())
        loaded = torch.export.load(path).module()

        def run(image: Tensor) -> Tensor:
            output: Tensor = loaded(image)
            return output

        return run

    height, width = own_size(trained)
    step = max(1, int(getattr(trained.model.network, "multiple", 1)))
    attempts = [_fixed(height, width)]
    if height % step == 0 and width % step == 0:
        words = "any size" if step == 1 else f"any size of multiples of {step} px"
        probes = ((2, height, width), (3, height + step, width + 2 * step), (1, height + 2 * step, width))
        attempts.insert(0, _Attempt({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, (height, width), probes, words))
    return _first_right(trained, module, attempts, write)


def write_onnx(trained: Trained, module: ExportedModel, path: Path, described: Mapping[str, Any]) -> Graph:
    """Write an ONNX file, with the description in its metadata.

    ONNX does not refuse a size for which a traced graph is wrong, so a graph for any size is tried on several, and one
    that is wrong on any of them is not written: then the graph is for images of the training's size.

    Raises:
        RunError: the packages are missing, or the model cannot be traced or translated.
    """
    runtime = _packages()
    weights = sum(value.numel() * value.element_size() for value in module.state_dict().values())

    def write(program: ExportedProgram) -> Run:
        made = torch.onnx.export(program, input_names=[INPUT], output_names=[module.exports], verbose=False)
        assert made is not None
        _name_axes(made.model)
        made.model.metadata_props.update(
            {name: one if isinstance(one, str) else json.dumps(one) for name, one in described.items()}
        )
        made.save(str(path), external_data=weights > MOST_INLINE)
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what fails is raised too
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return lambda image: torch.from_numpy(session.run(None, {INPUT: image.numpy()})[0])

    height, width = own_size(trained)
    step = max(1, int(getattr(trained.model.network, "multiple", 1)))
    # of a size that is padded, so that padding is in the graph; where nothing is padded it adds 0 px
    odd = (height, width) if step == 1 else (-(-height // step) * step - 1, -(-width // step) * step - 3)
    probes = ((2, height, width), (3, 2 * step + 5, 3 * step + 9), (1, height + step, width + 2 * step + 1))
    every = _Attempt({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, odd, probes, "any size")
    return _first_right(trained, module, [every, _fixed(height, width)], write)


def _fixed(height: int, width: int) -> _Attempt:
    probes = ((2, height, width), (3, height, width), (1, height, width))
    return _Attempt({0: Dim.DYNAMIC}, (height, width), probes, f"images of {height} × {width} px")


def _first_right(
    trained: Trained, module: ExportedModel, attempts: list[_Attempt], write: Callable[[ExportedProgram], Run]
) -> Graph:
    """Write the first graph that is right on all its probes."""
    failures = []
    for attempt in attempts:
        try:
            with _quiet(), torch.no_grad():
                image = noise(trained, 2, attempt.size)
                program = torch.export.export(module, (image,), dynamic_shapes=({**attempt.axes},))
                run = write(program)
                worst = max(_probed(trained, module, run, probe) for probe in attempt.probes)
        except (RunError, OSError):  # a package is missing, the disk is full
            raise
        except Exception as error:  # tracers and translators raise dozens of types
            failures.append(str(error).strip().partition("\n")[0] or type(error).__name__)
            continue
        if worst <= TOLERANCE:
            return Graph(run, attempt.sizes)
        failures.append(f"a graph for {attempt.sizes} differs by {worst:.2g} of its output's range")
    raise RunError(
        f"{type(trained.model.network).__name__} cannot be made a graph: {failures[-1]}",
        where=str(trained.path),
        fix="export it by --to safetensors",
    )


def _probed(trained: Trained, module: ExportedModel, run: Run, probe: tuple[int, int, int]) -> float:
    image = noise(trained, probe[0], (probe[1], probe[2]))
    return difference(run(image), module(image))


def _name_axes(model: Any) -> None:
    """Call the axes of input and output batch, height and width, where the tracer numbered them."""
    names = dict(zip(("0", "2", "3"), ("batch", "height", "width"), strict=True))
    symbols = {str(model.graph.inputs[0].shape[int(axis)]): name for axis, name in names.items()}
    symbols = {symbol: name for symbol, name in symbols.items() if re.fullmatch(r"s\d+", symbol)}
    if not symbols:
        return
    pattern = re.compile("|".join(rf"\b{symbol}\b" for symbol in symbols))
    values = [*model.graph.inputs, *(one for node in model.graph for one in node.outputs)]
    for value in values:
        if value.shape is None or value.shape.frozen:
            continue
        for axis, length in enumerate(value.shape):
            if not isinstance(length, int) and length.value is not None:
                value.shape[axis] = pattern.sub(lambda match: symbols[match[0]], str(length.value))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what tracers tell of themselves; what goes wrong is raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export", "onnx_ir")]
    before = [one.level for one in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for one in loggers:
                one.setLevel(logging.ERROR)
            yield
        finally:
            for one, level in zip(loggers, before, strict=True):
                one.setLevel(level)


def _packages() -> Any:
    with needs("export", "for --to onnx"):
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    return onnxruntime
