"""Draw the pictures of the README from what the four demos leave.

cd FOLDER; for task in contrastive mae segmentation regression; do spectrain demo $task; done
python docs/pictures/draw.py FOLDER docs/pictures
"""

import io
import sys
import tempfile
from pathlib import Path

import geopandas
import h5py
import matplotlib as mpl
import numpy as np
import pandas as pd
import rasterio
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

import spectrain

INK, QUIET, BLUE, RED = "#16181d", "#5c6370", "#0b62a8", "#c8452b"
SIDE = 2.35
"""Inches of an image's side."""

mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.edgecolor": QUIET})


def run_of(folder: Path, task: str) -> Path:
    """Return the newest run of a demo."""
    return max((folder / "runs" / f"demo-{task}").iterdir(), key=lambda path: path.stat().st_mtime)


def sheet(columns: int, title: str) -> tuple[Figure, list[Axes]]:
    """Return a row of square pictures."""
    figure = Figure(figsize=(columns * (SIDE + 0.15) + 0.15, SIDE + 0.62), dpi=110)
    figure.text(0.15 / figure.get_figwidth(), 1 - 0.2 / figure.get_figheight(), title, weight="bold", va="center")
    found = []
    for number in range(columns):
        left = (0.15 + number * (SIDE + 0.15)) / figure.get_figwidth()
        box = (left, 0.06 / figure.get_figheight(), SIDE / figure.get_figwidth(), SIDE / figure.get_figheight())
        axes = figure.add_axes(box)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        found.append(axes)
    return figure, found


def named(axes: Axes, words: str) -> None:
    """Write above a picture what it shows."""
    axes.set_title(words, fontsize=8, color=QUIET, loc="left", pad=3)


def stretched(image: NDArray[np.float32], share: float = 2) -> NDArray[np.float32]:
    """Return each band between its percentiles, in [0, 1]."""
    low, high = np.nanpercentile(image, [share, 100 - share], axis=(-2, -1), keepdims=True)
    return np.clip((image - low) / (high - low), 0, 1)


def contrastive(folder: Path) -> Figure:
    """Four images that the encoder never saw, each over its nearest by embedding."""
    run = run_of(folder, "contrastive")
    patches = spectrain.open_patches(Path(spectrain.demos.__file__).parent / "ocean_sst.h5", "valid")
    with tempfile.TemporaryDirectory() as place:
        path = spectrain.embed(run, splits=["valid"], output=Path(place) / "embedded.h5").paths[0]
        with h5py.File(path) as file:
            rows = file["valid"][:]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    images = patches.physical(range(len(patches)))[:, 0]
    alike = rows @ rows.T
    figure, axes = sheet(4, "Sea-surface temperature, 1 band: an image, and those that the encoder finds most like it")
    query = int(np.argmax(np.nanstd(images, axis=(1, 2)) > np.nanpercentile(np.nanstd(images, axis=(1, 2)), 80)))
    far = np.abs(np.arange(len(rows)) - query) > 6  # neighbouring windows overlap
    nearest = [one for one in np.argsort(-alike[query]) if far[one]]
    shown = [query, nearest[0]]
    for one in nearest[1:]:
        if len(shown) < 4 and all(abs(one - other) > 6 for other in shown):
            shown.append(one)
    for number, (place, one) in enumerate(zip(axes, shown, strict=True)):
        place.imshow(images[one] - np.nanmean(images[one]), cmap="RdYlBu_r", vmin=-4, vmax=4, interpolation="bilinear")
        place.set_facecolor("#b8bcc4")
        named(place, "asked for" if not number else f"{number}. cosine {alike[query, one]:.2f}")
    return figure


def mae(folder: Path) -> Figure:
    """A window of fields, what was hidden of it, what was filled in, and spectra of hidden pixels."""
    run = run_of(folder, "mae")
    model = spectrain.load_trained_model(run)
    cfg = spectrain.load_config("mae", run / "config.yaml")
    batch = next(iter(spectrain.make_loader(cfg, "valid")))
    found = model.reconstruct(batch)
    seen, filled, hidden = (one[0].numpy() for one in (found.target, found.prediction, found.masked))
    bands = [11, 6, 4]  # near infrared, red, green
    figure, axes = sheet(4, "Fields, 50 bands (AVIRIS): three of four tokens of space and spectrum are hidden")
    low, high = np.nanpercentile(seen[bands], [2, 98], axis=(1, 2), keepdims=True)
    colour = [np.clip((one[bands] - low) / (high - low), 0, 1) for one in (seen, filled)]
    holes = np.where(hidden[bands], np.nan, colour[0])
    for place, image, words in zip(
        axes,
        (colour[0], holes, colour[1]),
        ("measured", "what the model is given", "what it makes of it"),
        strict=False,
    ):
        place.set_facecolor("#e4e6ea")
        place.imshow(np.nan_to_num(np.moveaxis(image, 0, -1), nan=0.9))
        named(place, words)
    last = axes[3]
    named(last, "a spectrum, and its hidden parts filled in")
    share = hidden.mean(0)
    row, column = np.unravel_index(np.argmin(np.abs(share - 0.75)), share.shape)
    numbers, gone = np.arange(len(seen)), hidden[:, row, column]
    last.plot(numbers, seen[:, row, column], color=INK, lw=1.2)
    for start in np.flatnonzero(np.diff(np.r_[False, gone]) & gone):
        end = start + int(np.argmin(np.r_[gone[start:], False]))
        last.plot(numbers[start:end], filled[start:end, row, column], color=RED, lw=2)
    return figure


def segmentation(folder: Path) -> Figure:
    """Surface, outlines, probability, polygons."""
    place = folder / "demo-segmentation"
    with rasterio.open(place / "buildings.tif") as file:
        stored = file.read(masked=True).astype("f4").filled(np.nan)
        names, extent = file.descriptions, (file.bounds.left, file.bounds.right, file.bounds.bottom, file.bounds.top)
        crs = file.crs
    surface = stored[names.index("dsm")] - stored[names.index("dtm")]
    with rasterio.open(place / "map_probability.tif") as file:
        probability = file.read(1)
    truth = geopandas.read_file(place / "buildings.geojson").to_crs(crs)
    found = geopandas.read_file(place / "map.geojson").to_crs(crs)
    figure, axes = sheet(4, "Buildings from elevation, 3 bands: from a scene and 84 outlines to a map and polygons")
    shade = stretched(surface[None])[0]
    for axis, words in zip(
        axes, ("height above ground", "outlines to learn from", "probability", "polygons found"), strict=True
    ):
        named(axis, words)
        axis.imshow(shade, cmap="Greys_r", extent=extent)
    truth.plot(ax=axes[1], color=BLUE, alpha=0.8)
    axes[2].imshow(probability, cmap="magma", vmin=0, vmax=1, extent=extent)
    found.plot(ax=axes[3], color=RED, alpha=0.8)
    for axis in axes:
        right = extent[0] + extent[3] - extent[2]  # a square of it
        axis.set(xlim=(extent[0], right), ylim=extent[2:], aspect="equal", xlabel="", ylabel="", xticks=[], yticks=[])
    return figure


def regression(folder: Path) -> Figure:
    """What was measured, the map, its deviation, and predicted against measured."""
    place, run = folder / "demo-regression", run_of(folder, "regression")
    with rasterio.open(place / "map.tif") as file:
        layers = dict(zip(file.descriptions, file.read(), strict=True))
        transform = file.transform
    mean = next(value for name, value in layers.items() if name.startswith("mean"))
    deviation = next(value for name, value in layers.items() if name.startswith(("predictive", "aleatoric")))
    points = pd.read_csv(place / "ndvi_seen.csv")
    columns, rows = ~transform * (points["x"].to_numpy(), points["y"].to_numpy())
    figure, axes = sheet(
        4, "Greenness of a day, 5 bands of other days: 461 measured pixels, a value and its doubt everywhere"
    )
    low, high = np.nanpercentile(mean, [1, 99])
    axes[0].scatter(columns, rows, c=points["ndvi"], s=5, cmap="YlGn", vmin=low, vmax=high)
    axes[0].set(xlim=(0, mean.shape[1]), ylim=(mean.shape[0], 0), facecolor="#e4e6ea")
    axes[1].imshow(mean, cmap="YlGn", vmin=low, vmax=high)
    axes[2].imshow(deviation, cmap="magma")
    predicted, targets, variances = (
        np.load(run / f"{one}.npy").ravel() for one in ("predictions", "targets", "variances")
    )
    axes[3].errorbar(targets, predicted, yerr=1.645 * np.sqrt(variances), fmt="o", ms=3, lw=0.6, color=BLUE, alpha=0.8)
    ends = [min(targets.min(), predicted.min()), max(targets.max(), predicted.max())]
    axes[3].plot(ends, ends, color=INK, lw=1)
    for axis, words in zip(
        axes, ("measured", "mean", "deviation", "predicted (90 %) against measured, test"), strict=True
    ):
        named(axis, words)
    return figure


def overview(drawn: dict[str, Image.Image]) -> Figure:
    """Of each task two pictures, what is given above what is learned."""
    shown = {
        "contrastive": ("1 band", "what is like it", 0, 1),
        "mae": ("50 bands", "what was hidden", 1, 2),
        "segmentation": ("3 bands", "where buildings are", 0, 3),
        "regression": ("few measured pixels", "a value everywhere", 0, 1),
    }
    figure = Figure(figsize=(4 * (SIDE + 0.15) + 0.15, 2 * (SIDE + 0.32) + 0.1), dpi=110)
    for column, (task, (above, below, *panels)) in enumerate(shown.items()):
        image = np.asarray(drawn[task])
        for row, (words, panel) in enumerate(zip((above, below), panels, strict=True)):
            left = round((0.15 + panel * (SIDE + 0.15)) * 110)
            top = image.shape[0] - round((0.06 + SIDE) * 110)
            cut = image[top : top + round(SIDE * 110), left : left + round(SIDE * 110)]
            width, height = figure.get_size_inches()
            box = ((0.15 + column * (SIDE + 0.15)) / width, (0.06 + (1 - row) * (SIDE + 0.32)) / height)
            axes = figure.add_axes((*box, SIDE / width, SIDE / height))
            axes.imshow(cut)
            axes.axis("off")
            axes.set_title(words, fontsize=9, loc="left", pad=4, color=INK if row else QUIET)
    return figure


def small(figure: Figure, path: Path) -> Image.Image:
    """Write a figure in few colours, and return it in all of them."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    image = Image.open(buffer).convert("RGB")
    image.quantize(192, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(path, path.stat().st_size // 1024, "KiB", flush=True)
    return image


def main(folder: Path, output: Path) -> None:
    """Write a picture a task, and one of all."""
    tasks = (contrastive, mae, segmentation, regression)
    drawn = {draw.__name__: small(draw(folder), output / f"{draw.__name__}.png") for draw in tasks}
    small(overview(drawn), output / "overview.png")


if __name__ == "__main__":
    torch.set_num_threads(1)
    import spectrain.demos

    main(Path(sys.argv[1]), Path(sys.argv[2]))
