"""The sheet of views: which samples, what is written, which format, and no state left behind."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from spectrain.core.bands import Band, Bands
from spectrain.core.batch import Batch
from spectrain.core.loss_sum import LossSum
from spectrain.core.registry import lookup
from spectrain.core.step import Step
from spectrain.core.targets import NoTarget
from spectrain.plots.none import NoPlot
from spectrain.plots.views import ViewsPlot

ZERO = LossSum(torch.zeros(()), torch.zeros(()))


def batch_of(index, bands=1, views=2, size=(8, 8), dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(len(index) * views, bands, *size, generator=generator).to(dtype)
    valid = torch.rand(image.shape, generator=generator) < 0.9
    return Batch(image, valid, NoTarget(), torch.tensor(index).repeat(views), all_valid=False, views=views)


def embeddings(count, views=2):
    return F.normalize(torch.randn(count * views, 4, generator=torch.Generator().manual_seed(1)), dim=1)


def draw(batch, output=None, **options):
    return ViewsPlot(**options)(Step(ZERO, output=output), batch)


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def pictures(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def test_shows_the_first_samples_with_all_their_views():
    figure = draw(batch_of([7, 8, 9, 10, 11]), nb_to_plot=3)
    assert titles(figure) == ["patch 7", "patch 8", "patch 9"]
    assert len(pictures(figure)) == 6


def test_views_of_a_sample_stand_below_each_other():
    batch = batch_of([5, 6], bands=3)
    batch.image[2:] = batch.image[:2]  # the second views are the first ones
    batch.valid[2:] = batch.valid[:2]
    columns = {}
    for axes in draw(batch).axes:
        place = axes.get_position()
        columns.setdefault(round(place.x0, 3), []).append((place.y0, axes.images[0].get_array()))
    (one, same), (other, too) = (([picture for _, picture in sorted(column)]) for column in columns.values())
    assert (one == same).all() and (other == too).all()
    assert not (one == other).all()


def test_says_how_alike_the_model_finds_them():
    output = embeddings(2)
    expected = F.cosine_similarity(output[:2], output[2:])
    assert titles(draw(batch_of([0, 1]), output)) == [
        f"patch {patch}\ncosine {cosine:.2f}" for patch, cosine in enumerate(expected)
    ]


@pytest.mark.parametrize("output", [None, torch.zeros(2, 1, 8, 8), {"logits": torch.zeros(2)}])
def test_other_outputs_have_no_cosine(output):
    assert titles(draw(batch_of([3]), output)) == ["patch 3"]
    assert titles(draw(batch_of([3], views=1), embeddings(1, 1))) == ["patch 3"]


def test_padding_is_left_out():
    assert titles(draw(batch_of([3, -1, 4, -1]), embeddings(4)))[0].startswith("patch 3")
    assert len(titles(draw(batch_of([3, -1, 4, -1])))) == 2
    nothing = draw(batch_of([-1, -1]))
    assert not nothing.axes
    assert [text.get_text() for text in nothing.texts] == ["no images"]


@pytest.mark.parametrize(("bands", "bars"), [(1, 2), (2, 2), (3, 0), (14, 0)])
def test_only_a_colour_map_has_a_bar(bands, bars):
    figure = draw(batch_of([0, 1], bands))
    assert len(figure.axes) == 4 + bars


def test_the_bar_says_band_and_unit():
    labels = []
    for band in (Band("sst", unit="degC"), Band("sst")):
        figure = draw(batch_of([0]), bands=Bands([band]))
        labels.append(figure.axes[-1].get_xlabel())
    assert labels == ["sst [degC]", "sst"]


def test_bands_decide_the_colours():
    batch = batch_of([0], bands=3)
    bands = Bands(Band(name, wavelength=w) for name, w in [("blue", 490.0), ("green", 560.0), ("red", 665.0)])
    plain, true = pictures(draw(batch))[0], pictures(draw(batch, bands=bands))[0]
    assert (plain[..., 0] == true[..., 2])[batch.valid[0].all(0)].all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_takes_oblong_images_of_any_type_on_more_than_one_line(dtype):
    figure = draw(batch_of(list(range(8)), bands=4, size=(5, 11), dtype=dtype), nb_to_plot=8)
    assert len(titles(figure)) == 8
    assert pictures(figure)[0].shape == (5, 11, 3)
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize(("save_format", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_format_stands_where_the_name_does_not_say(save_format, start, tmp_path):
    figure = draw(batch_of([0]), save_format=save_format)
    figure.savefig(tmp_path / "views")
    assert (tmp_path / f"views.{save_format}").read_bytes().startswith(start)
    figure.savefig(tmp_path / "views.png")
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")


def test_resolution_is_the_one_asked_for():
    sizes = [draw(batch_of([0]), dpi=dpi).canvas.get_width_height()[0] for dpi in (50, 100)]
    assert sizes[1] == pytest.approx(2 * sizes[0], abs=2)


def test_nothing_is_left_in_pyplot():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    draw(batch_of([0]))
    assert plt.get_fignums() == before


def test_choosing_a_plot_does_not_import_matplotlib():
    code = "import sys, spectrain.plots.views, spectrain.plots.none; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_is_found_by_name():
    part = lookup("show_prediction", "views")
    plot = part.from_config(part.Config(nb_to_plot=2, dpi=50, save_format="svg"), bands=Bands.unnamed(1))
    assert (plot.nb_to_plot, plot.dpi, plot.save_format, plot.bands.names) == (2, 50, "svg", ("band_1",))
    none = lookup("show_prediction", "none")
    assert isinstance(none.from_config(none.Config()), NoPlot)
    assert NoPlot()(Step(ZERO), batch_of([0])) is None
