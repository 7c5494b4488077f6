"""The sheet of reconstructions: what each column shows, what becomes of holes, masks and gaps, and no state left."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from spectrain.core.bands import Band, Bands
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import SpectrainError
from spectrain.core.loss_sum import LossSum
from spectrain.core.reconstruction import Reconstruction
from spectrain.core.registry import lookup
from spectrain.core.step import Step
from spectrain.core.targets import NoTarget
from spectrain.plots.reconstruction import RgbPlot

ZERO = LossSum(torch.zeros(()), torch.zeros(()))
GREY = 0.5
LONG = "AVIRIS radiance, scaled"


def spectral(*wavelengths, unit=None):
    return Bands(Band(f"b{number}", wavelength=w, unit=unit) for number, w in enumerate(wavelengths))


def made(bands, batch=2, height=12, width=10, **changes):
    """A reconstruction of noise, half of its pixels masked, with a hole in each image."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, len(bands), height, width)
    target = torch.rand(shape, generator=generator)
    masked = (torch.rand((batch, 1, height, width), generator=generator) < 0.5).expand(shape).clone()
    valid = torch.ones(shape, dtype=torch.bool)
    valid[:, :, 2:4, 5] = False
    prediction = torch.where(masked, target + 0.1, target)
    parts = {"prediction": prediction, "target": target, "valid": valid, "masked": masked} | changes
    for name in ("prediction", "target"):
        if parts["valid"] is not None:
            parts[name] = torch.where(parts["valid"], parts[name], math.nan)
    return Reconstruction(**parts, data_range=1.0, bands=bands)


def draw(output, index=None, dpi=40, **options):
    image = torch.zeros(len(output.target), 1, 1, 1)
    index = torch.arange(len(image)) if index is None else torch.tensor(index)
    batch = Batch(image, everywhere(image.shape, image.device), NoTarget(), index, all_valid=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = RgbPlot(dpi=dpi, **options)(Step(ZERO, output=output), batch)
        figure.savefig(io.BytesIO())
    return figure


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def pictures(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def plots(figure):
    return [axes for axes in figure.axes if axes.get_ylabel().startswith(("RMSE", "value"))]


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def runs(line):
    """The pieces of a line that are joined, as lists of places."""
    places, values = (np.asarray(part, dtype=float) for part in line.get_data())
    found, piece = [], []
    for place, value in zip(places, values, strict=True):
        if math.isfinite(place) and math.isfinite(value):
            piece.append(place)
        elif piece:
            found, piece = [*found, piece], []
    return [*found, piece] if piece else found


@pytest.mark.parametrize("count", [1, 2, 3, 4, 12, 30, 200])
@pytest.mark.parametrize("kind", ["wavelengths", "names", "numbers"])
def test_any_number_of_bands_is_drawn(count, kind):
    bands = {
        "wavelengths": spectral(*np.linspace(400, 2400, count)),
        "names": Bands(Band(f"name {number}") for number in range(count)),
        "numbers": Bands.unnamed(count),
    }[kind]
    figure = draw(made(bands), dpi=50)
    assert titles(figure) == [
        "original",
        "masked input",
        "reconstruction",
        "error of masked values",
        "mean of masked pixels",
    ]
    assert (len(pictures(figure)), len(plots(figure))) == (6, 4)
    assert len(figure.axes) == 10 + (2 if count < 3 else 0), "only a colour map has a bar"
    label = plots(figure)[-1].get_xlabel()
    assert (
        label
        == {
            "wavelengths": "wavelength [nm]",
            "names": "" if count <= 16 else "band",
            "numbers": "band",
        }[kind]
    )


def test_a_row_a_sample_without_padding():
    figure = draw(made(Bands.unnamed(3), batch=4), [7, -1, 9, 10], nb_to_plot=3)
    assert words(figure) == ["patch 7", "patch 9"]
    nothing = draw(made(Bands.unnamed(3)), [-1, -1])
    assert not nothing.axes
    assert [text.get_text() for text in nothing.texts] == ["no images"]


def test_masked_pixels_are_grey_and_holes_are_striped():
    output = made(Bands.unnamed(4), batch=1)
    original, seen, composed = pictures(draw(output))
    masked, valid = output.masked[0, 0].numpy(), output.valid[0, 0].numpy()
    assert (seen[masked & valid] == GREY).all()
    assert (seen[~masked] == original[~masked]).all()
    for picture in (seen, composed):
        assert (picture[~valid] == original[~valid]).all()
    assert (np.ptp(original[~valid], axis=-1) == 0).all() and (original[~valid] > 0.6).all()
    assert (composed[~masked] == original[~masked]).all()


def test_a_pixel_shows_the_bands_that_are_visible():
    masked = torch.zeros(1, 4, 12, 10, dtype=torch.bool)
    masked[0, 1, 0, 0] = True
    masked[0, 3, 0, 1] = True  # not among the three that are shown
    masked[0, :3, 0, 2] = True
    masked[0, 0, 2, 5] = True  # a hole
    original, seen, _ = pictures(draw(made(Bands.unnamed(4), batch=1, masked=masked)))
    assert seen[0, 0].tolist() == [original[0, 0, 0], 0, original[0, 0, 2]]
    assert (seen[0, 1] == original[0, 1]).all()
    assert (seen[0, 2] == GREY).all()
    assert (seen[2, 5] == original[2, 5]).all()


def test_one_band_is_grey_where_it_is_masked():
    output = made(Bands.unnamed(1), batch=1)
    original, seen, _ = pictures(draw(output))
    hidden = (output.masked & output.valid)[0, 0].numpy()
    assert (seen[hidden] == GREY).all() and (seen[~hidden] == original[~hidden]).all()


def test_reconstruction_and_original_have_one_stretch():
    output = made(Bands.unnamed(3), batch=1)
    perfect = made(Bands.unnamed(3), batch=1, prediction=output.target)
    original, _, composed = pictures(draw(perfect))
    assert (original == composed).all()
    original, _, composed = pictures(draw(output))
    hidden = (output.masked & output.valid)[0, 0].numpy()
    assert (composed[hidden] >= original[hidden]).all() and composed[hidden].mean() > original[hidden].mean() + 0.03


def test_true_colours_are_chosen_by_wavelength():
    bands = spectral(490.0, 560.0, 665.0, 842.0)
    output = made(bands, batch=1)
    true, plain = pictures(draw(output))[0], pictures(draw(_renamed(output, Bands.unnamed(4))))[0]
    seen = output.valid[0, 0].numpy()
    assert (true[..., 0] == plain[..., 2])[seen].all()


def _renamed(output, bands):
    return Reconstruction(output.prediction, output.target, output.valid, output.masked, 1.0, bands)


def test_the_error_is_that_of_masked_values():
    output = made(spectral(450.0, 550.0, 650.0), batch=1)
    error, spectra = plots(draw(output))
    assert error.lines[0].get_ydata() == pytest.approx([0.1] * 3, rel=1e-5)
    assert error.get_ylim()[0] == 0
    chosen = (output.masked & output.valid)[0, 0]
    for line, image in zip(spectra.lines, (output.target, output.prediction), strict=True):
        assert line.get_ydata() == pytest.approx(image[0][:, chosen].mean(dim=1).tolist(), rel=1e-5)
    assert [line.get_label() for line in spectra.lines] == ["input", "output"]
    assert spectra.lines[0].get_color() == "black" != spectra.lines[1].get_color()


def test_the_legend_stands_once():
    figure = draw(made(Bands.unnamed(5), batch=4))
    assert [axes.get_legend() is not None for axes in plots(figure)] == [False, True] + [False] * 6


@pytest.mark.parametrize(
    ("wavelengths", "joined"),
    [
        ([490.0, 560.0, 665.0, 842.0], [4]),
        ([443.0, 490, 560, 665, 705, 740, 783, 842, 865, 945, 1610, 2190], [10, 1, 1]),
        ([*range(400, 1340, 10), *range(1440, 1800, 10), *range(1960, 2400, 10)], [94, 36, 44]),
        ([800.0, 400.0, 600.0], [3]),
        ([500.0, 500.0], [2]),
        ([500.0, 900.0], [2]),
        ([500.0], [1]),
    ],
)
def test_gaps_in_the_wavelengths_are_not_bridged(wavelengths, joined):
    for axes in plots(draw(made(spectral(*wavelengths), batch=1), dpi=50)):
        for line in axes.lines:
            pieces = runs(line)
            assert [len(piece) for piece in pieces] == joined
            assert [place for piece in pieces for place in piece] == sorted(wavelengths)


def test_a_band_that_stands_alone_is_a_point():
    wavelengths = [*range(400, 900, 10), 1600]
    (line,) = plots(draw(made(spectral(*wavelengths), batch=1)))[0].lines
    shown = line.get_markevery()
    assert [line.get_xdata()[place] for place in shown] == [1600]


def test_the_order_of_values_is_that_of_their_wavelengths():
    target = torch.zeros(1, 3, 12, 10)
    target += torch.tensor([3.0, 1.0, 2.0]).view(1, 3, 1, 1)
    output = made(spectral(800.0, 400.0, 600.0), batch=1, target=target, prediction=target)
    assert plots(draw(output))[1].lines[0].get_ydata().tolist() == [1, 2, 3]


def test_a_band_without_values_is_a_gap():
    valid = torch.ones(1, 5, 12, 10, dtype=torch.bool)
    valid[:, 2] = False
    for axes in plots(draw(made(spectral(400.0, 500.0, 600.0, 700.0, 800.0), batch=1, valid=valid))):
        assert all(runs(line) == [[400, 500], [700, 800]] for line in axes.lines)


def test_bands_without_wavelengths_have_their_names():
    mixed = Bands([Band("VV"), Band("red", wavelength=665.0)])
    figure = draw(made(mixed, batch=1))
    assert [tick.get_text() for tick in plots(figure)[1].get_xticklabels()] == ["VV", "red"]


@pytest.mark.parametrize(("unit", "label"), [("degC", "RMSE [degC]"), ("1", "RMSE"), (None, "RMSE")])
def test_the_unit_is_told(unit, label):
    assert plots(draw(made(spectral(400.0, 500.0, unit=unit), batch=1)))[0].get_ylabel() == label


def test_nothing_masked_is_said():
    masked = torch.zeros(2, 3, 12, 10, dtype=torch.bool)
    masked[0] = True
    figure = draw(made(Bands.unnamed(3), masked=masked))
    assert words(figure) == ["patch 0", "patch 1", "nothing masked", "nothing masked"]
    everywhere_missing = made(Bands.unnamed(3), valid=torch.zeros(2, 3, 12, 10, dtype=torch.bool))
    assert words(draw(everywhere_missing)).count("nothing masked") == 4


def test_without_mask_and_holes_everything_is_grey_and_compared():
    output = made(Bands.unnamed(3), batch=1, valid=None, masked=None)
    figure = draw(output)
    assert (pictures(figure)[1] == GREY).all()
    assert len(plots(figure)[0].lines[0].get_ydata()) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_diverged_model_is_drawn(value):
    output = made(Bands.unnamed(3), batch=1)
    output.prediction[output.masked] = value
    figure = draw(output)
    assert "not finite" in words(figure)
    hidden = output.masked[0, 0].numpy()
    assert (np.ptp(pictures(figure)[2][hidden], axis=-1) == 0).all()


def test_a_picture_of_the_place_stands_first():
    picture = np.zeros((30, 40, 3), dtype=np.uint8)
    figure = draw(made(Bands.unnamed(4), rgb=[None, picture].__getitem__))
    assert titles(figure)[:2] == ["RGB", "original"]
    assert [image.shape for image in pictures(figure)] == [(12, 10, 3)] * 3 + [(30, 40, 3)] + [(12, 10, 3)] * 3
    assert titles(draw(made(Bands.unnamed(4), rgb=[None, None].__getitem__)))[0] == "original"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_takes_oblong_images_of_any_type(dtype):
    output = made(Bands.unnamed(4), batch=4, height=5, width=31)
    figure = draw(
        Reconstruction(
            output.prediction.to(dtype), output.target.to(dtype), output.valid, output.masked, 1.0, output.bands
        )
    )
    assert len(pictures(figure)) == 12


def _tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    labels = [
        label
        for tick in axis.get_major_ticks()
        if low <= tick.get_loc() <= high
        for label in (tick.label1, tick.label2)
    ]
    return [label for label in labels if label.get_visible()]


@pytest.mark.parametrize(
    ("count", "rows", "unit"),
    [
        *((count, rows, unit) for count in (1, 4, 12, 30) for rows, unit in ((1, "K"), (4, LONG))),
        (1, 2, f"{LONG}, {LONG}, {LONG}"),
    ],
)
def test_words_do_not_overlap(count, rows, unit):
    bands = Bands(Band(f"band {number}", unit=unit) for number in range(count))
    figure = draw(made(bands, batch=rows, height=32, width=32), dpi=72)
    boxes = []
    for axes in figure.axes:
        found = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        found += [*_tick_labels(axes.xaxis), *_tick_labels(axes.yaxis)] if axes.axison else []
        boxes += [text.get_window_extent() for text in found if text.get_text() and text.get_visible()]
    inside = figure.bbox
    for number, box in enumerate(boxes):
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_a_perfect_reconstruction_has_an_axis_too():
    output = made(Bands.unnamed(3), batch=1)
    perfect = made(Bands.unnamed(3), batch=1, prediction=output.target)
    assert plots(draw(perfect))[0].get_ylim() == (0, 1)


@pytest.mark.parametrize(("save_format", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_format_stands_where_the_name_does_not_say(save_format, start, tmp_path):
    figure = draw(made(Bands.unnamed(3)), save_format=save_format)
    figure.savefig(tmp_path / "picture")
    assert (tmp_path / f"picture.{save_format}").read_bytes().startswith(start)


def test_resolution_is_the_one_asked_for():
    sizes = [draw(made(Bands.unnamed(3)), dpi=dpi).canvas.get_width_height()[0] for dpi in (50, 100)]
    assert sizes[1] == pytest.approx(2 * sizes[0], abs=2)


def test_nothing_is_left_in_pyplot():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    draw(made(Bands.unnamed(3)))
    assert plt.get_fignums() == before


def test_choosing_the_plot_does_not_import_matplotlib():
    code = "import sys, spectrain.plots.reconstruction; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_outputs_are_refused_with_a_way_out():
    image = torch.zeros(2, 3, 4, 4)
    batch = Batch(image, image == 0, NoTarget(), torch.arange(2), all_valid=True)
    with pytest.raises(SpectrainError, match="show_prediction=views"):
        RgbPlot()(Step(ZERO, output=torch.zeros(2, 4)), batch)


def test_is_found_by_name():
    part = lookup("show_prediction", "plot_rgb")
    plot = part.from_config(part.Config(nb_to_plot=2, dpi=50, save_format="svg"), bands=Bands.unnamed(1))
    assert (plot.nb_to_plot, plot.dpi, plot.save_format, plot.bands.names) == (2, 50, "svg", ("band_1",))
