"""The page of a test: which numbers have a range, and why others have none."""

from __future__ import annotations

import math

import pytest
from browser import Browser, chromium
from matplotlib.figure import Figure

from spectrain.metrics.base import Breakdown
from spectrain.runs.report.panels import unit_of, words
from spectrain.runs.report.test_page import SplitTest
from spectrain.runs.report.test_page import test_page as page_of


def one(split, scenes, intervals):
    tables = {"scene": {"scene": scenes, "images": [2] * len(scenes), "accuracy": [0.5] * len(scenes)}}
    return SplitTest(split, 2, {"accuracy": 0.5}, Breakdown(tables, {"accuracy": 0.5}, intervals, "scene"), [])


def test_numbers_of_one_scene_have_no_range_and_the_page_says_so():
    text = page_of("run", "data", [one("val-test", ["a"], {})])
    assert "Numbers of val-test have no range: all images are of one scene" in text and "bootstrap" not in text


def test_numbers_of_several_scenes_have_one():
    text = page_of("run", "data", [one("val-test", ["a", "b"], {"accuracy": (0.4, 0.6)})])
    assert "0.4 to 0.6" in text and "bootstrap samples of the scenes" in text and "have no range" not in text


def test_bins_of_the_target_keep_their_order_and_empty_ones_have_no_number():
    table = {"target": ["0 to 5", "5 to 9"], "images": [1, 4], "labelled_pixels": [0.0, 7.0], "rmse": [math.nan, 2.5]}
    breakdown = Breakdown({"target": table}, {"rmse": 2.5}, {}, "scene")
    text = page_of("run", "data", [SplitTest("test", 4, {"rmse": 2.5}, breakdown, [])], unit="m")
    assert text.index("0 to 5") < text.index("5 to 9") and "NaN" not in text and "<td>–</td>" in text
    assert "2 bins of the target of test" in text and "target, m" in text and "RMSE, m" in text


@pytest.mark.parametrize(
    ("name", "title", "unit"),
    [
        ("rmse", "RMSE", "m"),
        ("mse", "MSE", "m²"),
        ("loss_mse", "Loss part: MSE", "m²"),
        ("me", "Mean error", "m"),
        ("r2", "R²", ""),
        ("coverage_90", "Coverage at 90 %", ""),
        ("coverage_90_top_height", "Coverage at 90 % of top_height", ""),
        ("rmse_value_0", "RMSE of value_0", "m"),
        ("gaussian_nll", "Gaussian NLL", ""),
        ("z_rms", "RMS of error over deviation", ""),
        ("psnr_masked", "PSNR of masked values", "dB"),
        ("jaccard", "Intersection over union", ""),
    ],
)
def test_what_metrics_are_called(name, title, unit):
    assert (words(name), unit_of(name, "m")) == (title, unit)
    assert unit_of("rmse") == "" and unit_of("mse", "Mg ha-1") == "(Mg ha-1)²"


@pytest.mark.skipif(chromium() is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_no_picture_sticks_out_of_the_page(tmp_path, width):
    paths = []
    for name, across in (("regression_01", 12), ("confusion", 4), ("coverage", 4)):
        paths.append(tmp_path / f"{name}.png")
        Figure(figsize=(across, 3), dpi=110).savefig(paths[-1])
    page = tmp_path / "index.html"
    page.write_text(page_of("run", "data", [SplitTest("test", 2, {"rmse": 1.0}, None, paths)]))
    with Browser(tmp_path / "profile") as browser:
        browser.open(page, width=width)
        browser.evaluate(
            "Promise.all([...document.images].map(one => { one.loading = 'eager'; return one.decode(); }))"
            ".then(() => 1)"
        )
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        boxes = browser.evaluate(
            "[...document.querySelectorAll('.gallery li')].map(item => item.getBoundingClientRect().top)"
        )
        side_by_side = boxes[1] == boxes[2]
        assert boxes[0] < boxes[1] and side_by_side == (width > 1000)
        assert browser.problems == []
