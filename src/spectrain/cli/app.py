"""The verbs. Each parses its fixed options, hands the other words to the resolver, and calls one function."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ..config.command_line import split_tokens
from ..core.errors import SpectrainError, UsageError
from . import given
from .sweep import app as sweep_app
from .terminal import log_to_terminal
from .words import Output, Several, Switch, Words


def _version() -> str:
    from .. import __version__

    return __version__


app = App(
    name="spectrain",
    help="Train models on images with any number of bands.",
    version=_version,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)

app.command(sweep_app)


@app.command
def train(
    recipe: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *words: Words,
    config: Path | None = None,
    config_dir: Path | None = None,
    resume: Path | None = None,
    members: int | None = None,
    plugin: Several = None,
    cfg: Literal["job"] | None = None,
    debug: Switch = False,
) -> None:
    """Train what a recipe describes, or continue a run exactly where it stood.

    Args:
        recipe: Name of the recipe, e.g. contrastive; not needed with --resume, nor with a --config that names it.
        words: Options: key=value, --key value, --key, --no-key; `spectrain options` lists them.
        config: Options file: JSON with comments, TOML or YAML.
        config_dir: Folder with groups of your own.
        resume: Run folder or checkpoint to continue, or folder of members.
        members: Train so many models, each by a seed of its own, for an ensemble.
        plugin: Module or file to import first; may be repeated.
        cfg: "job" prints the configuration without training.
        debug: Two epochs of two batches, a detailed log, tracebacks.
    """
    if recipe is not None and (recipe.startswith("-") or "=" in recipe):
        words, recipe = (recipe, *words), None
    overrides, flags = split_tokens(words)
    log_to_terminal(debug)
    from ..training import api
    from ..training.several import is_members

    if (members is not None and cfg is None) or (resume is not None and is_members(resume)):
        from ..training.train import train as begin

        ended = begin(
            recipe,
            config=config,
            overrides=overrides,
            flags=flags,
            plugins=plugin or [],
            config_dir=config_dir,
            resume=resume,
            members=members,
            debug=debug,
        )
        if ended.status == "interrupted":
            raise KeyboardInterrupt
        return
    job, run, checkpoint = api.resolve(recipe, config, overrides, flags, plugin or [], config_dir, resume, debug)
    if cfg == "job":
        print(job.to_yaml(), end="")
        return
    if (count := api.missing_processes(job)) > 1:
        from ..training.processes.launch import launch

        sys.exit(launch(count, given))
    if api.train_config(job, run=run, checkpoint=checkpoint).status == "interrupted":
        raise KeyboardInterrupt


@app.command
def test(
    run: Path,
    /,
    *more: Path,
    data: Annotated[list[Path] | None, Parameter(negative="")] = None,
    labels: Path | None = None,
    split: Several = None,
    output: Output = None,
    turns: Switch = False,
    batch_size: int | None = None,
    device: str = "auto",
    plugin: Several = None,
    debug: Switch = False,
) -> None:
    """Test a trained model, or several as one: means, a table of images, a table of bands, pictures.

    Args:
        run: Run folder, checkpoint, or folder of an ensemble.
        more: Further runs, which are tested together with it.
        data: Data set; by default the one the run was trained on. May be repeated.
        labels: Folder of the labels of .npy files or GeoTIFFs, where they lie apart from --data.
        split: Splits to test on; by default test, else the validation split, of other data all there is.
        output: Folder to write; by default test/DATA in the run folder. Several runs need one.
        turns: See each image in its eight turns and flips, and average.
        batch_size: Images at once.
        device: auto, cpu, cuda or the number of a GPU.
        plugin: Module or file to import first; may be repeated.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    from ..training.testing import test as test_run

    for found in test_run(
        [run, *more],
        data,
        output,
        labels=labels,
        splits=split or (),
        turns=turns,
        batch_size=batch_size,
        device=device,
        plugins=plugin or (),
    ):
        for name, value in found.items():
            print(f"{name:<16} {value:.6g}")
        print(found.folder)


@app.command
def inspect(
    path: Path,
    /,
    *,
    split: Several = None,
    output: Output = None,
    window: int | None = None,
    labels: Path | None = None,
    debug: Switch = False,
) -> None:
    """Say what a data set, a folder of your own files or a run holds, what is doubtful, and how to go on.

    Ends with 1 where there is nothing to go on with.

    Args:
        path: Data set, folder of any files, or run folder.
        split: Splits to look at; all by default.
        output: Picture of the first patches to write.
        window: Side in px of the windows to cut cubes and rasters into, which those of several sizes need.
        labels: Folder of the labels of .npy files or GeoTIFFs, where they lie apart.
        debug: Show where a failure happened.
    """
    from ..inspection.look import inspect as look

    found = look(path, split, output, window, labels)
    print(found)
    if not found.usable:
        sys.exit(1)


@app.command
def report(run: Path, /, *more: Path, output: Output = None, debug: Switch = False) -> None:
    """Write the report page of a run, or one page that compares several.

    Args:
        run: Run folder, or a checkpoint in it.
        more: Further runs.
        output: Page to write; by default report.html in the run folder, or in the folder that the runs lie in.
        debug: Show where a failure happened.
    """
    from ..runs.report import write_report

    print(write_report([run, *more], output))


@app.command
def embed(
    run: Path,
    data: Path | None = None,
    /,
    *,
    output: Output = None,
    split: Several = None,
    what: Literal["features", "projection"] = "features",
    pca: int = 0,
    umap: Switch = False,
    query: int | None = None,
    top: int = 5,
    explore: Switch = False,
    explore_images: int = 5000,
    batch_size: int | None = None,
    device: str = "auto",
    plugin: Several = None,
    debug: Switch = False,
) -> None:
    """Embed every image of a data set by a trained model, into an HDF5 file; look at the embeddings.

    Args:
        run: Run folder or checkpoint.
        data: Data set; by default the one the run was trained on.
        output: HDF5 file to write; by default embeddings/DATA.h5 in the run folder.
        split: Splits to embed; all by default.
        what: The encoder's features, or the projection that the loss compared.
        pca: Principal components to write besides.
        umap: Write a map in two dimensions besides.
        query: Number of an image (in the first split, from 0) whose nearest images are to be drawn.
        top: How many of them.
        explore: Write a page to explore the embeddings with.
        explore_images: Most images on that page.
        batch_size: Images at once.
        device: auto, cpu, cuda or the number of a GPU.
        plugin: Module or file to import first; may be repeated.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    from ..inference.embed import embed as embed_data

    done = embed_data(
        run,
        data,
        output,
        splits=split or (),
        what=what,
        pca=pca,
        umap=umap,
        query=query,
        top=top,
        explore=explore,
        explore_images=explore_images,
        batch_size=batch_size,
        device=device,
        plugins=plugin or (),
    )
    for path in done.paths:
        print(path)


@app.command
def predict(
    run: Path,
    /,
    *more: Path,
    output: Annotated[Path, Parameter(alias="-o")],
    layers: Several = None,
    interval: float | None = None,
    turns: Switch = False,
    window: int | None = None,
    halo: int | None = None,
    polygons: Path | None = None,
    min_area: float = 0.0,
    dem: Path | None = None,
    aux: Annotated[list[Path] | None, Parameter(negative="")] = None,
    overwrite: Switch = False,
    batch_size: int | None = None,
    device: str = "auto",
    plugin: Several = None,
    debug: Switch = False,
) -> None:
    """Map a scene by a trained model, or by several as an ensemble, into a cloud-optimised GeoTIFF.

    spectrain predict RUN... SCENE -o OUT.tif

    Args:
        run: Run folder or checkpoint.
        more: Further runs of the ensemble, and last the scene: a raster, or a folder with one a band.
        output: GeoTIFF to write; layers of another type go into files beside it.
        layers: Which maps to write, e.g. class; all by default. May be repeated.
        interval: Share of pixels that the bounds of a regression are to hold: 0.5, 0.68, 0.9 (by default) or 0.95; of a
            model of quantiles also that between two of its own.
        turns: See each window in its eight turns and flips, and average.
        window: Side in px of the windows; by default that of the training's images.
        halo: Pixels at each side of a window that are context alone; by default a quarter of the window.
        polygons: GeoJSON or GeoParquet file to write besides, of connected pixels of one class.
        min_area: Polygons of fewer square metres are left out.
        dem: Elevation model, where bands are derived from it.
        aux: Further raster that bands are derived from; may be repeated.
        overwrite: Replace what is there.
        batch_size: Windows at once.
        device: auto, cpu, cuda or the number of a GPU.
        plugin: Module or file to import first; may be repeated.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    if not more:
        raise SpectrainError("a run and a scene are needed", fix="spectrain predict RUN... SCENE -o OUT.tif")
    from ..inference.predict import predict as map_scene

    done = map_scene(
        [run, *more[:-1]],
        more[-1],
        output,
        layers=layers or (),
        interval=interval,
        turns=turns,
        window=window,
        halo=halo,
        polygons=polygons,
        min_area=min_area,
        dem=dem,
        aux=aux or (),
        overwrite=overwrite,
        batch_size=batch_size,
        device=device,
        plugins=plugin or (),
    )
    for path in done.paths:
        print(path)


@app.command
def export(
    run: Path,
    /,
    *,
    to: Literal["pipeline", "safetensors", "onnx", "torch-export"],
    output: Output = None,
    name: str | None = None,
    overwrite: Switch = False,
    plugin: Several = None,
    debug: Switch = False,
) -> None:
    """Write a trained model for other programs, and hold what was written against the run's model.

    Args:
        run: Run folder or checkpoint.
        to: safetensors (weights and a JSON, which every command takes as a run), onnx, torch-export (.pt2), or
            pipeline (the converted checkpoint of DARTS).
        output: File to write, of safetensors and pipeline a folder; by default export in the run folder.
        name: Of the pipeline's checkpoint; by default the run's.
        overwrite: Replace what is there.
        plugin: Module or file to import first; may be repeated.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    from ..inference.export import export as export_run

    print(export_run(run, to, output, name=name, overwrite=overwrite, plugins=plugin or ()))


@app.command
def prepare(
    kind: str,
    /,
    *words: Words,
    config: Path | None = None,
    output: Output = None,
    debug: Switch = False,
) -> None:
    """Make patches with splits of scenes and labels; killed, the same command goes on.

    Args:
        kind: scenes, a preset for a layout (s2, planet), or patches: a data set in any form, to be written in ours.
        words: Options: key=value, --key value, --key, --no-key; docs/prepare.md lists them.
        config: Options file: TOML (of which [spectrain] and [darts] are read), YAML or JSON.
        output: Folder to write: train-data-dir.
        debug: A detailed log, and where a failure happened.
    """
    overrides, flags = split_tokens(words)
    log_to_terminal(debug)
    from ..preparation import prepare as prepare_data

    made = prepare_data(kind, config, overrides, flags, **({} if output is None else {"train_data_dir": str(output)}))
    print(made)
    if made.failed:
        sys.exit(1)


@app.command(name="import-weights")
def import_weights(
    file: Path,
    /,
    *,
    system: Annotated[str, Parameter(name="--from")],
    output: Annotated[Path, Parameter(alias="-o")],
    bands: Several = None,
    fold_grey: Switch = False,
    heads: tuple[int, int] | None = None,
    limits: Several = None,
    overwrite: Switch = False,
    debug: Switch = False,
) -> None:
    """Turn the published weights of another system into a checkpoint; nothing in the file is run.

    Args:
        file: What was published, e.g. last.pth.
        system: Whose weights they are: nenya, spectraleye (SpectralGPT's too), darts or agb.
        output: Checkpoint to write.
        bands: Names of the bands that the model takes; may be repeated.
        fold_grey: The model was shown a grey image three times over: make it one of one band.
        heads: Heads of the encoder and of the decoder, where no published model has its sizes.
        limits: NAME=LOW:HIGH, the physical values of a band that are 0 and 1, where a file of darts does not tell.
        overwrite: Replace what is there.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    from ..inference.import_weights import import_weights as take

    done = take(
        file,
        system,
        output,
        bands=bands or (),
        fold_grey=fold_grey,
        heads=heads,
        limits=limits or (),
        overwrite=overwrite,
    )
    print(done)


@app.command
def demo(task: str = "contrastive", /, *words: Words, debug: Switch = False) -> None:
    """Train a small model on real data that come with spectrain.

    Args:
        task: Which demo: contrastive (sea-surface temperature), mae (hyperspectral), segmentation (buildings from
            elevation) or regression (NDVI of a day of which few pixels are known).
        words: Options on top of the demo's own, as key=value.
        debug: Show where a failure happened.
    """
    log_to_terminal(debug)
    from ..demos import run
    from ..demos.ending import ended

    made = run(task, words)
    print("\n".join(ended(task, made)))
    if made.info["status"] == "interrupted":
        raise KeyboardInterrupt


@app.command
def options(prefix: str = "", /) -> None:
    """Print every option with its default, as the page docs/options.md has them.

    Args:
        prefix: Only those whose key begins so, e.g. hparams, or a name of another system, e.g. nb_epoch.
    """
    from ..config.options_page import page

    begin = f"| `{prefix.replace('-', '_')}"
    lines = [line for line in page().splitlines() if line.startswith(begin) or not prefix]
    if not lines:
        fix = (
            "`spectrain options` prints all of train; those of prepare and sweep are in docs/prepare.md, docs/sweeps.md"
        )
        raise UsageError(f"no option of a training begins with {prefix!r}", fix=fix)
    print("\n".join(lines))
